"""The step ``output_bound``: what layers put out in inference, against what they can put out in training."""

from calibrate.diagnose import bounded, output_bound, trains_by_batch
from calibrate.engine.handler import Handler
from calibrate.engine.passes.batches import RandomBatches
from calibrate.engine.passes.prediction import input_dtype
from calibrate.engine.run import Run
from calibrate.steps import OutputBound, ProbeOutputBound
from calibrate.surgery import find_sites, matching

#: A layer is worth a word where a larger share of its values lies outside what training can show.
NOTABLE_OUTSIDE = 1e-3


def probe_output_bound_(run: Run, step: ProbeOutputBound) -> None:
    """Note the bound of the matching sites and how much lies outside, in batches as training draws them."""
    every, size = find_sites(run.state.model), step.train_batch_size
    chosen = matching(every, step.sites)
    sites = bounded(chosen)
    if not sites:
        run.not_applicable_(
            step,
            "none of the matching layers normalises by the batch in training and by running statistics in inference",
        )
        return
    single = [
        site.name for site in every if trains_by_batch(site.module) and run.given.look.positions.get(site.name) == 1
    ]
    if size == 1 and single:
        run.not_applicable_(
            step,
            f"a training batch of 1 leaves the layer {single[0]} one element for a statistic, and none trains so; "
            "give the batch size of the training as train_batch_size",
        )
        return
    holdout = run.given.split.holdout
    batches = RandomBatches(
        run.given.source,
        holdout,
        run.given.setting,
        input_dtype(run.state.model),
        run.given.seed,
        size,
    )
    layers = output_bound(run.state.model, batches, sites, size)
    training_images = len(holdout) - len(holdout) % size
    run.notes.forwards += len(holdout) + training_images
    described = {layer.name for layer in layers}
    run.add_outcome_(
        OutputBound(
            tuned=run.state.changed,
            images=len(holdout),
            train_batch_size=size,
            training_images=training_images,
            layers=layers,
            left_out=tuple(site.name for site in chosen if site.name not in described),
        )
    )
    if any(
        layer.not_finite == "statistics" for layer in layers
    ):  # what follows such a layer is not finite for its sake
        layers = tuple(layer for layer in layers if not layer.not_finite)
    worst = max(layers, key=lambda layer: layer.outside or 0, default=None)
    if worst is not None and (outside := worst.outside or 0) > NOTABLE_OUTSIDE:
        run.add_finding_(
            "output-out-of-bound",
            f"in inference {100 * outside:.2g} % of the normalised values of the layer {worst.name} lie outside "
            f"±{worst.bound:.3g}, which none can pass in training with batches of {size}; the layers after it were not "
            "trained on such values. Try the recipe alpha: an example that weighs in its own statistics is held back "
            "by them.",
        )


class OutputBoundHandler(Handler[ProbeOutputBound]):
    """Carries out ProbeOutputBound."""

    def run(self, run: Run, step: ProbeOutputBound) -> None:
        """See :meth:`Handler.run`."""
        probe_output_bound_(run, step)
