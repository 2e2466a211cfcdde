"""The handler: how the engine carries out one kind of step."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from torch import Tensor, nn

from calibrate.data import Source, Split
from calibrate.steps import StepValue
from calibrate.surgery import find_sites, matching, select, weigh_examples_

if TYPE_CHECKING:
    from calibrate.engine.run import Run

S = TypeVar("S", bound=StepValue)


@dataclass(eq=False)
class Given:
    """What a run was given, before its first full pass.

    ``first`` are the inputs (n, C, *) of some holdout examples, ``outputs`` how many logits the network has. ``model``
    is a copy to try things on: its layers are of the kinds that they will be where the step stands.
    """

    source: Source
    split: Split
    training: Source | None
    seed: int
    outputs: int
    first: Tensor
    model: nn.Module

    def weigh_(self, sites: tuple[str, ...]) -> None:
        """Let the layers of ``model`` that ``sites`` names weigh examples, as a step that gives them an α does."""
        self.model = weigh_examples_(self.model, select(find_sites(self.model), sites), 1.0)


class Handler(ABC, Generic[S]):
    """Checks a step before the first full pass, says what it is expected to cost, and carries it out.

    A kind of step has one file in ``engine/steps`` with its handler, and one line in ``engine/steps/table.py``.
    """

    #: Whether the logits of the calibration half are known after the step, so that a temperature needs no pass.
    keeps_logits: ClassVar[bool] = False

    def check_network(self, step: S, model: nn.Module) -> None:
        """Raise ModelError or UsageError where the step cannot be carried out on ``model``."""
        if patterns := getattr(step, "sites", ()):
            matching(find_sites(model), patterns)

    def check_data(self, step: S, given: Given) -> None:
        """Raise DataError or UsageError where the step cannot be carried out on what was given."""

    def expected_passes(self, step: S) -> float:  # noqa: ARG002 (a step that makes none)
        """Passes over the calibration half that the step is expected to make; one with gradients counts as three."""
        return 0.0

    @abstractmethod
    def run(self, run: "Run", step: S) -> None:
        """Carry the step out on the network of ``run``, and note there what came of it."""


Handlers = Mapping[type[StepValue], Handler[Any]]
