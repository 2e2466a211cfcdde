"""The step ``adaptation``: adapters on streams of the holdout half, beside the current network."""

from torch import nn

from calibrate.data import obstacle
from calibrate.diagnose import BY_BATCH
from calibrate.engine.handler import Given, Handler
from calibrate.engine.passes.batches import drawn
from calibrate.engine.run import Run
from calibrate.engine.streams.batches import check_methods
from calibrate.engine.streams.comparison import Bench
from calibrate.steps import Adaptation, ProbeAdaptation, StreamScores


def probe_adaptation_(run: Run, step: ProbeAdaptation) -> None:
    """Note what each method predicts on each stream, in ``seeds`` orders, and what of it the reader should know.

    Memory: the inputs of the sample are made once for each domain and held, as float32: 12 MB for each 1,000 images of
    32 × 32 pixels, 600 MB for as many of 224 × 224. So are the network's logits.
    """
    half = run.given.split.holdout
    sample = drawn(half, None if step.max_samples is None else min(step.max_samples, len(half)), run.given.seed)
    if step.corrupts and (reason := obstacle(run.given.source, int(sample[0]))):
        run.not_applicable_(step, reason)
        return
    bench = Bench(run, step, sample)
    found = Adaptation(
        tuned=run.state.changed,
        images=len(sample),
        seeds=step.seeds,
        resamples=step.resamples,
        streams=tuple(
            bench.scores(stream, f"adaptation, stream {number} of {len(step.streams)}")
            for number, stream in enumerate(step.streams, 1)
        ),
    )
    run.add_outcome_(found)
    for scores in found.streams:
        _add_findings_(run, scores)


def _add_findings_(run: Run, scores: StreamScores) -> None:
    tested = [item for item in scores.methods if item.method is not None]
    if collapsed := [item for item in tested if item.collapses]:
        which = ", ".join(f"{item.method.kind} ({item.collapses:g} times)" for item in collapsed if item.method)
        run.add_finding_(
            "adaptation-collapsed",
            f"on the stream {scores.stream.title}, {which} came to predict one class whatever was shown, and went back "
            "to the source. Take another method there, or a lower learning rate.",
        )
    warned = dict.fromkeys(item.method.kind for item in tested if item.method and item.method.kind in BY_BATCH)
    for warning in scores.diagnosis.warnings if warned else ():
        run.add_finding_(
            f"stream-{warning.code}",
            f"the stream {scores.stream.title}: {warning.message}. It does not suit {', '.join(warned)}, which "
            "normalise by the batch alone; their rows show what came of it.",
        )


class AdaptationHandler(Handler[ProbeAdaptation]):
    """Carries out ProbeAdaptation."""

    def check_data(self, step: ProbeAdaptation, given: Given, model: nn.Module) -> nn.Module:
        """See :meth:`Handler.check_data`."""
        check_methods(step, given, model)
        return model

    def run(self, run: Run, step: ProbeAdaptation) -> None:
        """See :meth:`Handler.run`."""
        probe_adaptation_(run, step)
