"""The verdict as one plain sentence."""

from typing import Literal

from calibrate.page import format as fmt
from calibrate.page.section import Section
from calibrate.report.changed import NO_ALPHA, alpha_words
from calibrate.result import Summary
from calibrate.steps import JUDGED, Difference, Measurement, too_few
from calibrate.values import Estimate, Metric, Verdict

_WORDS: dict[Verdict, str] = {"improved": "Improved", "no evidence": "No evidence", "worse": "Worse"}
_ADVICE: dict[Verdict, str] = {
    "improved": "",
    "no evidence": " These examples do not show that {what} adds anything to the temperature.",
    "worse": " Prefer the network with the temperature alone.",
}
_TONES: dict[Verdict | None, Literal["good", "bad", "even"]] = {
    "improved": "good",
    "worse": "bad",
    "no evidence": "even",
    None: "even",
}
#: What stands before the verdict of a repair, and what it is to be taken for.
_REPAIR = "A repair, not a gain, because {why}. "
_T_NOT_IN_IT = " The tuned network does not contain this T: its recipe fits none into it."


def verdict_section(summary: Summary) -> Section:
    """The verdict, set apart, with its reasons."""
    reasons = tuple(map(fmt.printable, summary.reasons))
    tone = "even" if summary.is_repair else _TONES[summary.verdict]
    return Section("Verdict", (verdict_sentence(summary),), points=reasons, tone=tone)


def verdict_sentence(summary: Summary) -> str:
    """What the run showed, with its numbers; what it did not show is said too, and a repair is called one first."""
    repair = _REPAIR.format(why=" and ".join(summary.unsound)) if summary.is_repair else ""
    return repair + _sentence(summary)


def verdict_words(summary: Summary) -> str:
    """The verdict in a table: improved, no evidence, worse, none; and that it is a repair."""
    return "improved (repair)" if summary.is_repair else summary.verdict or "none"


def _sentence(summary: Summary) -> str:
    measurement = summary.measurement
    if measurement is None and all(step.is_probe for step in summary.recipe.steps):
        return "Only probed: this run says what the network does, not what would make it better."
    if measurement is None:
        return "Not measured: this run does not show whether the change helps."
    difference = measurement.verdict_difference
    if summary.verdict is None:
        return (
            f"No verdict: nothing was compared with the temperature alone. {_without_verdict(measurement.differences)}"
        )
    if difference is None and measurement.empty:
        return (
            f"{_WORDS[summary.verdict]}: with {_subject(summary)} against guessing, because "
            f"{fmt.printable(summary.reasons[0])}.{_domains(measurement)}"
        )
    if difference is None:
        reasons = fmt.printable("; ".join(summary.reasons)) or "no reason is given"
        if summary.verdict == "improved":
            of_t = _without_verdict(measurement.differences)
            return f"Improved by the temperature alone. {of_t} The choice: {reasons}.{_domains(measurement)}"
        return f"{_WORDS[summary.verdict]}: {reasons}.{_domains(measurement)}"
    if (few := too_few(summary.data.holdout)) is not None:
        return f"{_WORDS[summary.verdict]}: {few}."
    temperature = measurement.arm(difference.arm).temperature
    tuned = f"with {_subject(summary)} and T = {fmt.short(temperature)}"
    outcome = f"{tuned}, against the temperature alone, {_outcome(difference)}."
    advice = _ADVICE[summary.verdict].format(what="it" if summary.tuned_parts else "α")
    kept = "" if summary.changes.temperature == temperature else _T_NOT_IN_IT
    return f"{_WORDS[summary.verdict]}: {outcome}{advice}{kept}{_domains(measurement)}"


def _domains(measurement: Measurement) -> str:
    """That the examples were shifted, where they were."""
    domains = measurement.domains
    return f" Measured on the examples shifted: {', '.join(map(fmt.printable, domains))}." if domains else ""


def _subject(summary: Summary) -> str:
    """What the tuned network normalises by."""
    alpha = alpha_words(summary.changes)
    weighed = () if alpha == NO_ALPHA else (f"α = {alpha}",)
    return ", ".join((*summary.tuned_parts, *weighed)) or "the original normalisation"


def _without_verdict(differences: tuple[Difference, ...]) -> str:
    """The best there is to say: the last arm against the original network."""
    against_original = [item for item in differences if item.baseline == "original"]
    if not against_original:
        return "The scores say how good the network is, not that it became better."
    last = against_original[-1]
    return f"{last.arm} against the original network: {_outcome(last)}."


def _outcome(difference: Difference) -> str:
    return " and ".join(_clause(metric, difference.metrics[metric]) for metric in JUDGED)


def _clause(metric: Metric, estimate: Estimate) -> str:
    name, points = fmt.metric_name(metric), " points" if metric == "top1" else ""
    if estimate.low == estimate.high == 0:
        return f"{name} is the same"
    if estimate.low > 0 or estimate.high < 0:
        low, high = sorted((abs(estimate.low), abs(estimate.high)))
        gap = Estimate(value=abs(estimate.value), low=low, high=high)
        direction = "higher" if estimate.low > 0 else "lower"
        return f"{name} is {direction} by {fmt.score(metric, gap.value)}{points} {fmt.score_interval(metric, gap)}"
    change = f"{fmt.change(metric, estimate.value)}{points} {fmt.change_interval(metric, estimate)}"
    return f"{name} is unchanged within noise ({change})"
