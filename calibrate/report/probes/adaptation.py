"""Adapters on streams, one section for each stream."""

from calibrate.report import format as fmt
from calibrate.report.probes.words import subject
from calibrate.report.rows import Cell, Row, Table
from calibrate.report.section import Section
from calibrate.result import Adaptation, Estimate, MethodScores, StreamDiagnosis, StreamScores

COLUMNS = (
    "top-1 %",
    "minus no adaptation",
    "minus α-IEW",
    "NLL",
    "passes",
    "forgetting",
    "collapses",
    "resets",
    "deploys as",
)
NO_ADAPTATION = "no adaptation"
DEPLOYS = {
    "nothing": "what it is",
    "weights": "weights",
    "re-estimation": "weights, re-estimated",
    "runtime": "code beside it",
}


def adaptation_sections(result: Adaptation, place: int) -> tuple[Section, ...]:
    """For each stream what was diagnosed before, and how every method did."""
    return tuple(_section(result, stream, f"{place}-{number}") for number, stream in enumerate(result.streams))


def _section(result: Adaptation, scores: StreamScores, place: str) -> Section:
    def draw() -> str:
        from calibrate.report.probes.adaptation_plot import top1_along_the_stream

        return top1_along_the_stream(scores, place)

    return Section(
        f"Adaptation {subject(result.tuned)}: {scores.stream.title}",
        (diagnosis_words(scores.diagnosis), _columns(result, scores)),
        Table(COLUMNS, tuple(_row(item) for item in scores.methods)),
        draw,
    )


def diagnosis_words(diagnosis: StreamDiagnosis) -> str:
    """What the stream looked like before any adaptation, what to beware of, and what is recommended."""
    warnings = "".join(f" Beware ({item.code}): {fmt.printable(item.message)}." for item in diagnosis.warnings)
    recommended = NO_ADAPTATION if diagnosis.recommended is None else diagnosis.recommended.kind
    return (
        f"Diagnosis of the first {fmt.counted(diagnosis.measures.images, 'example')}, before any adaptation, without "
        f"labels: recommended is {recommended}, because {fmt.printable(diagnosis.reason)}.{warnings}"
    )


def _columns(result: Adaptation, scores: StreamScores) -> str:
    return (
        f"{fmt.counted(scores.visits, 'answer')} to {fmt.counted(result.images, 'example')} of the holdout half, each "
        f"scored when it is answered; means over {fmt.counted(result.seeds, 'order')} of the stream, and the standard "
        f"deviation. Differences are in points of top-1 on the same examples, with 95 % intervals (paired bootstrap, "
        f"{fmt.counted(result.resamples, 'resample')}). Passes: forward + backward for each batch, and those that tell "
        "a collapse. Forgetting: points of top-1 that the network lost, or gained, on the same examples as they are. "
        "Collapses: how often all answers became one class and the network went back to where it set out from; resets: "
        "those of the method itself."
    )


def _row(item: MethodScores) -> Row:
    checks = f" + {item.checks:.2g}" if item.checks else ""
    nll = "infinite" if item.nll is None else fmt.score("nll", item.nll)
    return Row(
        NO_ADAPTATION if item.method is None else item.method.kind,
        "",
        (
            Cell(fmt.score("top1", item.top1), "" if item.top1_sd is None else f"± {fmt.score('top1', item.top1_sd)}"),
            _difference(item.against_source),
            _difference(item.against_iew),
            Cell(nll),
            Cell(f"{item.forward:.3g} + {item.backward:.3g}{checks}"),
            Cell("" if item.source_change is None else fmt.change("top1", item.source_change)),
            Cell(f"{item.collapses:.3g}"),
            Cell(f"{item.resets:.3g}"),
            Cell(DEPLOYS[item.keeps]),
        ),
    )


def _difference(estimate: Estimate | None) -> Cell:
    if estimate is None:
        return Cell("")
    return Cell(fmt.change("top1", estimate.value), fmt.change_interval("top1", estimate))
