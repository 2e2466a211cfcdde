"""The step ``search_statistics``: how much of the stored running statistics to keep, searched."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from calibrate.page import format as fmt
from calibrate.page.figure import Band, Figure, Line, Mark, Panel, Rule
from calibrate.page.section import Cell, Row, Section, Table
from calibrate.steps.reestimate import Moved, moved_words
from calibrate.steps.step import Sites, StepResult, StepValue, TrainingDataUse
from calibrate.values import NUMBER, Value

#: λ at the first and at the last of the layers, in the order in which an input comes to them.
Weights = tuple[float, float]

Weight = Annotated[float, Field(ge=0, lt=1), NUMBER]


class MixPoint(Value):
    """The examples to choose on at one mix, λ ``first`` and ``last``, linear in between; the lowest ``value`` is best.

    That is the cross-entropy after its best ``temperature``, or minus the mutual information. ``low`` and ``high`` are
    the 95 % interval of the paired difference from λ = 1, added to the value there. ``nll`` is before the temperature.
    """

    first: float
    last: float
    value: float
    low: float
    high: float
    nll: float | None = None
    temperature: float | None = None
    top1: float | None = None


class StatisticsChoice(Value):
    """Which mix was ``chosen``, and why; ``best`` has the lowest value, ``best_single`` of those with one λ.

    ``gain`` is how much lower the criterion is at ``chosen`` than at λ = 1, with its ``standard_error``; both are 0
    where λ = 1 is chosen. The first point is the network as it came.
    """

    points: tuple[MixPoint, ...]
    chosen: Weights
    best: Weights
    best_single: float
    gain: float
    standard_error: float
    reason: str


class StatisticsSearch(StatisticsChoice, StepResult):
    """The choice on ``n`` examples of the calibration half, and how far the statistics of ``layers`` moved.

    The new statistics are of ``images`` examples, of the calibration half or the training data (``on``); while
    searching, of ``searched_images`` of them, as many as ``memory_bytes`` have room for. ``prior`` is how many images
    the stored statistics then count as much as, at the first and the last layer; None is without end. ``passes`` are
    forward passes, each of as many examples as the calibration half has.
    """

    kind: Literal["search_statistics"] = "search_statistics"
    criterion: Literal["labels", "mutual_information"]
    on: Literal["calibration", "training"]
    n: int
    searched_images: int
    images: int
    memory_bytes: int
    prior: tuple[float | None, float | None]
    passes: float
    layers: tuple[Moved, ...] = ()

    @property
    def tuned_parts(self) -> tuple[str, ...]:
        """The statistics, where a layer got new ones."""
        return ("mixed statistics",) if self.layers else ()

    def sections(self) -> tuple[Section, ...]:
        """What was chosen and why, and what was measured at each λ."""
        columns = ("NLL after T", "T", "top-1 %") if self.criterion == "labels" else ("criterion",)
        table = Table(columns, tuple(_row(self, point) for point in self.points))
        paragraphs = (_shows(self), _how(self), *moved_words(self.layers))
        return (Section("Search for λ, the weight of the stored statistics", paragraphs, table, _figure(self)),)


class SearchStatistics(StepValue):
    """Mix stored and re-estimated running statistics, by the best weight.

    Choose on the calibration half how much of their stored statistics the matching BatchNorm layers keep.

    λ = 1 is the network as it came, λ = 0 plain re-estimation. The new statistics are of the calibration half or, with
    ``on: training``, of the training data, whose labels are not used. ``labels``: the lowest cross-entropy after its
    own best temperature. ``mutual_information``: predictions that are sure, and not all of one class, without labels,
    where the logits first get the spread that they had at λ = 1: a network that is merely surer is no better.
    After λ = 1 and the ``grid`` two points around the best are tried; with ``search: line`` then λ that falls or rises
    from the first layer to the last. The best must beat λ = 1, and a line the best single λ, by more than ``margin``
    paired standard errors (of n < 64 examples 64/n times as many), and what is chosen is evaluated once more as it will
    be; else the stored ones stay.

    With m and v the mean and variance of a layer's inputs while the layers before it have their mixed statistics, and
    s from 0 at the first layer to 1 at the last::

        λ = (1 − s)·λ_first + s·λ_last
        rm ← λ·rm + (1 − λ)·m
        rv ← λ·rv + (1 − λ)·v + λ(1 − λ)(m − rm)²

    *Changes nothing when* no λ beats 1 by more than ``margin`` standard errors.

    *Helps when* the data differ from the training data and all alike: other cameras, compression, light, noise. Early
    layers often keep their statistics and late ones take new ones.

    *Does not help when* the data are like the training data; then λ stays 1.

    Cost: at most 11 passes over the calibration half, 9 of which take about twice as long as others, while its
    activations fit into the memory; else the search is made on as many examples as do. With ``on: training`` each of
    these is one over the training data, and one over the calibration half. In inference nothing: the result folds into
    the convolutions.

    Limits: the statistics are of one mixture of conditions and classes, and belong to that. Mutual information is no
    accuracy: only labels show what the choice is worth. Layers called several times cost more, see reestimate.

    Reference: Schneider et al., NeurIPS 2020, Eq. 3 (a fixed weight); relatives that mix with the statistics of the
    test batch: You et al., Test-time Batch Statistics Calibration for Covariate Shift, 2021; Lim et al., TTN, ICLR 2023
    """

    tunes = True
    result = StatisticsSearch
    uses_training_data = "with `on: training`"

    kind: Literal["search_statistics"] = "search_statistics"
    criterion: Annotated[Literal["labels", "mutual_information"], Field(description="what the choice goes by")] = (
        "labels"
    )
    on: Annotated[Literal["calibration", "training"], Field(description="which data the new statistics are of")] = (
        "calibration"
    )
    search: Annotated[Literal["one", "line"], Field(description="one λ for all layers, or also lines over depth")] = (
        "line"
    )
    grid: Annotated[
        tuple[Weight, ...], Field(min_length=1, max_length=20, description="the λ below 1 that are tried first")
    ] = (0.9, 0.6, 0.0)
    margin: Annotated[float, Field(ge=0, le=10, description="standard errors by which λ must beat 1"), NUMBER] = 1.0
    memory_mib: Annotated[
        Annotated[int, Field(ge=1), NUMBER] | None,
        Field(description="memory for activations while searching, in MiB; else a quarter of what there is"),
    ] = None
    sites: Sites = ("*",)

    @property
    def needs_labels(self) -> bool:  # type: ignore[override]
        """Where they are the criterion."""
        return self.criterion == "labels"

    @property
    def training_data(self) -> TrainingDataUse:
        """Needed where the statistics are of training data."""
        return "required" if self.on == "training" else "unused"

    @property
    def changes_normalization(self) -> bool:
        """Always."""
        return True

    @model_validator(mode="after")
    def _grid_without_repeats(self) -> Self:
        if len(set(self.grid)) < len(self.grid):
            raise ValueError(f"grid is {list(self.grid)}, which has a λ twice; name each once")
        return self


def mix_words(weights: Weights) -> str:
    """λ in words.

    >>> mix_words((0.8, 0.8)), mix_words((1.0, 0.5))
    ('λ = 0.8', 'λ = 1 at the first layer to 0.5 at the last')
    """
    first, last = map(fmt.short, weights)
    return f"λ = {first}" if weights[0] == weights[1] else f"λ = {first} at the first layer to {last} at the last"


_LABELS = {"labels": "", "mutual_information": ", without labels"}
_WHICH = {"calibration": "calibration half", "training": "training data"}


def _shows(search: StatisticsSearch) -> str:
    label_free = _LABELS[search.criterion]
    return f"Chose {mix_words(search.chosen)}{label_free}: {fmt.printable(search.reason).rstrip('.')}."


def _how(search: StatisticsSearch) -> str:
    passes = fmt.counted_roughly(search.passes, "pass", "passes")
    words = f"Chosen on {fmt.counted(search.n, 'example')} of the calibration half ({passes}); "
    if search.searched_images < search.images:
        words += (
            f"while searching, the statistics were of {fmt.count(search.searched_images)} of "
            f"{fmt.counted(search.images, 'example')}, which is what the memory had room for; "
        )
    if search.chosen != (1.0, 1.0):
        words += f"the new statistics are of {fmt.counted(search.images, 'example')} of the {_WHICH[search.on]}"
        words += f", and beside them the stored ones count as much as {_prior_words(search)}; "
    words += "in brackets is the 95 % interval of the difference from λ = 1, added to the value there."
    if search.criterion == "mutual_information":
        words += " Only a measurement with labels shows whether it helps."
    return words


def _prior_words(search: StatisticsSearch) -> str:
    first, last = ("any number of" if strength is None else fmt.count(round(strength)) for strength in search.prior)
    return f"{first} examples" if first == last else f"{first} at the first layer to {last} at the last"


def _row(search: StatisticsSearch, point: MixPoint) -> Row:
    value = Cell(f"{point.value:.4f}", f"[{point.low:.4f}, {point.high:.4f}]")
    cells: tuple[Cell, ...] = (value,)
    if point.temperature is not None and point.top1 is not None:
        cells = (value, Cell(fmt.short(point.temperature)), Cell(fmt.score("top1", point.top1)))
    weights = (point.first, point.last)
    label = f"λ = {fmt.short(point.first)}" if point.first == point.last else " → ".join(map(fmt.short, weights))
    return Row(label, "chosen" if weights == search.chosen else "", cells)


def _figure(search: StatisticsSearch) -> Figure:
    """The criterion against the weight of the new statistics; lines over depth stand at their mean."""
    singles = [point for point in search.points if point.first == point.last]
    lines = [point for point in search.points if point.first != point.last]
    x, y = [1 - point.first for point in singles], [point.value for point in singles]
    name = "NLL after its best T" if search.criterion == "labels" else "minus mutual information"
    marks: list[Mark] = [
        Line(x, y, "blue", f"{name}, one λ", "o", "-", 1.5, 4),
        Band(x, [p.low for p in singles], [p.high for p in singles], "blue", "95 % of the difference from λ = 1", 0.2),
    ]
    if lines:
        means = [1 - (point.first + point.last) / 2 for point in lines]
        marks.append(Line(means, [point.value for point in lines], "purple", "a line over depth", "D", "", size=6))
    chosen = f"chosen: {mix_words(search.chosen)}"
    marks.append(Rule(x=1 - sum(search.chosen) / 2, color="orange", label=chosen, dash="-", width=5, opacity=0.3))
    panel = Panel(
        tuple(marks),
        x_label="1 − λ, the weight of the new statistics (their mean over depth)",
        y_label="nats (less is better)",
        legend="best",
    )
    return Figure(f"{name} against the weight of the new statistics; {chosen}", ((panel,),), 7.0, 3.6)
