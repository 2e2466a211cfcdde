"""Names as trees of modules, and one tree laid over another through whatever wraps either."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

#: Deeper names are no module's, and are one leaf.
DEEPEST = 64


@dataclass(frozen=True, slots=True, eq=False)
class NameTree:
    """A module as names tell of it: its full names of tensors by their last part, and the modules in it."""

    prefix: str = ""
    tensors: dict[str, str] = field(default_factory=dict)
    modules: dict[str, "NameTree"] = field(default_factory=dict)

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
            module = module.modules.setdefault(part, NameTree(f"{module.prefix}{part}."))
        module.tensors[last] = name
    return root


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """What laying a file's names over a network's came to.

    ``names`` are the network's names of the file's tensors, or what they would be where the network has no such tensor.
    ``beside`` are those of them that no part of the network contains; ``wrappers`` are tensors of the wrappers.
    """

    names: dict[str, str]
    beside: tuple[str, ...]
    wrappers: tuple[str, ...]


def lay_over(ours: NameTree, theirs: NameTree) -> Overlay:
    """Lay the modules ``ours`` of a file over ``theirs`` of a network, and go on in those that have the same name.

    Where the two share no name, a wrapper is passed through: a module that contains one module, in the file, which may
    hold tensors of its own, or in the network, which may not. That is all that is known of wrappers.

    >>> file, network = (module_tree([name]) for name in ("a._orig_mod.0.bias", "net.a.0.bias"))
    >>> lay_over(file, network).names
    {'a._orig_mod.0.bias': 'net.a.0.bias'}
    """
    names: dict[str, str] = {}
    wrappers: list[str] = []
    beside: list[str] = []
    pairs = [(ours, theirs)]
    outermost = True
    while pairs:
        mine, other, passed = _unwrapped(*pairs.pop())
        wrappers += passed
        for last, name in mine.tensors.items():
            names[name] = other.prefix + last
            if outermost and last not in other.tensors:
                beside.append(name)
        for part, module in mine.modules.items():
            if part in other.modules:
                pairs.append((module, other.modules[part]))
                continue
            for name in module.names():
                names[name] = other.prefix + name.removeprefix(mine.prefix)
                if outermost and not _continues_a_series(part, other):
                    beside.append(name)
        outermost = False
    return Overlay(names, tuple(beside), tuple(wrappers))


def _unwrapped(ours: NameTree, theirs: NameTree) -> tuple[NameTree, NameTree, list[str]]:
    """The two without their wrappers, and the tensors of these; as they are where they share no name even then."""
    mine, other, passed = ours, theirs, list[str]()
    while not mine.shares(other):
        inner, others_inner = mine.only, None if other.tensors else other.only
        if inner is None and others_inner is None:
            return ours, theirs, []
        if inner and inner.shares(other):
            others_inner = None
        elif others_inner and mine.shares(others_inner):
            inner = None
        if inner:
            passed += mine.tensors.values()
            mine = inner
        if others_inner:
            other = others_inner
    return mine, other, passed


def _continues_a_series(part: str, module: NameTree) -> bool:
    """Whether ``module`` has others of the same name but for a number: ``layer5`` beside ``layer4``, 9 beside 8."""
    stem = part.rstrip("0123456789")
    return stem != part and any(name.rstrip("0123456789") == stem for name in module.modules)
