"""What a network took of a file: which weights, under which names, and what was left out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from calibrate.io.state_dicts import USUAL, is_averaged
from calibrate.result import Finding

#: So many names, or groups of names, stand in a finding.
SHOWN = 5


@dataclass(frozen=True, eq=False)
class TakenWeights:
    """The tensors for a network under its own names, and the dotted ``path`` in the file that they were taken from.

    ``others`` are the paths of further weights that fit, ``unfit`` of averaged weights that do not. ``left_out`` are
    names of entries that are not the network's; ``doubtful`` are those that predictions may need, though this
    architecture lacks them. ``made_whole`` are weights that the file stores in parts, by their kind. ``observers`` are
    entries of quantisation-aware training.
    """

    state: dict[str, Tensor]
    path: str = ""
    others: tuple[str, ...] = ()
    unfit: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()
    made_whole: Mapping[str, str] = field(default_factory=dict)
    observers: tuple[str, ...] = ()

    @property
    def is_usual(self) -> bool:
        """Whether they lie where training scripts keep the weights that they mean."""
        return not self.path or self.path.partition(".")[0] in USUAL

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the reader should know of it; nothing of prefixes and wrappers alone."""
        return tuple(self._findings())

    def _findings(self) -> Iterator[Finding]:
        if self.others or self.unfit or is_averaged(self.path):
            doubtful = not self.is_usual and not all(map(is_averaged, self.others))
            yield Finding(code="weights-taken", severity="warning" if doubtful else "info", message=self._taken())
        if self.left_out:
            yield Finding(
                code="entries-left-out",
                severity="info",
                message=f"left out of the file, as the network has no part for {_it(self.left_out)}: "
                f"{_counted(self.left_out)}, {grouped(self.left_out)}.",
            )
        if self.doubtful:
            yield Finding(
                code="entries-beside-network",
                severity="warning",
                message=f"left out of the file, beside the weights of the network: {_counted(self.doubtful)}, "
                f"{grouped(self.doubtful)}. If predictions need {_it(self.doubtful)}, as they need a normalisation "
                "before the network or a head behind it, they are wrong without: name the architecture that has "
                f"{_it(self.doubtful)} (--architecture package.module:factory).",
            )
        for kind in dict.fromkeys(self.made_whole.values()):
            names = [name for name, its in self.made_whole.items() if its == kind]
            masks = " The masks are not kept: fine-tuning would let the zeros learn." if kind == "pruned" else ""
            yield Finding(
                code="weights-made-whole",
                severity="info",
                message=f"stored in parts ({kind}), and computed from these as torch does in evaluation: "
                f"{first_of(names)}{f', {len(names)} in all' if names[SHOWN:] else ''}.{masks}",
            )
        if self.observers:
            yield Finding(
                code="quantisation-aware",
                severity="warning",
                message="the file comes from quantisation-aware training, and what is measured and tuned is the float "
                f"network; left out of its observers: {_counted(self.observers)}, {first_of(self.observers)}. Quantise "
                "the tuned network anew.",
            )

    def _taken(self) -> str:
        said = f"the weights were taken from {called(self.path)}"
        if self.others:
            said += f"; others in the file fit too: {first_of(map(called, self.others))}"
            said += ". Averaged weights often score higher" if any(map(is_averaged, self.others)) else ""
            said += f"; choose with --weights {self.others[0] or '.'}"
        if self.unfit:
            also = "also " if self.others else ""
            said += (
                f"; averaged weights {also}lie in {', '.join(map(called, self.unfit))}, which do not fill the network"
            )
        return f"{said}."


def called(path: str) -> str:
    """How a path in a file is called in a sentence; that of the file itself is empty."""
    return path or "the file itself (.)"


def grouped(names: Iterable[str]) -> str:
    """Names in brief: those that begin alike as one, with their number, and so many groups at most.

    >>> grouped(["epoch", "loss.weight", "teacher.a", "teacher.b", "teacher.c"])
    'epoch, loss.weight, teacher.* (3)'
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.partition(".")[0], []).append(name)
    return first_of([f"{head}.* ({len(group)})" if group[1:] else group[0] for head, group in groups.items()])


def first_of(names: Iterable[str]) -> str:
    """The first of ``names`` for a sentence, and dots where there are more.

    >>> first_of("abcdefg")
    'a, b, c, d, e, ...'
    """
    several = list(names)
    return ", ".join(several[:SHOWN]) + (", ..." if several[SHOWN:] else "")


def _it(names: tuple[str, ...]) -> str:
    return "them" if names[1:] else "it"


def _counted(names: tuple[str, ...]) -> str:
    return f"{len(names)} entries" if names[1:] else "1 entry"
