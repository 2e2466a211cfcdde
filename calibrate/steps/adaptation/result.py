"""What came of the probe, and how it reads."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Literal

from calibrate.page import format as fmt
from calibrate.page.figure import Color, Figure, Line, Panel
from calibrate.page.section import Cell, Row, Section, Table
from calibrate.page.words import subject
from calibrate.steps.adaptation.scores import MethodScores, StreamDiagnosis, StreamScores
from calibrate.steps.adaptation_methods import described, method_name, method_settings, stream_words
from calibrate.steps.step import ProbeResult
from calibrate.values import Estimate


class Adaptation(ProbeResult):
    """Adapters on streams, each in ``seeds`` orders."""

    kind: Literal["adaptation"] = "adaptation"
    seeds: int
    resamples: int
    streams: tuple[StreamScores, ...]

    def sections(self) -> tuple[Section, ...]:
        """A section for each stream."""
        return tuple(_section(self, scores) for scores in self.streams)


COLUMNS = ("top-1 %", "Δ points", "Δ to α-IEW", "NLL", "passes", "source", "resets", "deploys as")
_DEPLOYS: Mapping[str, str] = {
    "nothing": "as it is",
    "weights": "weights",
    "re-estimation": "re-estimate",
    "runtime": "run time",
}


def _section(result: "Adaptation", scores: StreamScores) -> Section:
    labels = method_labels(scores)

    return Section(
        f"Adaptation {subject(result.tuned)}: {scores.stream.title}",
        (
            diagnosis_words(scores.diagnosis),
            _shows(scores, labels),
            *_recommended(scores),
            *_settings(scores, labels),
            _columns(result, scores),
        ),
        Table(COLUMNS, tuple(map(_row, labels, scores.methods))),
        _figure(scores, labels),
    )


def method_labels(scores: StreamScores) -> tuple[str, ...]:
    """What table and figure call each method: its name, and a number where several have that name."""
    names = [method_name(item.method) for item in scores.methods]
    times = Counter(names)
    return tuple(
        f"{name} {names[: place + 1].count(name)}" if times[name] > 1 else name for place, name in enumerate(names)
    )


def diagnosis_words(diagnosis: StreamDiagnosis) -> str:
    """What the stream looks like before any adaptation, what to beware of, and what is recommended."""
    measures = diagnosis.measures
    parts = [
        f"batches of {fmt.count(measures.batch_size)}",
        f"label correlation {measures.correlation:.2f} (by chance up to {measures.correlation_by_chance:.2f})",
        f"{100 * measures.one_class:.0f} % of the predictions are of one class",
    ]
    if measures.mixture is not None:
        parts.append(f"mixture {measures.mixture:.2f}")
    if measures.shift is not None:
        parts.append(f"shift {measures.shift:.2f} deviations")
    seen = f"Seen in the first {fmt.counted(measures.images, 'prediction')}, without labels: {', '.join(parts)}."
    advice = "leave the network as it is" if diagnosis.recommended is None else described(diagnosis.recommended)
    warned = (f"Beware ({item.code}): {fmt.printable(item.message)}." for item in diagnosis.warnings)
    return " ".join((seen, *warned, f"Recommended: {advice}, since {fmt.printable(diagnosis.reason)}."))


def _shows(scores: StreamScores, labels: tuple[str, ...]) -> str:
    best, label = max(zip(scores.methods, labels, strict=True), key=lambda pair: pair[0].top1)
    top1 = f"{fmt.score('top1', best.top1)} %"
    if best.method is None:
        return f"No method has a higher top-1 than the network without adaptation, {top1}."
    against = [
        f"{_points(difference)} against {other}"
        for difference, other in ((best.against_source, "no adaptation"), (best.against_iew, "α-IEW"))
        if difference is not None
    ]
    return f"{label} has the highest top-1, {top1}: {' and '.join(against)}."


def _recommended(scores: StreamScores) -> tuple[str, ...]:
    """What came of the advice, as a paragraph; none where it was not tried, or is the network as it is."""
    advice = scores.diagnosis.recommended
    return tuple(
        f"What was recommended, {described(item.method)}: {_points(item.against_source)} against no adaptation."
        for item in scores.methods
        if item.method is not None and item.method == advice and item.against_source is not None
    )


def _points(difference: Estimate) -> str:
    return f"{fmt.change('top1', difference.value)} points {fmt.change_interval('top1', difference)}"


def _settings(scores: StreamScores, labels: tuple[str, ...]) -> tuple[str, ...]:
    """The settings by which rows differ from the methods' defaults, as a paragraph or none."""
    given = [
        f"{label}: {settings}"
        for item, label in zip(scores.methods, labels, strict=True)
        if item.method is not None and (settings := method_settings(item.method))
    ]
    return (f"Settings that are not default: {'; '.join(given)}.",) if given else ()


