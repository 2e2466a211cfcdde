"""The figures of a fine-tuning, and of several side by side.

Reference: Adrian G, Batch Norm and Transfer Learning, 2019, Figs. 1 to 5, 8 and 9.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import log1p

from calibrate.page import format as fmt
from calibrate.page.figure import Figure, Line, Mark, Panel, Raster, Rule, Steps, or_gap
from calibrate.result import ArmResult, ComparedArms, FineTuned, LayerHistogram

#: How many layers are drawn, evenly over the depth: what there is to see must stay large enough to be seen.
SHOWN = 6


def course(result: FineTuned) -> Figure:
    """Loss in training, NLL and top-1 of the validation split; phases stand apart, and the kept epoch is marked."""
    number = range(1, len(result.epochs) + 1)
    rules: list[Mark] = [Rule(x=result.best + 1, color="orange", label="kept", dash="-", width=5, opacity=0.3)]
    for before, epoch in enumerate(result.epochs[1:], start=1):
        if epoch.phase != result.epochs[before - 1].phase:
            rules.append(Rule(x=before + 0.5, dash=":"))
    losses: list[Mark] = [
        Line(number, [epoch.loss for epoch in result.epochs], "grey", "loss in training", "s", "--", 1.5, 4)
    ]
    scores: list[Mark] = []
    if result.data.validation:
        nll = [or_gap(epoch.nll) for epoch in result.epochs]
        top1 = [or_gap(None if epoch.top1 is None else 100 * epoch.top1) for epoch in result.epochs]
        losses.append(Line(number, nll, "blue", "NLL, validation", "o", "-", 1.5, 4))
        scores.append(Line(number, top1, "green", "top-1, validation", "o", "-", 1.5, 4))
    above = Panel((*losses, *rules), y_label="nats", legend="best")
    below = Panel((*scores, *rules), x_label="epoch", y_label="top-1 (%)", x_whole=True, legend="best")
    label = f"Loss and validation scores of {len(result.epochs)} epochs; epoch {result.best + 1} was kept"
    return Figure(label, ((above,), (below,)), 7.0, 5.0, share_x=True)


def weights(result: FineTuned) -> Figure:
    """For some layers, first to last: log(1 + count) by weight and record, and the variance's steps beneath."""
    layers = shown(result.histograms)
    above, below = [], []
    for place, layer in enumerate(layers):
        counts = [[log1p(count) for count in record] for record in layer.counts]
        picture = Raster(counts, -0.5, len(layer.counts) - 0.5, layer.low, layer.high)
        above.append(Panel((picture,), title=fmt.printable(layer.name), y_label="" if place else "weight"))
        jumps = Line(range(1, len(layer.variances)), layer.variance_differences, "orange", width=1)
        below.append(
            Panel(
                (jumps, Rule(y=0.0, dash="-", width=0.8)),
                x_label=result.recipe.histograms,
                y_label="" if place else "Δ variance",
                y_scientific=True,
            )
        )
    names = ", ".join(fmt.printable(layer.name) for layer in layers)
    label = f"Histograms of the weights over the training of {names}"
    return Figure(label, (tuple(above), tuple(below)), 2.4 * len(layers), 5.0, (2, 1), share_x=True)


def shown(layers: tuple[LayerHistogram, ...]) -> tuple[LayerHistogram, ...]:
    """``SHOWN`` of the layers, the first and the last among them, or all where there are no more."""
    places = {round((len(layers) - 1) * part / (SHOWN - 1)) for part in range(SHOWN)}
    return tuple(layers[place] for place in sorted(places))


def arm_weights(result: ComparedArms) -> Figure:
    """For each arm, layer by layer: counts minus the baseline's, and the steps of both variances beneath."""
    arms = [arm for arm in result.arms if arm.layers]
    rows = tuple(row for arm in arms for row in _of_arm(arm, result.baseline, last=arm is arms[-1]))
    names = ", ".join(arm.name for arm in arms)
    label = f"Histograms of the weights of {names} minus those of {result.baseline}, and the steps of their variance"
    return Figure(label, rows, 8.0, 4.2 * len(arms), (3, 2) * len(arms))


def _of_arm(arm: ArmResult, baseline: str, *, last: bool) -> tuple[tuple[Panel, ...], tuple[Panel, ...]]:
    above, below = [], []
    for place, layer in enumerate(arm.layers):
        width = (layer.high - layer.low) / len(layer.counts)
        edges = [layer.low + width * place for place in range(len(layer.counts) + 1)]
        which = "" if place else f"{arm.name} − {baseline}\n"
        above.append(
            Panel(
                (Steps(layer.counts, edges, "blue", filled=True),),
                title=f"{which}{fmt.printable(layer.name)}",
                x_label="weight",
                y_label="" if place else "Δ count",
                y_whole=True,
            )
        )
        records = [place + 0.5 for place in range(len(layer.variances))]
        below.append(
            Panel(
                (
                    Steps(_differences(layer.baseline_variances), records, "grey", baseline),
                    Steps(_differences(layer.variances), records, "orange", arm.name),
                ),
                x_label=arm.recipe.histograms,
                y_label="" if place else "Δ variance",
                x_whole=True,
                y_scientific=True,
                legend="outside below" if last and not place else "",
            )
        )
    return tuple(above), tuple(below)


def _differences(values: Sequence[float]) -> list[float]:
    """From each value to the next."""
    return [after - before for before, after in pairwise(values)]
