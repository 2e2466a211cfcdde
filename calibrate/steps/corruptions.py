"""The probe ``corruptions``: scores on C-style corruptions of the images."""

from collections.abc import Callable, Mapping
from typing import Annotated, Final, Literal, TypeVar, get_args

from pydantic import AfterValidator, Discriminator, Field, Tag

from calibrate.page import format as fmt
from calibrate.page.figure import Cells, Figure, Panel
from calibrate.page.section import Cell, Row, Section, Table
from calibrate.steps.measure import TunedArm
from calibrate.steps.step import Probe, ProbeResult
from calibrate.values import NUMBER, Estimate, Metric, Value

Noise = Literal["gaussian_noise", "shot_noise", "impulse_noise"]


Blur = Literal["defocus_blur", "glass_blur", "motion_blur", "zoom_blur"]


Weather = Literal["snow", "frost", "fog", "brightness"]


Digital = Literal["contrast", "elastic_transform", "pixelate", "jpeg_compression"]


Validation = Literal["speckle_noise", "gaussian_blur", "spatter", "saturate"]


Corruption = Literal[Noise, Blur, Weather, Digital, Validation]


CorruptionSet = Literal["all", "common", "validation"]


COMMON: Final[tuple[Corruption, ...]] = (*get_args(Noise), *get_args(Blur), *get_args(Weather), *get_args(Digital))


VALIDATION: Final[tuple[Corruption, ...]] = get_args(Validation)


#: The corruptions of each set: 15 on which robustness is reported, and 4 meant for choosing methods.
CORRUPTION_SETS: Final[Mapping[CorruptionSet, tuple[Corruption, ...]]] = {
    "all": COMMON + VALIDATION,
    "common": COMMON,
    "validation": VALIDATION,
}


def c_style(corruption: Corruption) -> str:
    """What tables, figures and errors call the corruption.

    >>> c_style("motion_blur")
    'C-style motion blur'
    """
    return f"C-style {corruption.replace('_', ' ')}"


Item = TypeVar("Item")


def _different(items: tuple[Item, ...]) -> tuple[Item, ...]:
    if twice := [item for place, item in enumerate(items) if item in items[:place]]:
        raise ValueError(f"{twice[0]!r} stands twice; name each once")
    return items


def _set_or_list(value: object) -> str:
    return "<set>" if isinstance(value, str) else "<list>"


class TopOneAndNll(Value):
    """The share of right predictions, and the mean cross-entropy in nats after the temperature."""

    top1: float
    nll: float


class CorruptionScores(Value):
    """One ``corruption`` at one ``severity``: the scores of ``T``, and those of the tuned arm where there is one."""

    corruption: Corruption
    severity: int
    original: TopOneAndNll
    tuned: TopOneAndNll | None


class CorruptionMean(Value):
    """Means over the severities of one ``corruption``, over all corruptions, or of the clean images.

    ``top1_change`` and ``nll_change`` are the tuned arm minus ``T`` on the same examples (paired bootstrap).
    """

    corruption: Corruption | Literal["all", "clean"]
    original: TopOneAndNll
    tuned: TopOneAndNll | None
    top1_change: Estimate | None
    nll_change: Estimate | None


class Corruptions(ProbeResult):
    """The original network, and ``arm`` where the run has changed it, on C-style corruptions of the same images.

    Each has the ``temperature`` (original, tuned) fitted on the clean calibration half. ``means`` are those of the
    clean images first, of each corruption, and of all corruptions last.
    """

    kind: Literal["corruptions"] = "corruptions"
    arm: TunedArm | None
    temperatures: tuple[float, ...]
    resamples: int
    scores: tuple[CorruptionScores, ...]
    means: tuple[CorruptionMean, ...]

    def sections(self) -> tuple[Section, ...]:
        """The numbers as a table and a figure, and how to read them."""
        return (_section(self),)


class ProbeCorruptions(Probe):
    """Measure on C-style corruptions of the images.

    Measure the original network and the current network on seeded C-style corruptions of the images.

    Each arm with the temperature of the clean calibration half. ``names`` is a set of corruptions or a list of them.

    With c over the corruptions in ``names``, s over ``severities``, each image corrupted as the network sees it
    (resized and cropped), and T that of the clean calibration half::

        mean over c and s of top-1 and of −log softmax(logits(image corrupted by c, s)/T)[label]

    *Changes nothing when* always: it only looks.

    *Helps when* one wants to know what a network makes of noise, blur, weather and digital faults, and whether the
    tuning costs robustness or gains it.

    *Does not help when* one wants to compare with published numbers: these are C-style, not the files of ImageNet-C,
    and their mean is not its mCE.

    Cost: a pass for each corruption and severity, and as much time again to corrupt: all 19 take 23 ms for an image
    of 32 × 32 pixels and 0.3 s for one of 224 × 224, for each severity. ``samples`` bounds it.

    Limits: needs labels, 8-bit images and sides of 32 pixels or more; on small images the same severity is far
    stronger. Needs the extra corruptions.

    Reference: Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and
    Perturbations, ICLR 2019, §4.1; made by imagecorruptions-imaug
    """

    jobs = Probe.jobs | {"evaluate"}
    result = Corruptions

    kind: Literal["corruptions"] = "corruptions"
    names: Annotated[
        Annotated[CorruptionSet, Tag("<set>")]
        | Annotated[tuple[Corruption, ...], Field(min_length=1), AfterValidator(_different), Tag("<list>")],
        Discriminator(_set_or_list),
        Field(description="all 19, the 15 common ones, the 4 for validation, or those listed"),
    ] = "all"
    severities: Annotated[
        tuple[Annotated[int, Field(ge=1, le=5), NUMBER], ...],
        Field(min_length=1, description="strengths, 1 to 5"),
        AfterValidator(_different),
    ] = (1, 2, 3, 4, 5)
    samples: Annotated[
        Annotated[int, Field(ge=1), NUMBER] | None, Field(description="examples drawn; else the whole holdout half")
    ] = None
    resamples: Annotated[int, Field(ge=100, le=100_000, description="bootstrap resamples"), NUMBER] = 2000

    @property
    def corrupts(self) -> bool:
        """Always."""
        return True

    @property
    def corruptions(self) -> tuple[Corruption, ...]:
        """The corruptions, by name."""
        return CORRUPTION_SETS[self.names] if isinstance(self.names, str) else self.names


