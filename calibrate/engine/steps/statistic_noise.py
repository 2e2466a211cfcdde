"""The step ``statistic_noise``: which layers are disturbed, the passes, and what of it the reader should know."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from calibrate.diagnose import noise_curve
from calibrate.engine.handler import Handler
from calibrate.engine.health import empty_reason
from calibrate.engine.passes.batches import drawn
from calibrate.engine.run import Run
from calibrate.errors import ModelError
from calibrate.metrics import score
from calibrate.steps import ProbeStatisticNoise, StatisticNoise
from calibrate.surgery import Site, find_blocks, find_sites, keeping_statistics, matching

#: So many residual blocks are disturbed, as in the paper's Figure 8; without blocks, so many layers.
DISTURBED = 6
#: Noise up to this Δ should cost little: more than so much top-1, beyond two standard deviations, is worth a word.
SMALL_NOISE = 0.1
NOTABLE_LOSS = 0.01


def probe_statistic_noise_(run: Run, step: ProbeStatisticNoise) -> None:
    """Note top-1 and cross-entropy on the holdout half, undisturbed and with each noise, and whether little hurts."""
    kept = keeping_statistics(matching(find_sites(run.state.model), step.sites))
    sites = tuple(site for site in kept if site.name in run.given.look.positions)
    if not sites:
        run.not_applicable_(step, "none of the matching layers keeps running statistics of its input and is called")
        return
    chosen, sites = _chosen(run.state.model, sites, step.where)
    half = np.arange(len(run.given.split.holdout))
    samples = None if step.max_samples is None else min(step.max_samples, len(half))
    rows = torch.from_numpy(drawn(half, samples, run.given.seed))
    labels = run.holdout_labels[rows]

    def logits_of(which: str) -> Tensor:
        return run.on_holdout(run.state.model, f"statistic_noise, {which}", rows)

    if reason := empty_reason(logits := logits_of("Δ = 0"), run.state.model, run.given.look):
        run.not_applicable_(step, f"without any noise the logits are not finite: {reason}")
        return
    undisturbed = score(logits, labels)
    found = StatisticNoise(
        tuned=run.state.changed,
        images=len(rows),
        chosen=chosen,
        granularity=step.granularity,
        repetitions=step.repetitions,
        top1=float(undisturbed.top1.mean()),
        nll=float(undisturbed.nll.mean()),
        curves=tuple(
            noise_curve(
                logits_of,
                labels,
                group,
                deltas=step.deltas,
                repetitions=step.repetitions,
                granularity=step.granularity,
                seed=run.given.seed,
            )
            for group in ([sites] if step.disturb == "together" else [(site,) for site in sites])
        ),
    )
    run.add_outcome_(found)
    _add_findings_(run, found)


def _chosen(
    model: nn.Module, sites: tuple[Site, ...], where: Literal["first_of_blocks", "all"]
) -> tuple[Literal["first_of_blocks", "first_layers", "all"], tuple[Site, ...]]:
    """Those of ``sites`` that are disturbed, and by which rule."""
    if where == "all":
        return "all", sites
    try:
        blocks = find_blocks(model)
    except ModelError:  # it has none, or none that can be followed
        blocks = ()
    by_name = {name: site for site in sites for name in site.names}
    heads = [next((by_name[name] for name in block.sites if name in by_name), None) for block in blocks]
    of_blocks = tuple(dict.fromkeys(site for site in heads if site is not None))  # a tied layer once
    return ("first_of_blocks", of_blocks[:DISTURBED]) if of_blocks else ("first_layers", sites[:DISTURBED])


def _add_findings_(run: Run, found: StatisticNoise) -> None:
    sensitive = [
        (found.top1 - level.top1, level, curve)
        for curve in found.curves
        for level in curve.levels
        if level.delta <= SMALL_NOISE and found.top1 - level.top1 > NOTABLE_LOSS + 2 * level.top1_sd
    ]
    if sensitive:
        loss, level, curve = max(sensitive, key=lambda item: item[0])
        where = f"the layer {curve.sites[0]}" if len(curve.sites) == 1 else f"{len(curve.sites)} layers"
        run.add_finding_(
            "noise-sensitive",
            f"random errors of up to {level.delta:.0%} in the running statistics of {where} cost {100 * loss:.2f} "
            f"points of top-1 (standard deviation {100 * level.top1_sd:.2f} over {found.repetitions} draws), so the "
            "network depends on how well they are estimated: re-estimate them from many examples only, and measure.",
        )
    broken = [level for curve in found.curves for level in curve.levels if level.broken]
    if broken:
        run.add_finding_(
            "noise-not-finite",
            f"from noise of Δ = {min(level.delta for level in broken):g} on, some disturbed networks give logits that "
            "are not finite. Such predictions count as wrong, and the cross-entropy there is left out; where "
            "half precision overflows, probe the network in float32.",
        )


class StatisticNoiseHandler(Handler[ProbeStatisticNoise]):
    """Carries out ProbeStatisticNoise."""

    def run(self, run: Run, step: ProbeStatisticNoise) -> None:
        """See :meth:`Handler.run`."""
        probe_statistic_noise_(run, step)
