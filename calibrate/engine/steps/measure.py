"""The step ``measure``: the original network and the network as it stands, on the holdout half."""

from torch import Tensor

from calibrate.engine.handler import Handler
from calibrate.engine.run import Run
from calibrate.metrics import Answered, ArmScores, answered_classes, compare_answers, measure, near_chance, score
from calibrate.nn import ExampleWeighed
from calibrate.steps import Arm, Measure, judge
from calibrate.surgery import find_sites


def measure_(run: Run, step: Measure) -> None:
    """Compare the original network with the network as it stands on the holdout half, with and without temperature."""
    plain = run.on_holdout(run.plain, "measure, as it came")
    compare_(run, step, plain, run.on_holdout(run.model, "measure, tuned") if run.changed else None)


def compare_(run: Run, step: Measure, plain: Tensor, tuned: Tensor | None) -> None:
    """:func:`measure_` on the logits of the holdout half, ``tuned`` where the network is changed."""
    labels = run.holdout_labels
    temperature = run.plain_temperature().value
    arms = [ArmScores("plain", False, 1.0, score(plain, labels))]
    arms.append(ArmScores("T", False, temperature, score(plain, labels, temperature)))
    comparisons: list[tuple[Arm, Arm]] = [("T", "plain")]
    run.answers = None
    if tuned is not None:
        name, name_t = run.tuned_arms
        weighed = any(isinstance(site.module, ExampleWeighed) for site in find_sites(run.model))
        before = Answered(answered_classes(plain), arms[-1].per_example.confidence)
        temperature = run.model_temperature().value
        arms.append(ArmScores(name, weighed, 1.0, score(tuned, labels)))
        arms.append(ArmScores(name_t, weighed, temperature, score(tuned, labels, temperature)))
        comparisons += [(name, "plain"), (name_t, "plain"), (name_t, "T")]
        after = Answered(answered_classes(tuned), arms[-1].per_example.confidence)
        source, holdout = run.source, run.split.holdout
        run.answers = compare_answers(before, after, labels.numpy(), holdout, source.class_names, source.entry, name_t)
    run.measurement = measure(arms, comparisons, resamples=step.resamples, bins=step.bins, seed=run.seed)
    if run.measurement.verdict_difference is not None:
        run.verdict, run.reasons = judge(run.measurement.verdict_difference)
    hint = near_chance(run.measurement.arm("plain").metrics["top1"], run.look.outputs)
    if hint is not None:
        run.findings.append(hint)


class MeasureHandler(Handler[Measure]):
    """Carries out Measure."""

    def run(self, run: Run, step: Measure) -> None:
        """See :meth:`Handler.run`."""
        measure_(run, step)