def _columns(result: Adaptation, scores: StreamScores) -> str:
    orders = f"{result.seeds} orders" if result.seeds > 1 else "one order"
    spread = ", with the standard deviation over these" if result.seeds > 1 else ""
    return (
        f"{fmt.counted(scores.visits, 'prediction')} for {fmt.counted(result.images, 'example')} of the holdout half "
        f"({stream_words(scores.stream)}), in {orders}; means over them. top-1: right when predicted{spread}. Δ: the "
        "method minus no adaptation, and minus α-IEW, on the same examples, with 95 % intervals over redrawn examples "
        f"({fmt.counted(result.resamples, 'resample')}); of 20 rows without an effect one leaves out 0 by chance, and "
        "the best of many is flattered by the choice. Passes: forward + backward for each batch; beneath, where "
        "there were any, those of the source network that told collapses. Source: top-1 of the adapted network "
        "after the stream minus before, on the examples as they are, in points: what was forgotten. Resets: "
        "collapses after which the network went back to the source, + those that the method made itself. Deploys "
        "as: weights; re-estimate: as weights, once running statistics are re-estimated; run time: with code that "
        "adapts. Labels are used to score only."
    )


def _row(label: str, item: MethodScores) -> Row:
    cells = (
        Cell(fmt.score("top1", item.top1), "" if item.top1_sd is None else f"± {fmt.score('top1', item.top1_sd)}"),
        _difference(item.against_source),
        _difference(item.against_iew),
        Cell("not finite" if item.nll is None else fmt.score("nll", item.nll)),
        Cell(f"{item.forward:.2g}+{item.backward:.2g}", f"+{item.checks:.2g}" if item.checks else ""),
        Cell("" if item.source_change is None else fmt.change("top1", item.source_change)),
        Cell(f"{item.collapses:.2g}+{item.resets:.2g}"),
        Cell(_DEPLOYS[item.keeps], fmt.counted(item.learned, "tensor") if item.learned else ""),
    )
    return Row(label, "", cells)


def _difference(estimate: Estimate | None) -> Cell:
    if estimate is None:
        return Cell("")
    return Cell(fmt.change("top1", estimate.value), fmt.change_interval("top1", estimate))


#: What a line for each method is drawn in, which all readers can tell apart, and markers for more methods than colors.
_COLORS: tuple[Color, ...] = ("blue", "orange", "green", "purple", "yellow", "sky", "grey")
_MARKERS = "osD^vP"


def _figure(scores: StreamScores, labels: Sequence[str]) -> Figure:
    """Top-1 in each part of the stream, a line for each method; dashed in black without adaptation."""
    lines: list[Line] = []
    colors = cycle(_COLORS)
    for number, (label, item) in enumerate(zip(labels, scores.methods, strict=True)):
        parts = range(1, len(item.segments) + 1)
        heights = [100 * top1 for top1 in item.segments]
        if item.method is None:
            lines.append(Line(parts, heights, "black", label, ".", "--", 1.4, 6))
        else:
            width = 4.0 - 3.0 * number / max(1, len(labels) - 1)  # of lines on one another, all show
            lines.append(Line(parts, heights, next(colors), label, _MARKERS[number % len(_MARKERS)], "-", width, 4))
    panel = Panel(
        tuple(lines),
        x_label="part of the stream, in order",
        y_label="top-1 %",
        x_whole=True,
        narrow=True,
        legend="outside right",
    )
    label = (
        f"Top-1 over the parts of a stream ({scores.stream.title}) of {len(labels) - 1} adaptation methods and "
        "without adaptation"
    )
    return Figure(label, ((panel,),), 8.0, 3.8)