def _section(result: Corruptions) -> Section:
    """The mean of each corruption and of all, and every severity in the figure."""
    columns: tuple[str, ...] = ("T: %", "T: NLL")
    if result.arm:
        columns += (f"{result.arm}: %", f"{result.arm}: NLL", "Δ points", "Δ NLL")
    rows = tuple(_row(mean) for mean in result.means)
    words = (_shows(result), _made(result), *([_intervals(result)] if result.arm else []))
    return Section("C-style corruptions", words, Table(columns, rows), _figure(result))


def _shows(result: Corruptions) -> str:
    clean, over_all = result.means[0], result.means[-1]
    worst = min(result.means[1:-1], key=lambda mean: mean.original.top1)
    sentence = (
        f"The original network has a top-1 of {fmt.score('top1', clean.original.top1)} % on the clean images and "
        f"{fmt.score('top1', over_all.original.top1)} % in the mean over the C-style corruptions; lowest under "
        f"{_name(worst)}, {fmt.score('top1', worst.original.top1)} %."
    )
    if over_all.tuned is None or over_all.top1_change is None:
        return sentence
    change = over_all.top1_change
    return (
        f"{sentence} {result.arm} has {fmt.score('top1', over_all.tuned.top1)} % on the corrupted images, "
        f"{fmt.change('top1', change.value)} points {fmt.change_interval('top1', change)}."
    )


def _made(result: Corruptions) -> str:
    severities = list(dict.fromkeys(str(scores.severity) for scores in result.scores))
    rows = f"means over the severities {', '.join(severities)}" if severities[1:] else f"of severity {severities[0]}"
    return (
        f"%: predictions that are right (top-1). Rows are {rows}. C-style: made here, by imagecorruptions-imaug, of "
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
    cells = [*_cells(mean.original)]
    if mean.tuned is not None and mean.top1_change is not None and mean.nll_change is not None:
        cells += _cells(mean.tuned)
        changes: tuple[tuple[Metric, Estimate], ...] = (("top1", mean.top1_change), ("nll", mean.nll_change))
        cells += [
            Cell(fmt.change(metric, change.value), fmt.change_interval(metric, change)) for metric, change in changes
        ]
    return Row(_name(mean), "", tuple(cells))


def _cells(scores: TopOneAndNll) -> tuple[Cell, ...]:
    return Cell(fmt.score("top1", scores.top1)), Cell(fmt.score("nll", scores.nll))


def _figure(result: Corruptions) -> Figure:
    """Corruptions by severities: top-1 lost against clean images by the original and, where it is tuned, the change."""
    clean = result.means[0].original.top1
    names = list(dict.fromkeys(scores.corruption for scores in result.scores))
    severities = list(dict.fromkeys(scores.severity for scores in result.scores))

    def table(value: Callable[[CorruptionScores], float]) -> list[list[float]]:
        values = {(scores.corruption, scores.severity): 100 * value(scores) for scores in result.scores}
        return [[values[name, severity] for severity in severities] for name in names]

    x_names = tuple((place + 0.5, str(severity)) for place, severity in enumerate(severities))
    y_names = tuple((place + 0.5, c_style(name)) for place, name in enumerate(names))
    lost = table(lambda scores: clean - scores.original.top1)
    most = max(1.0, *(max(row) for row in lost))
    first = Panel(
        (Cells(lost, "Oranges", 0.0, most, ".0f"),),
        title="original (T): points lost\nunder C-style corruption",
        x_label="severity",
        x_names=x_names,
        y_names=y_names,
        y_limits=(len(names), 0),
    )
    label = f"Top-1 lost under {len(names)} C-style corruptions by severity"
    if result.arm is None:
        return Figure(label, ((first,),), 8.6, 1.6 + 0.32 * len(names))
    change = table(lambda scores: (scores.tuned or scores.original).top1 - scores.original.top1)
    widest = max(1.0, *(abs(value) for row in change for value in row))
    second = Panel(
        (Cells(change, "PuOr", -widest, widest, "+.1f"),),
        title=f"{result.arm} minus T: change in points\nunder C-style corruption",
        x_label="severity",
        x_names=x_names,
    )
    label = f"{label}, and the change of {result.arm}"
    return Figure(label, ((first, second),), 8.6, 1.6 + 0.32 * len(names), share_y=True)
