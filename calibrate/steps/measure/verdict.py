"""The verdict on a paired difference."""

from collections.abc import Mapping
from math import log

from calibrate.page.format import counted
from calibrate.steps.measure.scores import Difference, TunedArm
from calibrate.values import METRICS, Estimate, Metric, Verdict

JUDGED: tuple[Metric, ...] = ("nll", "top1")


#: Decimals to which an interval is judged, as it is printed: 0.0001 nats, 0.01 points. What rounds to 0 is no gain.
DECIMALS = 4
#: Fewer held-out examples prove nothing at 95 %: that all of n differ in one direction has by chance the probability
#: 2 / 2ⁿ, which is .03 for 6 and .06 for 5; resampled, so few may have an interval without any width.
FEWEST_JUDGED = 6


def judge(difference: Difference, examples: int) -> tuple[Verdict, tuple[str, ...]]:
    """Judge a paired difference on so many ``examples`` by its NLL and top-1 intervals, with one reason for each.

    ``improved``: one interval lies wholly on the good side and neither on the bad. ``worse``: either lies wholly on
    the bad side. Else, and on fewer examples than ``FEWEST_JUDGED``, ``no evidence``. Ends are rounded to ``DECIMALS``
    first: with many examples even a difference that nobody could see is certain.

    >>> gain, none = Estimate(value=-0.02, low=-0.03, high=-0.01), Estimate(value=0, low=-0.1, high=0.1)
    >>> judge(Difference(arm="alpha+T", baseline="T", metrics={"nll": gain, "top1": none}), 500)[0]
    'improved'
    """
    reasons = _all_words(difference.arm, difference.baseline, difference.metrics, examples)
    return verdict_of(difference.metrics, examples), reasons


def judge_without_baseline(
    metrics: Mapping[Metric, Estimate], examples: int, arm: TunedArm, outputs: int, *, predicts: bool
) -> tuple[Verdict, tuple[str, ...]]:
    """Judge ``metrics``, those of ``arm`` minus the baseline's, where the original network gives no finite logits.

    There the baseline guesses among the ``outputs`` classes K: NLL log K, top-1 1/K. Where it ``predicts`` some
    examples these count, with its temperature, and the verdict is as :func:`judge`'s; else nothing is worse than it.

    >>> gain = Estimate(value=-2.2, low=-2.3, high=-2.1)
    >>> judge_without_baseline({"nll": gain, "top1": gain}, 500, "tuned+T", 10, predicts=False)[0]
    'no evidence'
    """
    guessing = f"guessing among {outputs} classes (NLL {log(outputs):.4f}, top-1 {100 / outputs:.2f} %)"
    where = "for some examples, and the baseline there is" if predicts else "at all, so the baseline is"
    baseline = "T and guesses" if predicts else "guesses"
    reasons = _all_words(arm, baseline, metrics, examples)
    verdict = verdict_of(metrics, examples)
    if verdict == "worse" and not predicts:
        verdict = "no evidence"
    return verdict, (f"the original network has no predictions {where} {guessing}", *reasons)


def verdict_of(metrics: Mapping[Metric, Estimate], examples: int) -> Verdict:
    """The verdict of :func:`judge` on the metrics of a paired difference."""
    sides = [_side(metric, metrics[metric], examples) for metric in JUDGED]
    if "worse" in sides:
        return "worse"
    return "improved" if "improved" in sides else "no evidence"


def _side(metric: Metric, interval: Estimate, examples: int) -> Verdict:
    if too_few(examples):
        return "no evidence"
    more_is_better = METRICS[metric][1]
    if round(interval.low, DECIMALS) > 0:
        return "improved" if more_is_better else "worse"
    if round(interval.high, DECIMALS) < 0:
        return "worse" if more_is_better else "improved"
    return "no evidence"


def too_few(examples: int) -> str | None:
    """Why so many held-out ``examples`` can prove nothing; None where they are enough to prove something."""
    if examples >= FEWEST_JUDGED:
        return None
    return (
        f"{counted(examples, 'held-out example')} can prove nothing at 95 %, since so few may all differ in one "
        f"direction by chance; {FEWEST_JUDGED} are the fewest, and some hundred tell more"
    )


def _all_words(arm: str, baseline: str, metrics: Mapping[Metric, Estimate], examples: int) -> tuple[str, ...]:
    """A reason for each of the judged metrics, after the one that counts where there are too few examples."""
    few = too_few(examples)
    sides = {metric: _side(metric, metrics[metric], examples) for metric in JUDGED}
    words = (_words(metric, arm, baseline, metrics[metric], side) for metric, side in sides.items())
    return (*(() if few is None else (few,)), *words)


def _words(metric: Metric, arm: str, baseline: str, interval: Estimate, side: Verdict) -> str:
    label = METRICS[metric][0].removesuffix(" %")
    scale, unit, digits = (100, " points", 2) if metric == "top1" else (1, "", 4)
    value, low, high = (f"{scale * number:+.{digits}f}" for number in (interval.value, interval.low, interval.high))
    meaning = {"improved": "better", "worse": "worse", "no evidence": "no evidence either way"}[side]
    return f"{label} {arm} minus {baseline}: {value}{unit}, 95 % interval [{low}, {high}]: {meaning}"
