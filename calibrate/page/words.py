"""What the sections of several probes say in the same words."""

from collections.abc import Sequence

from calibrate.page import format as fmt


def subject(tuned: bool) -> str:
    """Which network was probed.

    >>> subject(False)
    'of the original network'
    """
    return "of the tuned network" if tuned else "of the original network"


def layer_label(name: str) -> str:
    """How a table calls a layer."""
    return fmt.printable(name) or "(the network itself)"


def left_out_words(names: Sequence[str], why: str) -> tuple[str, ...]:
    """Which layers were left out and why, as paragraphs: one, or none.

    >>> left_out_words(["bn", "a.gn", "b.gn", "c.gn"], "frozen, or never called")
    ('Left out: 4 layers (bn, a.gn, b.gn, ...), each frozen, or never called.',)
    """
    if not names:
        return ()
    shown = ", ".join(map(layer_label, names[:3])) + (", ..." if names[3:] else "")
    return (f"Left out: {fmt.counted(len(names), 'layer')} ({shown}), each {why}.",)
