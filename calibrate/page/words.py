"""What the sections of several probes say in the same words."""

from collections.abc import Sequence
from typing import Literal, Protocol

from calibrate.page import format as fmt

#: What of a layer is NaN or Inf: its own statistics, or only what comes in.
NotFinite = Literal["", "statistics", "inputs"]


class ProbedLayer(Protocol):
    """A layer that was probed."""

    @property
    def name(self) -> str:
        """Its first name."""
        ...

    @property
    def not_finite(self) -> NotFinite:
        """What of it is not finite, if anything."""
        ...


def subject(tuned: bool) -> str:
    """Which network was probed.

    >>> subject(False)
    'of the original network'
    """
    return "of the tuned network" if tuned else "of the original network"


def layer_label(name: str) -> str:
    """How a table calls a layer."""
    return fmt.printable(name) or "(the network itself)"


def names_words(names: Sequence[str]) -> str:
    """Layers by their names; of more than three the first ones and their number.

    >>> names_words(["bn1"]), names_words(["a", "b"]), names_words(["a", "b", "c", "d"])
    ('bn1', 'a and b', '4 layers (a, b, c, ...)')
    """
    if len(names) > 3:
        return f"{fmt.counted(len(names), 'layer')} ({', '.join(map(layer_label, names[:3]))}, ...)"
    *most, last = map(layer_label, names)
    return f"{', '.join(most)} and {last}" if most else last


def not_finite_words(layers: Sequence[ProbedLayer]) -> str:
    """Which ``layers`` the sentences that follow leave out because they are not finite; empty where all are."""
    statistics = [layer.name for layer in layers if layer.not_finite == "statistics"]
    inputs = [layer.name for layer in layers if layer.not_finite == "inputs"]
    parts = [f"the running statistics of {names_words(statistics)}"] if statistics else []
    parts += [f"the inputs of {names_words(inputs)}"] if inputs else []
    return f"Not finite (NaN or Inf) are {' and '.join(parts)}. " if parts else ""


def left_out_words(names: Sequence[str], why: str) -> tuple[str, ...]:
    """Which layers were left out and why, as paragraphs: one, or none.

    >>> left_out_words(["bn", "a.gn", "b.gn", "c.gn"], "frozen, or never called")
    ('Left out: 4 layers (bn, a.gn, b.gn, ...), each frozen, or never called.',)
    """
    if not names:
        return ()
    shown = ", ".join(map(layer_label, names[:3])) + (", ..." if names[3:] else "")
    return (f"Left out: {fmt.counted(len(names), 'layer')} ({shown}), each {why}.",)
