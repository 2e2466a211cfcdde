"""Streams of examples: in which order, and in which batches, a network meets them."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from calibrate.steps.corruptions import Corruption, c_style
from calibrate.values import NUMBER, Value

Order = Literal["shuffled", "class_sorted", "correlated", "mixed", "recurring"]


class Domain(Value):
    """The examples as they are, or with one C-style corruption."""

    corruption: Corruption | None = None
    severity: Annotated[int, Field(ge=1, le=5), NUMBER] | None = None

    @model_validator(mode="after")
    def _severity_of_a_corruption(self) -> Self:
        if (self.corruption is None) != (self.severity is None):
            raise ValueError("a corruption has a severity, and data as they are have none; give both or neither")
        return self

    @property
    def title(self) -> str:
        """What tables call it."""
        return "as they are" if self.corruption is None else f"{c_style(self.corruption)} {self.severity}"


class Stream(Value):
    """Every example once in every domain, in batches of ``batch_size``.

    The domains follow one another, each ``shuffled``; or ``class_sorted``: class after class; or ``correlated``: each
    class is dealt over as many slots as there are classes, in shares drawn from a Dirichlet distribution with the given
    ``concentration``, and slot follows slot. ``mixed``: all domains shuffled together. ``recurring``: the sequence of
    shuffled domains comes ``cycles`` times. ``episodic``: every batch is met by the original network.
    """

    order: Order = "shuffled"
    batch_size: Annotated[int, Field(ge=1, le=100_000), NUMBER] = 64
    domains: Annotated[tuple[Domain, ...], Field(min_length=1)] = (Domain(),)
    concentration: Annotated[float, Field(gt=0, le=1e6, description="of correlated classes"), NUMBER] | None = None
    cycles: Annotated[int, Field(ge=2, le=1000, description="of recurring domains"), NUMBER] | None = None
    episodic: bool = False

    @model_validator(mode="after")
    def _what_the_order_needs(self) -> Self:
        for name, value, order in (
            ("concentration", self.concentration, "correlated"),
            ("cycles", self.cycles, "recurring"),
        ):
            if value is None and self.order == order:
                raise ValueError(f"the order {order} needs a value for {name}; give one")
            if value is not None and self.order != order:
                raise ValueError(f"{name} is of the order {order}, and the order is {self.order}; leave {name} out")
        if self.order == "mixed" and len(self.domains) == 1:
            raise ValueError("mixed is of several domains, and there is one; name more, or take the order shuffled")
        return self

    @property
    def title(self) -> str:
        """What tables call it."""
        domains = self.domains[0].title if len(self.domains) == 1 else f"{len(self.domains)} domains"
        order = self.order.replace("_", "-") + (f" ({self.concentration:g})" if self.concentration else "")
        batches = "one by one" if self.batch_size == 1 else f"batches of {self.batch_size}"
        return f"{domains}, {order}, {batches}{', episodic' if self.episodic else ''}"
