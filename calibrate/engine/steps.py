"""The steps of a recipe, and the one table that says which function carries out which."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from calibrate.engine.adapt import adapt_
from calibrate.engine.alpha_trial import alpha_trial, settle_
from calibrate.engine.label_free_alpha import label_free_alpha_
from calibrate.engine.probe_adaptation import probe_adaptation_
from calibrate.engine.probe_channel_health import probe_channel_health_
from calibrate.engine.probe_corruptions import probe_corruptions_
from calibrate.engine.probe_output_bound import probe_output_bound_
from calibrate.engine.probes import probe_estimation_shift_
from calibrate.engine.reestimation import reestimate_statistics_
from calibrate.engine.run import Run
from calibrate.engine.set_alpha import set_alpha_
from calibrate.engine.statistic_noise import probe_statistic_noise_
from calibrate.metrics import Answered, ArmScores, answered_classes, compare_answers, measure, near_chance, score
from calibrate.nn import ExampleWeighed
from calibrate.recipe import (
    Adapt,
    LabelFreeAlpha,
    Measure,
    ProbeAdaptation,
    ProbeChannelHealth,
    ProbeCorruptions,
    ProbeEstimationShift,
    ProbeOutputBound,
    ProbeStatisticNoise,
    Reestimate,
    SearchAlpha,
    SetAlpha,
    Temperature,
)
from calibrate.result import Arm, judge
from calibrate.search import search_alpha
from calibrate.surgery import find_sites


def search_alpha_(run: Run, step: SearchAlpha) -> None:
    """Give the matching sites the α that is best on the calibration half, if it is convincing.

    The search sets out from the α at which they compute as they were trained.
    """
    trial = alpha_trial(run, step)

    def logits_at(alpha: float, rows: Tensor) -> Tensor:
        trial.weigh_(alpha)
        return run.on_calibration(trial.model, f"search_alpha, α = {alpha:.4g} on {len(rows)} examples", rows)

    capped = step.model_copy(update={"maximum": trial.maximum})
    found = search_alpha(logits_at, run.calibration_labels, capped, plain_alpha=trial.plain, seed=run.seed)
    run.search = found.search
    if step.curve and not found.search.curve:
        run.find(
            "curve-not-interpolated",
            f"the curve over α shows true evaluations only, because interpolated ones were up to "
            f"{found.search.curve_error:.2g} nats off; lower `maximum` in the step search_alpha for a dense curve.",
        )
    as_it_came = not run.changed
    settle_(run, step, trial, found.chosen.alpha, found.search.best_by_nll)
    run.model_calibration = found.chosen.logits
    if trial.as_trained and as_it_came:
        run.plain_calibration = found.plain.logits


def fit_temperature_(run: Run, step: Temperature) -> None:  # noqa: ARG001  (the step has no fields)
    """Fit the temperature of the network as it stands on the calibration half."""
    fitted = run.model_temperature()
    if fitted.at_limit:
        run.find(
            "temperature-at-limit",
            f"the fitted temperature, {fitted.value:.3g}, is at the end of its range: the calibration half is answered "
            "(nearly) all right or all wrong and does not determine it; use more, or harder, examples.",
        )
    run.temperature = fitted.value


def measure_(run: Run, step: Measure) -> None:
    """Compare the network as it came and as it stands on the holdout half, each with and without its temperature."""
    labels = run.holdout_labels
    logits = run.on_holdout(run.plain, "measure, as it came")
    temperature = run.plain_temperature().value
    arms = [ArmScores("plain", False, 1.0, score(logits, labels))]
    arms.append(ArmScores("T", False, temperature, score(logits, labels, temperature)))
    comparisons: list[tuple[Arm, Arm]] = [("T", "plain")]
    run.answers = None
    if run.changed:
        tuned, tuned_t = run.tuned_arms
        weighed = any(isinstance(site.module, ExampleWeighed) for site in find_sites(run.model))
        before = Answered(answered_classes(logits), arms[-1].per_example.confidence)
        logits = run.on_holdout(run.model, "measure, tuned")
        temperature = run.model_temperature().value
        arms.append(ArmScores(tuned, weighed, 1.0, score(logits, labels)))
        arms.append(ArmScores(tuned_t, weighed, temperature, score(logits, labels, temperature)))
        comparisons += [(tuned, "plain"), (tuned_t, "plain"), (tuned_t, "T")]
        after = Answered(answered_classes(logits), arms[-1].per_example.confidence)
        source, holdout = run.source, run.split.holdout
        run.answers = compare_answers(before, after, labels.numpy(), holdout, source.class_names, source.entry, tuned_t)
    run.measurement = measure(arms, comparisons, resamples=step.resamples, bins=step.bins, seed=run.seed)
    if run.measurement.yardstick is not None:
        run.verdict, run.reasons = judge(run.measurement.yardstick)
    hint = near_chance(run.measurement.arm("plain").metrics["top1"], run.look.outputs)
    if hint is not None:
        run.findings.append(hint)


#: Which function carries out which step. A test holds this table equal to the union of the steps.
STEPS: Mapping[type, Callable[[Run, Any], None]] = {
    SetAlpha: set_alpha_,
    SearchAlpha: search_alpha_,
    LabelFreeAlpha: label_free_alpha_,
    Reestimate: reestimate_statistics_,
    Temperature: fit_temperature_,
    Measure: measure_,
    ProbeEstimationShift: probe_estimation_shift_,
    ProbeCorruptions: probe_corruptions_,
    ProbeOutputBound: probe_output_bound_,
    ProbeChannelHealth: probe_channel_health_,
    ProbeStatisticNoise: probe_statistic_noise_,
    ProbeAdaptation: probe_adaptation_,
    Adapt: adapt_,
}
