"""What tells the weights of two fine-tunings apart, layer by layer."""

import numpy as np

from calibrate.finetune import LayerHistory
from calibrate.result import FineTuned, LayerDifference, LayerHistogram

#: How many layers are kept, evenly over the depth.
KEPT = 3


def compare_weights(result: FineTuned, baseline: FineTuned) -> tuple[LayerDifference, ...]:
    """The first, middle and last of the layers that start alike; none where records are not made at the same times."""
    if result.recipe.histograms != baseline.recipe.histograms:
        return ()
    others = {layer.name: layer for layer in baseline.histograms}
    pairs = [(layer, others[layer.name]) for layer in result.histograms if layer.name in others]
    alike = [(one, other) for one, other in pairs if _start(one) == _start(other)]
    places = np.linspace(0, len(alike) - 1, min(KEPT, len(alike))).round().astype(int)
    return tuple(_difference(*alike[place]) for place in places)


def _start(layer: LayerHistogram) -> tuple[object, ...]:
    return layer.low, layer.high, layer.counts[0], layer.variances[0]


def _difference(layer: LayerHistogram, other: LayerHistogram) -> LayerDifference:
    (counts,) = _after(layer).minus(_after(other))
    return LayerDifference(
        name=layer.name,
        low=layer.low,
        high=layer.high,
        weights=sum(layer.counts[-1]),
        counts=tuple(counts),
        variances=layer.variances,
        baseline_variances=other.variances,
    )


def _after(layer: LayerHistogram) -> LayerHistory:
    """The last record alone."""
    return LayerHistory(layer.low, layer.high, [list(layer.counts[-1])], [layer.variances[-1]])
