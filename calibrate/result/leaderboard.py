"""The leaderboard: what each candidate did, on the examples that nothing was chosen on."""

from typing import Literal

from calibrate.recipe import Recipe
from calibrate.values import Estimate, Metric, Value, Verdict


class HeldOut(Value):
    """A network with its temperature on the holdout half; the network as it came, ``plain``, has T = 1.

    ``against_plain`` and ``against_t`` are paired differences from the network as it came, without and with its
    temperature; empty for these two, and ``holm`` with them: p-values of ``against_t``, two-sided, as they count among
    those of all candidates in both metrics. ``detectable`` is the smallest true difference from T (T's: from plain)
    that as many examples show four times in five. ``verdict`` is on that same difference. ``graph`` names the graph it
    is served as, see ``Serving``; ``folds`` says that nothing
    of the change is left to compute in it. ``clean`` is its
    top-1 minus plain's on the data as they are, where the others are of shifts.
    """

    temperature: float
    graph: str
    folds: bool
    metrics: dict[Metric, Estimate]
    against_plain: dict[Metric, Estimate]
    against_t: dict[Metric, Estimate]
    holm: dict[Metric, float]
    detectable: dict[Metric, float]
    verdict: Verdict | None
    clean: Estimate | None = None


class Standing(Value):
    """One candidate; ``plain`` is the network as it came, ``T`` the same with its temperature.

    ``calibration`` is its NLL minus T's, in nats, on the ``calibration_n`` examples of the calibration half that no
    gradient step of it saw, with a 95 % interval; the choice was made by it. ``passes`` over the calibration half are
    those it needs alone, gradient steps threefold. ``note`` says why there is nothing more, or what was found on the
    way.
    """

    name: str
    state: Literal["measured", "dropped", "not tried", "not applicable"]
    note: str = ""
    passes: float = 0.0
    calibration: Estimate | None = None
    calibration_n: int = 0
    held_out: HeldOut | None = None


class Rung(Value):
    """One round of successive halving: which candidates saw how many examples, and which went on."""

    examples: int
    tried: tuple[str, ...]
    kept: tuple[str, ...]


class Leaderboard(Value):
    """All candidates on ``n`` examples, simplest first; ``chosen`` on the calibration half, ``recommended`` or not.

    ``recipe`` gives the recommended network, and its numbers, when it is carried out alone. ``domains`` are those the
    examples come in, where they are shifted, and ``guardrail`` what these may cost on the data as they are.
    """

    n: int
    resamples: int
    standings: tuple[Standing, ...]
    chosen: str
    recommended: str | None
    recipe: Recipe | None
    reason: str
    passes: float
    rungs: tuple[Rung, ...] = ()
    domains: tuple[str, ...] = ()
    guardrail: float | None = None

    def standing(self, name: str) -> Standing:
        """The candidate of that name."""
        return {standing.name: standing for standing in self.standings}[name]
