"""The handler: how the engine carries out one kind of step."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from torch import Tensor, nn

from calibrate.data import Source, Split
from calibrate.engine.passes.setting import Setting
from calibrate.engine.trials.store import Trials
from calibrate.result import LayerCondition, ShiftReference
from calibrate.steps import InputFit, NotApplicable, StepValue
from calibrate.surgery import Look, find_sites, matching, select, weigh_examples_

if TYPE_CHECKING:
    from calibrate.engine.run import Run

S = TypeVar("S", bound=StepValue)


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What a run was given: the ``original`` network, the examples, and how passes over them are made.

    ``first`` are the inputs (n, C, *) of some holdout examples. ``handlers`` carry out the steps that a step holds.
    ``health`` is that of the original network's statistics.
    ``input_fit`` is how the examples fit the original network, or why that cannot be told.
    ``reference`` is what they may have shifted from.
    """

    original: nn.Module
    source: Source
    split: Split
    training: Source | None
    seed: int
    look: Look
    first: Tensor
    setting: Setting
    handlers: "Handlers"
    health: tuple[LayerCondition, ...] = ()
    trials: Trials | None = None
    input_fit: InputFit | NotApplicable | None = None
    reference: ShiftReference | None = None


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

    def check_data(self, step: S, given: Given, model: nn.Module) -> nn.Module:  # noqa: ARG002 (a step that fits all)
        """Raise DataError or UsageError where the step cannot be carried out on what was given.

        ``model`` is a copy to try things on, whose layers are of the kinds that they will be where the step stands;
        returned with those that they are of after it.
        """
        return model

    def expected_passes(self, step: S) -> float:  # noqa: ARG002 (a step that makes none)
        """Passes over the calibration half that the step is expected to make; one with gradients counts as three."""
        return 0.0

    @abstractmethod
    def run(self, run: "Run", step: S) -> None:
        """Carry the step out on the network of ``run``, and note there what came of it."""


Handlers = Mapping[type[StepValue], Handler[Any]]


def weighed(model: nn.Module, sites: tuple[str, ...], seen: Look) -> nn.Module:
    """``model`` whose layers that ``sites`` names and inputs reach weigh examples, as after a step that gives an α."""
    return weigh_examples_(model, select(find_sites(model), sites, seen.positions), 1.0)
