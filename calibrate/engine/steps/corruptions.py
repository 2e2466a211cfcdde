"""The step ``corruptions``: both networks on the same corrupted images."""

import numpy as np
from torch import nn

from calibrate.data import Corrupted, Source, obstacle
from calibrate.diagnose import corruption_means, means, seen
from calibrate.engine.handler import Given, Handler
from calibrate.engine.passes.batches import check_samples, drawn
from calibrate.engine.run import Run
from calibrate.metrics import score
from calibrate.steps import CorruptionMean, Corruptions, CorruptionScores, ProbeCorruptions, c_style


def probe_corruptions_(run: Run, step: ProbeCorruptions) -> None:
    """Note top-1 and NLL of each arm for every corruption and severity, and the means."""
    sample = drawn(run.given.split.holdout, step.samples, run.given.seed)
    if reason := obstacle(run.given.source, int(sample[0])):
        run.not_applicable_(step, reason)
        return
    labels = run.labels_of(sample)
    models, temperatures = [run.given.original], [run.original_temperature().value]
    if run.state.changed:
        models.append(run.state.model)
        temperatures.append(run.model_temperature().value)

    def arms(source: Source, stage: str) -> list[np.ndarray]:
        logits = run.side_by_side(models, source, sample, stage)
        return [seen(score(z, labels, temperature)) for z, temperature in zip(logits, temperatures, strict=True)]

    clean = arms(run.given.source, "corruptions, clean images")
    cells = [(corruption, severity) for corruption in step.corruptions for severity in step.severities]
    corrupted = {
        (corruption, severity): arms(
            Corrupted(run.given.source, corruption, severity, run.given.seed),
            f"corruptions, {number} of {len(cells)}: {c_style(corruption)}, severity {severity}",
        )
        for number, (corruption, severity) in enumerate(cells, 1)
    }
    found = Corruptions(
        tuned=run.state.changed,
        images=len(sample),
        arm=run.tuned_arms[1] if run.state.changed else None,
        temperatures=tuple(temperatures),
        resamples=step.resamples,
        scores=tuple(
            CorruptionScores(
                corruption=corruption,
                severity=severity,
                original=means(columns[0]),
                tuned=means(columns[1]) if run.state.changed else None,
            )
            for (corruption, severity), columns in corrupted.items()
        ),
        means=corruption_means(clean, corrupted, resamples=step.resamples, seed=run.given.seed),
    )
    run.add_outcome_(found)
    _add_findings_(run, found.means[-1])


def _add_findings_(run: Run, over_all: CorruptionMean) -> None:
    """Say where the tuning has changed robustness by more than chance explains."""
    change = over_all.top1_change
    if change is None or change.low <= 0 <= change.high:
        return
    worse = change.value < 0
    run.add_finding_(
        "less-robust" if worse else "more-robust",
        f"on C-style corruptions the top-1 of the tuned network is {abs(100 * change.value):.2f} points "
        f"{'lower' if worse else 'higher'} than that of the original network, in the mean over all that were made "
        f"(95 % interval {100 * change.low:+.2f} to {100 * change.high:+.2f})."
        + (" Where such data are to come, leave the original network." if worse else ""),
        "warning" if worse else "info",
    )


class CorruptionsHandler(Handler[ProbeCorruptions]):
    """Carries out ProbeCorruptions."""

    def check_data(self, step: ProbeCorruptions, given: Given, model: nn.Module) -> nn.Module:
        """See :meth:`Handler.check_data`."""
        check_samples(step, "holdout half has", len(given.split.holdout))
        return model

    def run(self, run: Run, step: ProbeCorruptions) -> None:
        """See :meth:`Handler.run`."""
        probe_corruptions_(run, step)
