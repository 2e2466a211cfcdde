"""What came of the step: all arms, their differences, and how predictions changed."""

from typing import Literal

from calibrate.errors import UsageError
from calibrate.page import format as fmt
from calibrate.page.section import Section
from calibrate.steps.measure.changes import change_sections, counts_words
from calibrate.steps.measure.reliability import reliability_figure, titles_of
from calibrate.steps.measure.scores import Arm, Bin, Difference, EmptyArm, PredictionChanges, Scores
from calibrate.steps.measure.tables import differences_table, empty_words, interval_words, scores_table
from calibrate.steps.step import StepResult

#: How to read the figure of the reliability.
HOW_TO_READ = (
    "Of the predictions given with a confidence of 0.8, a calibrated network gets 0.8 right: its bars end on the "
    "dashed line."
)


class Measurement(StepResult):
    """All arms on the n examples of the holdout half, their paired differences, and the predictions that changed.

    ``outputs`` is how many classes the network tells apart, 0 where that is not said. ``domains`` are those that the
    examples come in, where they are not as they are. Arms whose logits are not finite are ``empty``: they have no
    scores, and no difference is taken from them.
    """

    kind: Literal["measure"] = "measure"
    n: int
    resamples: int
    arms: tuple[Scores, ...]
    differences: tuple[Difference, ...]
    reliability: dict[Arm, tuple[Bin, ...]]
    outputs: int = 0
    domains: tuple[str, ...] = ()
    changes: PredictionChanges | None = None
    empty: tuple[EmptyArm, ...] = ()

    def arm(self, name: Arm) -> Scores:
        """The scores of the named arm; raises UsageError for one that is empty."""
        for item in self.empty:
            if item.arm == name:
                raise UsageError(f"the arm {name} has no scores ({item.reason}); look at another one.")
        return {scores.arm: scores for scores in self.arms}[name]

    @property
    def verdict_difference(self) -> Difference | None:
        """The difference on which the verdict rests: the tuned network with its temperature, against T alone."""
        return next((item for item in self.differences if item.baseline == "T"), None)

    def difference(self, arm: Arm, baseline: Arm) -> Difference:
        """The named paired difference."""
        return {(item.arm, item.baseline): item for item in self.differences}[arm, baseline]

    def sections(self) -> tuple[Section, ...]:
        """Scores, differences, reliability, and the predictions that changed."""
        where = "".join(f", {fmt.printable(domain)}" for domain in self.domains)
        few = ("Top-5 tells nothing here: there are no more than five classes.",) if 0 < self.outputs <= 5 else ()
        made = [
            Section(
                f"Scores on the holdout half (n = {fmt.count(self.n)}{where})",
                (interval_words(self.resamples), *few, *empty_words(self.empty)),
                scores_table(self.arms, self.empty),
            )
        ]
        if self.differences:
            counts = (counts_words(self.changes),) if self.changes else ()
            table = differences_table(self.differences)
            made.append(Section("Differences on the same examples", (self._rests_on(), *counts), table))
        if any(self.reliability.values()):
            made.append(
                Section(
                    "Reliability",
                    (f"{'; '.join(titles_of(self.arms, self.reliability))}.",),
                    figure=reliability_figure(self.arms, self.reliability),
                    caption=HOW_TO_READ,
                )
            )
        return (*made, *(change_sections(self.changes) if self.changes else ()))

    def _rests_on(self) -> str:
        """How to read the differences, or that the one the verdict rests on is missing."""
        if self.verdict_difference is None:
            return "No arm was tuned besides T, so that nothing is compared with T alone."
        arm = self.verdict_difference.arm
        what = "α" if arm == "alpha+T" else "the tuning"
        return f"{arm} minus T is what the verdict rests on: the temperature is free, so {what} has to beat it."
