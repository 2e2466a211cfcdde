"""The step ``channel_health``: which channels carry nothing or explode, and what became of γ and β."""

from collections.abc import Sequence

from calibrate.diagnose import channel_health, normalising_by_channel
from calibrate.engine.handler import Handler
from calibrate.engine.run import Run
from calibrate.steps import DEAD_VARIANCE, EXPLODING_SHARE, FAR_OUT, ChannelHealth, LayerHealth, ProbeChannelHealth
from calibrate.surgery import find_sites, matching


def probe_channel_health_(run: Run, step: ProbeChannelHealth) -> None:
    """Note the health of the matching sites, and what of it the reader should know."""
    chosen = matching(find_sites(run.state.model), step.sites)
    sites = normalising_by_channel(chosen)
    if not sites:
        run.not_applicable_(step, "none of the matching layers normalises each channel by running statistics")
        return
    layers = channel_health(run.state.model, run.holdout_batches(), sites)
    described = {layer.name for layer in layers}
    run.add_outcome_(
        ChannelHealth(
            tuned=run.state.changed,
            images=len(run.given.split.holdout),
            layers=layers,
            left_out=tuple(site.name for site in chosen if site.name not in described),
        )
    )
    if any(
        layer.not_finite == "statistics" for layer in layers
    ):  # what follows such a layer is not finite for its sake
        layers = tuple(layer for layer in layers if not layer.not_finite)
    _report_dead_(run, layers)
    _report_exploding_(run, layers)


def _report_dead_(run: Run, layers: Sequence[LayerHealth]) -> None:
    if not (dead := sum(layer.dead or 0 for layer in layers)):
        return
    worst = max(layers, key=lambda layer: (layer.dead or 0) / layer.channels)
    run.add_finding_(
        "dead-channels",
        f"{dead} of {_channels(layers)} channels have a running variance below {DEAD_VARIANCE:g}, most in the layer "
        f"{worst.name} ({worst.dead} of {worst.channels}); they carried next to nothing in training. Pruning would "
        "remove them at no loss; if such a channel does vary on new data, √eps alone keeps it from blowing up, so look "
        "at it before re-estimating.",
        "info",
    )


def _report_exploding_(run: Run, layers: Sequence[LayerHealth]) -> None:
    if not (exploding := sum(layer.exploding or 0 for layer in layers)):
        return
    worst = max(layers, key=lambda layer: ((layer.exploding or 0) / layer.channels, layer.far_out or 0))
    furthest = "Inf or NaN," if worst.furthest is None else f"{worst.furthest:.3g}"
    run.add_finding_(
        "exploding-channels",
        f"{exploding} of {_channels(layers)} channels have more than {100 * EXPLODING_SHARE:g} % of their normalised "
        f"values beyond ±{FAR_OUT:g}, most in the layer {worst.name} ({worst.exploding} of {worst.channels}, up to "
        f"{furthest}). Look at its estimation shift: if its statistics fit the data, its inputs are just heavy-tailed; "
        "if not, try the recipes alpha and adabn.",
    )


def _channels(layers: Sequence[LayerHealth]) -> int:
    return sum(layer.channels for layer in layers)


class ChannelHealthHandler(Handler[ProbeChannelHealth]):
    """Carries out ProbeChannelHealth."""

    def run(self, run: Run, step: ProbeChannelHealth) -> None:
        """See :meth:`Handler.run`."""
        probe_channel_health_(run, step)
