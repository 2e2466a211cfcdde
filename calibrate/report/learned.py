"""How a learning step reads: in a line, and epoch by epoch as a section."""

from calibrate.page import format as fmt
from calibrate.page.section import ABSENT, Cell, Row, Section, Table
from calibrate.result import Summary
from calibrate.steps import Learned

COLUMNS = ("learned from, NLL", "held back, NLL after T")
_WHAT = {"learn_alpha": "α", "tune_affine": "γ and β"}


def learned_words(item: Learned) -> str:
    """What was learned from how many examples, whether it was kept, and why."""
    epochs = fmt.counted(len(item.epochs) - 1, "epoch")
    outcome = f"epoch {item.kept} kept" if item.kept else "the start kept"
    return f"{_of(item)} in {epochs} on {_examples(item)}; {outcome}: {fmt.printable(item.reason)}"


def learned_sections(summary: Summary) -> tuple[Section, ...]:
    """The epochs of each learning step, in the order of the recipe."""
    return tuple(_section(item) for item in summary.learned)


def _section(item: Learned) -> Section:
    return Section(
        f"Learning {_of(item)}",
        (_shows(item), _columns(item)),
        Table(COLUMNS, tuple(_row(item, number) for number in range(len(item.epochs)))),
    )


def _row(item: Learned, number: int) -> Row:
    epoch = item.epochs[number]
    learned = ABSENT if epoch.learned_nll is None else fmt.score("nll", epoch.learned_nll)
    note = "kept" if number == item.kept else "best" if number == item.best else ""
    return Row(
        f"epoch {number}" if number else "start", note, (Cell(learned), Cell(fmt.score("nll", epoch.held_back_nll)))
    )


def _shows(item: Learned) -> str:
    outcome = f"Epoch {item.kept} was kept" if item.kept else "The start was kept"
    shows = f"{outcome}: {fmt.printable(item.reason)}."
    if not item.changed:
        return shows
    furthest = max(item.changed, key=lambda tensor: tensor.change)
    tensors = fmt.counted(len(item.changed), "tensor")
    return f"{shows} It changed {tensors}, {fmt.printable(furthest.name)} the most: by {furthest.change:.2g} (RMS)."


def _columns(item: Learned) -> str:
    return (
        f"On {_examples(item)}. Learned from: mean over the epoch, each batch before its step, of the logits over the "
        f"temperature at the start, T = {fmt.short(item.temperature)}. Held back: when the epoch ended, each at its "
        "own best temperature."
    )


def _of(item: Learned) -> str:
    return f"{_WHAT[item.kind]} per {item.per}" if item.per else _WHAT[item.kind]


def _examples(item: Learned) -> str:
    return (
        f"{fmt.counted(item.learned_from, 'example')} of the calibration half, judged on {fmt.count(item.held_back)} "
        "held back of it"
    )


def probe_sections(summary: Summary) -> tuple[Section, ...]:
    """The sections of each probe, in the order of the recipe."""
    return tuple(section for result in summary.probes for section in result.sections())
