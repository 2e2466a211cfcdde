"""Findings: what a reader should know; and conditions, what statistics health says of single layers, as findings."""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from pydantic import Field

from calibrate.page import format as fmt
from calibrate.values import Value

ConditionKind = Literal[
    "statistics-not-finite",
    "statistics-never-filled",
    "variance-too-small",
    "variance-too-large",
    "mean-far",
    "eps-matters",
    "variance-beyond-float16",
    "layer-idle",
    "layer-repeated",
    "batch-norm-folded",
]

#: So many layers of one kind are named, and so many channels of one layer.
NAMED: Final = 3
LISTED_CHANNELS: Final = 4


class Finding(Value):
    """Something the reader should know, with a stable code."""

    code: str
    severity: Literal["info", "warning"]
    message: str


class LayerCondition(Value):
    """What there is to say of one layer: a ``kind``, which is also the code of the finding, and its cure.

    ``names`` are all names of the layer. ``affected`` of its ``channels`` are meant, of which ``first`` are the first
    few; ``numbers`` say how far it goes, by their names. ``sick`` is a layer whose statistics are wrong; the other
    kinds are only worth knowing.
    """

    kind: ConditionKind
    names: tuple[str, ...]
    channels: int = 0
    affected: int = 0
    first: tuple[int, ...] = ()
    numbers: dict[str, float] = Field(default_factory=dict)
    cure: str
    sick: bool = False

    @property
    def layer(self) -> str:
        """The first name, in the order of the network's definition."""
        return self.names[0]


def condition_findings(conditions: Iterable[LayerCondition]) -> tuple[Finding, ...]:
    """The conditions as findings: those of one kind, with one cure, are one sentence; sick ones first.

    >>> spare = LayerCondition(kind="layer-idle", names=("spare",), cure="Leave it out.")
    >>> condition_findings([spare])[0].message
    'no input reaches the layer spare. Leave it out.'
    """
    groups: dict[tuple[bool, str, str], list[LayerCondition]] = {}
    for item in sorted(conditions, key=lambda condition: not condition.sick):
        groups.setdefault((item.sick, item.kind, item.cure), []).append(item)
    return tuple(
        Finding(code=kind, severity="warning" if sick else "info", message=f"{_said(group)}. {cure}")
        for (sick, kind, cure), group in groups.items()
    )


def sick_words(conditions: Iterable[LayerCondition]) -> str:
    """What is wrong with the sick ones of ``conditions``, in a clause for an error; empty where none is."""
    groups: dict[str, list[LayerCondition]] = {}
    for item in conditions:
        if item.sick:
            groups.setdefault(item.kind, []).append(item)
    return "; ".join(map(_said, groups.values()))


def _said(group: Sequence[LayerCondition]) -> str:
    """The sentence of one kind, without a full stop."""
    one, which = len(group) == 1, _which(group)
    layer = f"the layer {which}" if one else which
    numbers = {name: [item.numbers[name] for item in group if name in item.numbers] for name in _names(group)}
    match group[0].kind:
        case "statistics-not-finite":
            return f"the running statistics of {which} are not finite (NaN, Inf or a negative variance)"
        case "statistics-never-filled":
            counted = int(max(numbers.get("batches", [0.0])))
            batches = f", although {fmt.counted(counted, 'batch', 'batches')} went by" if counted else ""
            return f"the running statistics of {which} were never filled: all means are 0, all variances 1{batches}"
        case "variance-too-small":
            return (
                f"the running variance of {which} is next to nothing where the inputs do vary: normalised by it they "
                f"come out up to {max(numbers['normalised']):.3g} standard deviations large"
            )
        case "variance-too-large":
            seen = numbers.get("inputs")
            against = f", and up to {max(numbers['times']):.2g} times that of the inputs" if seen else ""
            return f"the running variance of {which} is enormous, up to {max(numbers['variance']):.3g}{against}"
        case "mean-far":
            fits = "" if group[0].sick else ", as its inputs have it" if one else ", as their inputs have it"
            return (
                f"the running mean of {which} is up to {max(numbers['deviations']):.3g} running standard deviations "
                f"from 0{fits}"
            )
        case "eps-matters":
            return f"in {layer} the running variance is 10·eps or less, so eps decides what comes out{_effect(numbers)}"
        case "variance-beyond-float16":
            return f"the running variance of {which} is up to {max(numbers['variance']):.3g}, and float16 ends at 65504"
        case "layer-idle":
            return f"no input reaches {layer}"
        case "layer-repeated":
            calls = sorted({int(count) for count in numbers["calls"]})
            times = f"{calls[0]}" if len(calls) == 1 else f"{calls[0]} to {calls[-1]}"
            return f"an input reaches {layer} {times} times"
        case _:
            return f"BatchNorm was folded away at {which}, or never was there: the convolutions have a bias instead"


def _names(group: Sequence[LayerCondition]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for item in group for name in item.numbers))


def _effect(numbers: dict[str, list[float]]) -> str:
    """How far the probabilities move when eps does."""
    if "change_at_10_eps" not in numbers:
        return ""
    up, down = numbers["change_at_10_eps"][0], numbers["change_at_0.1_eps"][0]
    return f": eps × 10 moves {100 * up:.2g} % of an example's probability in the mean, eps × 0.1 {100 * down:.2g} %"


def _which(group: Sequence[LayerCondition]) -> str:
    """The layers by name, each with its channels where not all are meant."""
    if len(group) == 1:
        name, channels = _layer(group[0])
        return f"{name} ({channels})" if channels else name
    shown = [": ".join(filter(None, _layer(item))) for item in group[:NAMED]]
    more = [f"{len(group) - NAMED} more"] if group[NAMED:] else []
    return f"{len(group)} layers ({'; '.join((*shown, *more))})"


def _layer(item: LayerCondition) -> tuple[str, str]:
    """A layer's names, and its channels where not all are meant."""
    name = " = ".join(item.names) or "the network itself"
    if item.affected in (0, item.channels):
        return name, ""
    listed = ", ".join(map(str, item.first)) + (", ..." if item.affected > len(item.first) else "")
    return name, f"{item.affected} of {item.channels} channels: {listed}"
