"""The step ``measure``: the original network and the current network, on the holdout half."""

from torch import Tensor

from calibrate.data.folder_order import order_classes
from calibrate.engine.handler import Handler
from calibrate.engine.health import empty_reason
from calibrate.engine.run import Run
from calibrate.metrics import (
    ArmScores,
    PerExample,
    Predicted,
    difference,
    measure,
    near_chance,
    order_finding,
    predicted_classes,
    prediction_changes,
    require_finite,
    score,
    score_or_guess,
)
from calibrate.nn import ExampleWeighed
from calibrate.search import fit_temperature
from calibrate.steps import Arm, EmptyArm, Measure, PredictionChanges, judge, judge_without_baseline
from calibrate.surgery import find_sites


def measure_(run: Run, step: Measure) -> None:
    """Compare the original network with the current network on the holdout half, with and without temperature."""
    original = run.on_holdout(run.given.original, "measure, original")
    compare_(run, step, original, run.on_holdout(run.state.model, "measure, tuned") if run.state.changed else None)


def compare_(run: Run, step: Measure, original: Tensor, tuned: Tensor | None, domains: tuple[str, ...] = ()) -> None:
    """:func:`measure_` on the logits of the holdout half, ``tuned`` where the network is changed.

    ``domains`` are those that its examples come in, where they are not as they are.
    """
    labels, holdout, source = run.holdout_labels, run.given.split.holdout, run.given.source
    asked = {"resamples": step.resamples, "bins": step.bins, "seed": run.given.seed}
    arms, empty = _original_arms(run, original, has_tuned=tuned is not None)
    comparisons: list[tuple[Arm, Arm]] = [("T", "original")]
    changes: PredictionChanges | None = None
    if tuned is not None:
        name, name_t = run.tuned_arms
        weighed = any(isinstance(site.module, ExampleWeighed) for site in find_sites(run.state.model))
        temperature = run.model_temperature().value
        tuned_arms = [
            ArmScores(name, weighed, 1.0, score(tuned, labels)),
            ArmScores(name_t, weighed, temperature, score(tuned, labels, temperature)),
        ]
        comparisons += [(name, "original"), (name_t, "original"), (name_t, "T")]
        if arms:
            before = Predicted(predicted_classes(original), arms[-1].per_example.confidence)
            after = Predicted(predicted_classes(tuned), tuned_arms[-1].per_example.confidence)
            names = source.class_names
            changes = prediction_changes(before, after, labels.numpy(), holdout, names, source.entry, name_t)
        else:
            against = difference(tuned_arms[-1].per_example, _guessing(run, original), **asked)
            predicts = bool(original.isfinite().all(1).any())
            run.notes.verdict, run.notes.reasons = judge_without_baseline(
                against, len(labels), name_t, run.given.look.outputs, predicts=predicts
            )
        arms += tuned_arms
    measured = measure(arms, comparisons, empty=empty, **asked)
    measured = measured.model_copy(update={"outputs": run.given.look.outputs, "domains": domains, "changes": changes})
    run.add_outcome_(measured)
    if measured.verdict_difference is not None:
        run.notes.verdict, run.notes.reasons = judge(measured.verdict_difference, len(labels))
    if not empty and (hint := near_chance(measured.arm("original").metrics["top1"], run.given.look.outputs)):
        run.add_finding_(hint.code, hint.message, hint.severity)
    if not empty:
        names = None if source.listed else source.class_names
        order = order_finding(
            (run.calibration_labels.numpy(), predicted_classes(run.logits_of_original())),
            (labels.numpy(), predicted_classes(original)),
            run.given.look.outputs,
            source.class_names,
            None if names is None else order_classes(names, source.name).other,
        )
        if order is not None:
            run.add_finding_(order.code, order.message, order.severity)


def _original_arms(run: Run, original: Tensor, *, has_tuned: bool) -> tuple[list[ArmScores], list[EmptyArm]]:
    """The original network without and with its temperature; empty, where it gives logits that are not finite.

    Without a tuned network that is an error.
    """
    if not has_tuned:
        require_finite(original)
        require_finite(run.logits_of_original())
    network, seen = run.given.original, run.given.look
    reason = empty_reason(original, network, seen) or empty_reason(
        run.logits_of_original(), network, seen, "examples of the calibration half"
    )
    if reason:
        return [], [EmptyArm(arm="original", reason=reason), EmptyArm(arm="T", reason=reason)]
    labels, temperature = run.holdout_labels, run.original_temperature().value
    return [
        ArmScores("original", False, 1.0, score(original, labels)),
        ArmScores("T", False, temperature, score(original, labels, temperature)),
    ], []


def _guessing(run: Run, original: Tensor) -> PerExample:
    """The baseline where the original network has not all predictions: with its temperature, and guessing elsewhere."""
    temperature = 1.0
    if original.isfinite().all(1).any():
        logits, labels = run.logits_of_original(), run.calibration_labels
        if (finite := logits.isfinite().all(1)).any():
            temperature = fit_temperature(logits[finite], labels[finite]).value
    return score_or_guess(original, run.holdout_labels, temperature)


class MeasureHandler(Handler[Measure]):
    """Carries out Measure."""

    def run(self, run: Run, step: Measure) -> None:
        """See :meth:`Handler.run`."""
        measure_(run, step)
