"""The bound of each layer's output in training beside what was seen, as a section."""

from calibrate.page import format as fmt
from calibrate.page.section import ABSENT, Cell, Row, Section, Table
from calibrate.page.words import layer_label, left_out_words, subject
from calibrate.result import LayerBound, OutputBound

COLUMNS = ("M", "√(M − 1)", "in training", "in inference", "outside %", "channels with any", "batch that suffices")
_LEFT_OUT = (
    "frozen, without running statistics, with a training rule of its own, no batch normalisation, or never called"
)


def output_bound_section(result: OutputBound, place: int) -> Section:
    """The bound and the ranges by depth, and the share outside."""

    def draw() -> str:
        from calibrate.report.probes.output_bound_plot import bound_over_depth

        return bound_over_depth(result, place)

    return Section(
        f"Output bound {subject(result.tuned)}",
        (_shows(result), _columns(result), *left_out_words(result.left_out, _LEFT_OUT)),
        Table(COLUMNS, tuple(_row(layer) for layer in result.layers)),
        draw if result.layers else None,
    )


def _shows(result: OutputBound) -> str:
    outside = [layer for layer in result.layers if layer.outside > 0]
    if not outside:
        return (
            f"In inference no layer puts out anything outside the bound of training batches of "
            f"{result.train_batch_size}."
        )
    worst = max(outside, key=lambda layer: layer.outside)
    return (
        f"In inference {len(outside)} of {fmt.counted(len(result.layers), 'layer')} put out values that no training "
        f"batch of {result.train_batch_size} can give, most of them {layer_label(worst.name)}: {_per_cent(worst)} % of "
        f"its values lie outside ±{worst.bound:.3g}, in {worst.channels_outside} of "
        f"{fmt.counted(worst.channels, 'channel')}."
    )


def _columns(result: OutputBound) -> str:
    training = (
        f"In training: the lowest and highest x̂ with {fmt.counted(result.training_images, 'example')} in whole batches "
        f"of {result.train_batch_size}, drawn at random, each normalised by its own statistics"
        if result.training_images
        else f"In training: absent, as the holdout half holds no whole batch of {result.train_batch_size}"
    )
    return (
        f"On {fmt.counted(result.images, 'example')} of the holdout half. All numbers are of x̂, before γ and β make "
        "γx̂ + β of it. M: elements in a statistic, the training batch times the layer's positions; |x̂| is at most "
        f"√(M − 1) where x̂ is normalised by these M. {training}. In inference: the same with running statistics; "
        "outside: the share of values beyond the bound. Batch that suffices: the training batch from which on none "
        "would be. The pass as in training knows no augmentation."
    )


def _row(layer: LayerBound) -> Row:
    cells = (
        fmt.count(layer.elements),
        f"{layer.bound:.3g}",
        *(ABSENT if span is None else f"{span[0]:.3g} to {span[1]:.3g}" for span in (layer.training, layer.inference)),
        _per_cent(layer),
        f"{fmt.count(layer.channels_outside)} of {fmt.count(layer.channels)}",
        ABSENT if layer.sufficient_batch is None else fmt.count(layer.sufficient_batch),
    )
    return Row(layer_label(layer.name), "", tuple(map(Cell, cells)))


def _per_cent(layer: LayerBound) -> str:
    return f"{100 * layer.outside:.2g}"
