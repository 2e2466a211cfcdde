"""The step ``measure``: the original network and the current network, on the holdout half."""

from torch import Tensor

from calibrate.engine.handler import Handler
from calibrate.engine.run import Run
from calibrate.metrics import ArmScores, Predicted, measure, near_chance, predicted_classes, prediction_changes, score
from calibrate.nn import ExampleWeighed
from calibrate.steps import Arm, Measure, PredictionChanges, judge
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
    temperature = run.original_temperature().value
    arms = [ArmScores("original", False, 1.0, score(original, labels))]
    arms.append(ArmScores("T", False, temperature, score(original, labels, temperature)))
    comparisons: list[tuple[Arm, Arm]] = [("T", "original")]
    changes: PredictionChanges | None = None
    if tuned is not None:
        name, name_t = run.tuned_arms
        weighed = any(isinstance(site.module, ExampleWeighed) for site in find_sites(run.state.model))
        before = Predicted(predicted_classes(original), arms[-1].per_example.confidence)
        temperature = run.model_temperature().value
        arms.append(ArmScores(name, weighed, 1.0, score(tuned, labels)))
        arms.append(ArmScores(name_t, weighed, temperature, score(tuned, labels, temperature)))
        comparisons += [(name, "original"), (name_t, "original"), (name_t, "T")]
        after = Predicted(predicted_classes(tuned), arms[-1].per_example.confidence)
        changes = prediction_changes(before, after, labels.numpy(), holdout, source.class_names, source.entry, name_t)
    measured = measure(arms, comparisons, resamples=step.resamples, bins=step.bins, seed=run.given.seed)
    measured = measured.model_copy(update={"outputs": run.given.look.outputs, "domains": domains, "changes": changes})
    run.add_outcome_(measured)
    if measured.verdict_difference is not None:
        run.notes.verdict, run.notes.reasons = judge(measured.verdict_difference)
    if hint := near_chance(measured.arm("original").metrics["top1"], run.given.look.outputs):
        run.add_finding_(hint.code, hint.message, hint.severity)


class MeasureHandler(Handler[Measure]):
    """Carries out Measure."""

    def run(self, run: Run, step: Measure) -> None:
        """See :meth:`Handler.run`."""
        measure_(run, step)
