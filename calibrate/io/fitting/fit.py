"""Which of a file's weights a network takes: those that fill every place of it, whatever they are called there."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from torch import Tensor, nn

from calibrate.errors import ModelError, UsageError
from calibrate.io.checkpoint import Checkpoint
from calibrate.io.fitting.left_out import branch, is_idle, is_observer, is_weight, may_matter
from calibrate.io.fitting.name_tree import NameTree, Overlay, lay_over, module_tree
from calibrate.io.fitting.places import Places, places_of
from calibrate.io.fitting.stored_in_parts import made_whole
from calibrate.io.fitting.taken_weights import TakenWeights, called
from calibrate.io.state_dicts import StateDict, is_averaged
from calibrate.io.state_names import respelled

#: What a tuned file adds to the names of the network that it was tuned from.
TUNED = (".alpha", "temperature")
#: Of a file that fits nowhere, the modules so many levels deep are tried for what to say.
TRIED_LEVELS = 3
#: So many ways in which a file fits are looked at.
MOST_WAYS = 100


@dataclass(frozen=True, eq=False)
class _StoredModule:
    """A module of one state dict of a file, which may be the network; ``order`` is where among all such it stands."""

    source: StateDict
    tensors: Mapping[str, Tensor]
    kinds: Mapping[str, str]
    module: NameTree
    order: tuple[int, int, int]

    @property
    def path(self) -> str:
        """Where it is in the file."""
        return ".".join(filter(None, (self.source.key, self.module.prefix.rstrip("."))))

    @property
    def preference(self) -> tuple[bool, int, int, int]:
        """By which it comes before others that fit too."""
        return (is_averaged(self.path), *self.order)

    def overlaid(self, places: Places) -> tuple[Overlay, dict[str, Tensor]]:
        """It laid over a network, and its tensors by their names there."""
        overlay = lay_over(self.module, places.tree)
        return overlay, {theirs: self.tensors[ours] for ours, theirs in overlay.names.items()}


@dataclass(frozen=True, eq=False)
class _Option:
    """One way to give a network tensors of a file: ``state``, under the network's names, ``used`` under the file's.

    ``strange`` says whether some lie inside parts that the network has, and fill no place of it.
    """

    stored: _StoredModule
    overlay: Overlay
    state: dict[str, Tensor]
    used: frozenset[str]
    strange: bool

    @property
    def source(self) -> StateDict:
        """The state dict that the tensors are of."""
        return self.stored.source

    @property
    def prefix(self) -> str:
        """What the names of the tensors begin with there."""
        return self.stored.module.prefix

    @property
    def path(self) -> str:
        """Where the tensors lie in the file."""
        return self.stored.path


def fit_weights(model: nn.Module, checkpoint: Checkpoint, weights: str | None = None) -> TakenWeights:
    """The tensors of ``checkpoint`` for ``model``, under its own names.

    Names are fitted by one rule: some module of the file, at any depth, is taken for the network, and wrappers inside
    the file or the network are passed through (see :func:`~calibrate.io.fitting.name_tree.lay_over`), so that every
    place of the network is filled with a tensor of its shape. Weights that are stored in parts are made whole where the
    network has the whole.

    What then remains is left out: what lies outside that module, counters, observers of quantisation-aware training,
    and modules and tensors beside the network's outermost ones; with a warning where predictions may need it (see
    :func:`~calibrate.io.fitting.left_out.may_matter`). But what lies *inside* a module that the network has, or
    continues a numbered series of its modules, stays, so that loading refuses it: ResNet-56's file is no ResNet-20's.

    Nor is a module inside another that fills all places taken, where what remains of the other shuts it out: a network
    of nested parts is none of fewer.

    Of several ways that fit, weights go before their averages, then the state dicts in the order of
    :func:`~calibrate.io.state_dicts.find_state_dicts`, then the outer module before the inner, then the file's order.
    ``weights`` chooses another by its path in the file or a part of it; ``.`` is the file itself.

    Where nothing fits, what fills most places is returned, for the error; raises UsageError where ``weights`` names
    none or several, ModelError where what is missing are tensors without plain values.
    """
    places = places_of(model)
    every = [replace(state, tensors=respelled(state.tensors, places.tensors)) for state in checkpoint.state_dicts]
    options = _outer(_options(places, every))
    options.sort(key=lambda option: (option.strange, option.stored.preference))
    sources: Sequence[StateDict] = every
    if weights is not None:
        chosen = _chosen(weights, options, sources, checkpoint.path)
        if isinstance(chosen, StateDict):
            options, sources = [], [chosen]
        else:
            options = [chosen, *options]
    if not options:
        return _closest(places, sources, checkpoint.path)
    first, *rest = _distinct(options)
    full = {id(option.source) for option in options if not option.strange}
    unfit = [source for source in every if id(source) not in full]
    return _taken(first, [option for option in rest if not option.strange], unfit, places)


def _stored_modules(sources: Sequence[StateDict], least: int, levels: int | None = None) -> Iterator[_StoredModule]:
    """The modules of ``sources`` that contain at least so many tensors, down to so many levels."""
    for number, source in enumerate(sources):
        whole, kinds = made_whole(source.tensors)
        for tensors, its_kinds in ((source.tensors, {}), (whole, kinds)) if kinds else ((source.tensors, {}),):
            root = module_tree(tensors)
            sizes = _sizes(root)
            for order, module in enumerate(root.walk()):
                depth = module.prefix.count(".")
                if sizes[module.prefix] >= least and (levels is None or depth <= levels):
                    yield _StoredModule(source, tensors, its_kinds, module, (number, depth, order))


def _options(places: Places, sources: Sequence[StateDict]) -> Iterator[_Option]:
    """The ways that fill all places."""
    for stored in _stored_modules(sources, max(places.fewest, 1)):
        overlay, named = stored.overlaid(places)
        if not places.missing(named) and not places.unlike(named):
            yield _option(places, stored, overlay, complete=True)


def _outer(options: Iterator[_Option]) -> list[_Option]:
    """The first of ``options``, among which the outer come before the inner, without those inside a strange one."""
    found: list[_Option] = []
    for option in islice(options, MOST_WAYS):
        outer = (one for one in found if one.strange and one.source is option.source)
        if not any(option.prefix.startswith(one.prefix) for one in outer):
            found.append(option)
    return found


def _sizes(root: NameTree) -> dict[str, int]:
    """How many tensors each module contains, by its prefix."""
    sizes: dict[str, int] = {}
    for module in reversed(list(root.walk())):
        sizes[module.prefix] = len(module.tensors) + sum(sizes[inner.prefix] for inner in module.modules.values())
    return sizes


def _option(places: Places, stored: _StoredModule, overlay: Overlay, *, complete: bool) -> _Option:
    """What to take of ``stored``, and what to leave out; of what is not ``complete``, all is wanted for the error."""
    tensors, names = stored.tensors, overlay.names
    strangers = ((ours, theirs) for ours, theirs in names.items() if theirs not in places.tensors)
    idle = {ours for ours, theirs in strangers if is_idle(ours) and not places.is_spare_count(theirs)}
    spare = {ours for ours in overlay.beside if complete and names[ours] not in TUNED}.difference(idle)
    # Such wrappers do more than wrap.
    scaling = [ours for ours in overlay.wrappers if tensors[ours].is_floating_point() and not is_idle(ours)]
    scaling += [ours for ours in overlay.around if is_weight(tensors[ours]) and not is_idle(ours)]
    kept = [ours for ours in tensors if ours in names and ours not in spare and ours not in idle]
    state = {names[ours]: tensors[ours] for ours in kept} | {ours: tensors[ours] for ours in scaling}
    strange = any(not name.endswith(TUNED) for name in places.unexpected(state))
    return _Option(stored, overlay, state, frozenset((*kept, *scaling)), strange)


def _taken(
    option: _Option, others: Sequence[_Option] = (), unfit: Sequence[StateDict] = (), places: Places | None = None
) -> TakenWeights:
    """What is taken by ``option``, where ``others`` would fit too, and the state dicts ``unfit`` do not."""
    source, names = option.source, option.overlay.names
    theirs = [other for other in others if other.source is source]
    named = {name for other in theirs for name in other.overlay.names}
    branches = {branch(other.prefix, option.prefix) for other in theirs}
    rest = [name for name in option.stored.tensors if name not in option.used and name not in named]
    doubtful = [
        name
        for name in rest
        if may_matter(name, option.stored.tensors[name], option.prefix) and branch(name, option.prefix) not in branches
    ]
    quiet = set(doubtful).union(name for name in rest if is_observer(name))
    return TakenWeights(
        state=option.state,
        path=option.path,
        others=tuple(other.path for other in others),
        unfit=tuple(state.key for state in unfit if places and _is_worth_naming(state, places)),
        left_out=(*(name for name in rest if name not in quiet), *source.beside),
        doubtful=(*doubtful, *_weights_beside(source, unfit)),
        made_whole={names[ours]: kind for ours, kind in option.stored.kinds.items() if ours in names},
        observers=tuple(name for name in rest if is_observer(name)),
    )


def _weights_beside(source: StateDict, unfit: Sequence[StateDict]) -> list[str]:
    """What may matter in state dicts that lie beside ``source``, such as the head that was saved by itself."""
    place = source.key.rpartition(".")[0]
    siblings = (other for other in unfit if other.key and source.key and other is not source)
    return [
        f"{other.key}.{name}"
        for other in siblings
        if other.key.rpartition(".")[0] == place
        for name, tensor in other.tensors.items()
        if may_matter(f"{other.key}.{name}", tensor, f"{source.key}.")
    ]


def _distinct(options: Sequence[_Option]) -> list[_Option]:
    """Those that are other tensors than the ones before; of a wrapper and what is in it, the latter."""
    seen: dict[tuple[int, ...], _Option] = {}
    for option in options:
        tensors = tuple(sorted(tensor.data_ptr() for tensor in option.state.values()))
        before = seen.get(tensors, option)
        seen[tensors] = option if option.source is before.source else before
    return list(seen.values())


def _is_worth_naming(source: StateDict, places: Places) -> bool:
    return is_averaged(source.key) and 2 * len(source.tensors) > places.fewest


def _chosen(weights: str, options: Sequence[_Option], sources: Sequence[StateDict], path: Path) -> _Option | StateDict:
    """What ``weights`` names: by its path, by the path that it lies in, by whole parts of the path, by any part."""
    fitting = {id(option.source) for option in options}
    rest = {source.key: source for source in reversed(sources) if id(source) not in fitting}
    given = "" if weights == "." else weights
    tests: tuple[Callable[[str], bool], ...] = (
        lambda name: name == given,
        lambda name: name.startswith(f"{given}."),
        lambda name: f".{given}." in f".{name}.",
        lambda name: bool(given) and given.lower() in name.lower(),
    )
    named: list[_Option | StateDict] = []
    for names_it in tests:
        found = _distinct([option for option in options if names_it(option.path)])
        named = [*found, *(source for key, source in rest.items() if names_it(key))]
        if named:
            break
    if len(named) == 1:
        return named[0]
    fits = [called(option.path) for option in _distinct(options)]
    others = f"; also {', '.join(map(called, rest))}, which do not fit the network" if rest else ""
    if not named and len(fits) == 1:
        raise UsageError(
            f"--weights {weights} names nothing in {path}; leave --weights out, since one thing there fits the "
            f"network, {fits[0]}{others}."
        )
    paths = ", ".join(item.key if isinstance(item, StateDict) else item.path for item in named)
    several = f"names several of the weights in {path} ({paths})" if named else f"is not in {path}"
    raise UsageError(f"--weights {weights} {several}; choose one of: {', '.join(fits) or 'none that fit'}{others}.")


def _closest(places: Places, sources: Sequence[StateDict], path: Path) -> TakenWeights:
    """What fills most places, though not all."""

    def filled(stored: _StoredModule) -> int:
        _, named = stored.overlaid(places)
        return sum(name in places.tensors for name in named) - len(places.unlike(named))

    most, best = max(
        ((filled(stored), stored) for stored in _stored_modules(sources, 0, TRIED_LEVELS)),
        key=lambda pair: (pair[0], *(-number for number in pair[1].preference)),
    )
    if best.source.unusable:
        name, reason = next(iter(best.source.unusable.items()))
        raise ModelError(f"{name!r} in {path} {reason}")
    if most:
        return _taken(_option(places, best, best.overlaid(places)[0], complete=False))
    inner = module_tree(best.tensors)  # names as the file has them within its wrappers may tell of its architecture
    while inner.only and not inner.tensors:
        inner = inner.only
    return TakenWeights({name.removeprefix(inner.prefix): best.tensors[name] for name in inner.names()})
