"""The scores on corrupted images, as a section."""

from calibrate.page import format as fmt
from calibrate.page.section import Cell, Row, Section, Table
from calibrate.recipe import c_style
from calibrate.result import CorruptionMean, Corruptions, Estimate, Metric, TopOneAndNll


def corruptions_section(result: Corruptions, place: int) -> Section:
    """The mean of each corruption and of all, and every severity in the figure."""

    def draw() -> str:
        from calibrate.report.probes.corruptions_plot import corruption_heat_map

        return corruption_heat_map(result, place)

    columns: tuple[str, ...] = ("T: %", "T: NLL")
    if result.arm:
        columns += (f"{result.arm}: %", f"{result.arm}: NLL", "Δ points", "Δ NLL")
    rows = tuple(_row(mean) for mean in result.means)
    words = (_shows(result), _made(result), *([_intervals(result)] if result.arm else []))
    return Section("C-style corruptions", words, Table(columns, rows), draw)


def _shows(result: Corruptions) -> str:
    clean, over_all = result.means[0], result.means[-1]
    worst = min(result.means[1:-1], key=lambda mean: mean.plain.top1)
    sentence = (
        f"As it came, the network answers {fmt.score('top1', clean.plain.top1)} % of the clean images right and "
        f"{fmt.score('top1', over_all.plain.top1)} % in the mean over the C-style corruptions; fewest under "
        f"{_name(worst)}, {fmt.score('top1', worst.plain.top1)} %."
    )
    if over_all.tuned is None or over_all.top1_change is None:
        return sentence
    change = over_all.top1_change
    return (
        f"{sentence} {result.arm} answers {fmt.score('top1', over_all.tuned.top1)} % of the corrupted images right, "
        f"{fmt.change('top1', change.value)} points {fmt.change_interval('top1', change)}."
    )


def _made(result: Corruptions) -> str:
    severities = list(dict.fromkeys(str(scores.severity) for scores in result.scores))
    rows = f"means over the severities {', '.join(severities)}" if severities[1:] else f"of severity {severities[0]}"
    return (
        f"%: answers that are right (top-1). Rows are {rows}. C-style: made here, by imagecorruptions-imaug, of "
        f"{fmt.counted(result.images, 'image')} of the holdout half as the network sees them, with fixed seeds. They "
        "are not the files of ImageNet-C and the means are not its mCE, so they compare with runs on the same images "
        "only; on small images the same severity is far stronger. T is fitted on clean images."
    )


def _intervals(result: Corruptions) -> str:
    return (
        f"Δ: {result.arm} minus T on the same corrupted images, with 95 % intervals over redrawn images "
        f"({fmt.counted(result.resamples, 'resample')}), not over other corruptions. Of 20 rows without an effect, one "
        "interval leaves out 0 by chance."
    )


def _name(mean: CorruptionMean) -> str:
    if mean.corruption == "clean":
        return "clean images"
    return "C-style mean" if mean.corruption == "all" else c_style(mean.corruption)


def _row(mean: CorruptionMean) -> Row:
    cells = [*_cells(mean.plain)]
    if mean.tuned is not None and mean.top1_change is not None and mean.nll_change is not None:
        cells += _cells(mean.tuned)
        changes: tuple[tuple[Metric, Estimate], ...] = (("top1", mean.top1_change), ("nll", mean.nll_change))
        cells += [
            Cell(fmt.change(metric, change.value), fmt.change_interval(metric, change)) for metric, change in changes
        ]
    return Row(_name(mean), "", tuple(cells))


def _cells(scores: TopOneAndNll) -> tuple[Cell, ...]:
    return Cell(fmt.score("top1", scores.top1)), Cell(fmt.score("nll", scores.nll))
