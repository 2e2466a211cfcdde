"""Names as trees of modules, and one tree laid over another through whatever wraps either."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

#: Deeper names are no module's, and are one leaf.
DEEPEST = 64
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True, eq=False)
class NameTree:
    """A module as names tell of it: its full names of tensors by their last part, and the modules in it.

    ``series`` are what its numbered parts are called but for their numbers.
    """

    prefix: str = ""
    tensors: dict[str, str] = field(default_factory=dict)
    modules: dict[str, "NameTree"] = field(default_factory=dict)
    series: set[str] = field(default_factory=set)

    @property
    def only(self) -> "NameTree | None":
        """The one module in it, as in a wrapper, which may hold tensors beside; None where there are more or none."""
        return next(iter(self.modules.values())) if len(self.modules) == 1 else None

    def shares(self, other: "NameTree") -> bool:
        """Whether a tensor or a module has the same name in both."""
        return not (
            self.tensors.keys().isdisjoint(other.tensors.keys())
            and self.modules.keys().isdisjoint(other.modules.keys())
        )

    def continues(self, part: str) -> bool:
        """Whether ``part`` is called like a part of it but for numbers: ``layer5`` after ``layer4``, 9 after 8."""
        return (series := _series(part)) != "" and series in self.series

    def walk(self) -> Iterator["NameTree"]:
        """The module and all in it, the outer before the inner, by levels."""
        level = [self]
        while level:
            yield from level
            level = [inner for module in level for inner in module.modules.values()]

    def names(self) -> Iterator[str]:
        """The full names of all tensors in it."""
        for module in self.walk():
            yield from module.tensors.values()


def module_tree(names: Iterable[str]) -> NameTree:
    """The tree of the modules that ``names`` tell of."""
    root = NameTree()
    for name in names:
        *path, last = name.split(".") if name.count(".") < DEEPEST else (name,)
        module = root
        for part in path:
            if part not in module.modules:
                module.modules[part] = NameTree(f"{module.prefix}{part}.")
                module.series.add(_series(part))
            module = module.modules[part]
        module.tensors[last] = name
        module.series.add(_series(last))
    return root


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """What laying a file's names over a network's came to.

    ``names`` are the network's names of the file's tensors, or what they would be where the network has no such tensor.
    ``beside`` are those of them that no part of the network contains; ``around`` are tensors of wrappers of the whole,
    and ``wrappers`` of wrappers inside it.
    """

    names: dict[str, str]
    beside: tuple[str, ...]
    around: tuple[str, ...]
    wrappers: tuple[str, ...]


def lay_over(ours: NameTree, theirs: NameTree) -> Overlay:
    """Lay the modules ``ours`` of a file over ``theirs`` of a network, and go on in those that have the same name.

    Where the two share no name, a wrapper is passed through: a module that contains one module, in the file, which may
    hold tensors of its own, or in the network, which may not; around the whole network in both. That is all that is
    known of wrappers.

    >>> file, network = (module_tree([name]) for name in ("a._orig_mod.0.bias", "net.a.0.bias"))
    >>> lay_over(file, network).names
    {'a._orig_mod.0.bias': 'net.a.0.bias'}
    """
    names: dict[str, str] = {}
    around: list[str] = []
    wrappers: list[str] = []
    beside: list[str] = []
    pairs = [(ours, theirs)]
    outermost = True
    while pairs:
        mine, other, passed = _unwrapped(*pairs.pop(), both=outermost)
        (around if outermost else wrappers).extend(passed)
        for last, name in mine.tensors.items():
            names[name] = other.prefix + last
            if outermost and last not in other.tensors and not other.continues(last):
                beside.append(name)
        for part, module in mine.modules.items():
            if part in other.modules:
                pairs.append((module, other.modules[part]))
                continue
            for name in module.names():
                names[name] = other.prefix + name.removeprefix(mine.prefix)
                if outermost and not other.continues(part):
                    beside.append(name)
        outermost = False
    return Overlay(names, tuple(beside), tuple(around), tuple(wrappers))


def _unwrapped(ours: NameTree, theirs: NameTree, *, both: bool) -> tuple[NameTree, NameTree, list[str]]:
    """The two without their wrappers, and the tensors of these; as they are where they share no name even then.

    Unless ``both`` may be wrapped, only one is: else a part called ``head.0`` in a file would be another's ``head.1``.
    """
    if ours.shares(theirs):
        return ours, theirs, []
    insides, networks = list(_inside(ours, holding=True)), list(_inside(theirs, holding=False))
    pairs = [*((mine, theirs) for mine in insides), *((ours, other) for other in networks)]
    if both:
        pairs += [(mine, other) for mine in insides for other in networks]
    for mine, other in pairs:
        if mine.shares(other):
            passed = [ours, *insides[: insides.index(mine)]] if mine is not ours else []
            return mine, other, [name for module in passed for name in module.tensors.values()]
    return ours, theirs, []


def _inside(module: NameTree, *, holding: bool) -> Iterator[NameTree]:
    """What ``module`` wraps, what that wraps, and so on; wrappers may have tensors of their own if ``holding``."""
    while (inner := module.only) is not None and (holding or not module.tensors):
        yield inner
        module = inner


def _series(part: str) -> str:
    """What ``part`` is called but for numbers, alike for ``layer4`` and ``layer5``, for 8 and 9; empty without any.

    >>> _series("block4_conv"), _series("head")
    ('block#_conv', '')
    """
    series = _NUMBER.sub("#", part)
    return series if series != part else ""
