"""Decisions: what tracing a network settled by the size of its example, and the sizes that would have settled it else.

A branch such as ``if x.shape[0] > 100`` is taken or left once, when the network is traced, and the graph does the same
for every size. What the size was compared with says at which sizes the graph must be tried.
"""

import contextlib
import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import sympy
import torch
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils._sympy.printers import PythonPrinter

from calibrate.export.reasons import at, is_users, last_users_line

#: What the dimensions of an input are called that may be free, by how many it has: a batch, and behind the channels …
BATCH = "batch"
SPATIAL = {3: ("length",), 4: ("height", "width"), 5: ("depth", "height", "width")}

#: A size of each dimension that is free, by its name.
Sizes = Mapping[str, int]

#: The sizes at which a decision is looked at: every one of the usual, and some above.
LOOKED_AT = (*range(1, 1025), *(2**power for power in range(11, 17)))


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """A condition on the free ``dimensions`` that tracing took for granted, and the line of the network that asked.

    ``is_number``: a dimension, or what was computed of it, was taken as a number.
    """

    condition: str
    dimensions: tuple[str, ...]
    is_number: bool
    place: str
    _holds: Callable[..., object]

    def holds(self, sizes: Sizes) -> bool:
        """Whether inputs of such ``sizes`` meet the condition; so do those for which it cannot be computed."""
        try:
            return bool(self._holds(*(sizes[name] for name in self.dimensions)))
        except ArithmeticError:
            return True

    def otherwise(self, sizes: Sizes) -> dict[str, int] | None:
        """The sizes that differ least from ``sizes``, in one dimension, and do not meet the condition; None without."""
        for name in self.dimensions:
            for size in sorted(LOOKED_AT, key=lambda size: abs(size - sizes[name])):
                other = {**sizes, name: size}
                if not self.holds(other):
                    return other
        return None

    def __str__(self) -> str:
        return f"{self.condition}{self.place}"


def otherwise(decisions: Iterable[Decision], example: Sizes, tried: Iterable[Sizes]) -> list[dict[str, int]]:
    """Sizes near the ``example``'s, for each decision one that none of those ``tried`` already puts to the proof."""
    known, new = list(tried), []
    for decision in decisions:
        if all(map(decision.holds, known)) and (sizes := decision.otherwise(example)) is not None:
            known.append(sizes)
            new.append(sizes)
    return new


def against(decisions: Iterable[Decision], sizes: Sizes) -> Decision | None:
    """The decision that inputs of such ``sizes`` would not have led to: one with a line of the network, if any has."""
    found = [decision for decision in decisions if not decision.holds(sizes)]
    return next((decision for decision in found if decision.place), found[0] if found else None)


def fixed_at(decisions: Sequence[Decision], dimension: str) -> str:
    """Where the network made a number of a ``dimension``; empty where that is not known."""
    about = [item for item in decisions if dimension in item.dimensions and item.place]
    about.sort(key=lambda item: (not item.is_number, len(item.dimensions)))
    return about[0].place if about else ""


@contextlib.contextmanager
def watching_decisions(free: Mapping[int, str]) -> Iterator[list[Decision]]:
    """Every decision that tracing makes meanwhile about the ``free`` dimensions, by their numbers, each listed once.

    Limits: it holds for the whole process, and for networks of one input.
    """
    made: dict[tuple[object, object], Decision | None] = {}
    decisions: list[Decision] = []
    original = ShapeEnv.evaluate_expr

    def evaluate(environment: ShapeEnv, expression: sympy.Basic, *args: Any, **kwargs: Any) -> sympy.Basic:
        value = original(environment, expression, *args, **kwargs)
        if (expression, value) not in made:
            decision = made[expression, value] = _decision(environment, expression, value, free)
            if decision is not None:
                decisions.append(decision)
        return value

    ShapeEnv.evaluate_expr = evaluate  # type: ignore[method-assign, assignment]
    try:
        yield decisions
    finally:
        ShapeEnv.evaluate_expr = original  # type: ignore[method-assign]


def _decision(environment: ShapeEnv, expression: Any, value: Any, free: Mapping[int, str]) -> Decision | None:
    """What it means that ``expression`` has the ``value``; None where it is not about free dimensions alone."""
    symbols = sorted(getattr(expression, "free_symbols", ()), key=str)
    names = [free.get(_dimension(environment, symbol)) for symbol in symbols]
    dimensions = tuple(name for name in names if name is not None)
    if not symbols or len(dimensions) < len(symbols):
        return None
    named = expression.xreplace({old: sympy.Symbol(new) for old, new in zip(symbols, dimensions, strict=True)})
    is_number = not isinstance(value, bool | sympy.logic.boolalg.BooleanAtom)
    condition = sympy.Eq(named, value, evaluate=False) if is_number else named if value else sympy.Not(named)
    try:
        text = f"lambda {', '.join(dimensions)}: {PythonPrinter().doprint(condition)}"
        holds = eval(text, {"__builtins__": {}, "min": min, "max": max})  # noqa: S307  (torch printed it)
    except SyntaxError:  # a function that Python lacks
        return None
    return Decision(_words(condition), dimensions, is_number, _place(sys._getframe(2)), holds)


def _words(condition: sympy.Basic) -> str:
    """A ``condition`` as one would write it in Python."""
    if isinstance(condition, sympy.core.relational.Relational):
        return f"{condition.lhs} {condition.rel_op} {condition.rhs}"
    return str(condition)


def _dimension(environment: ShapeEnv, symbol: sympy.Symbol) -> int:
    """The dimension of the input whose size a ``symbol`` stands for; −1 for another number."""
    from torch._dynamo.source import TensorProperty, TensorPropertySource  # slow, and loaded by tracing anyhow

    for source in environment.var_to_sources.get(symbol, ()):
        if isinstance(source, TensorPropertySource) and source.prop is TensorProperty.SIZE and source.idx is not None:
            return source.idx
    return -1


def _place(frame: FrameType | None) -> str:
    """The innermost line of the network that is being run, or whose operator is being translated; empty without."""
    while frame is not None and Path(frame.f_code.co_filename).parent != Path(__file__).parent:
        node = frame.f_locals.get("n") if frame.f_code.co_name == "run_node" else None
        if isinstance(node, torch.fx.Node):
            return last_users_line(node.stack_trace or "")
        if _is_network(frame.f_code.co_filename):
            return at(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return ""


_is_network = functools.cache(is_users)
