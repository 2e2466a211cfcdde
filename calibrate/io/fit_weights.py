"""Which of a file's weights a network takes: those that fill every place of it, whatever they are called there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor, nn

from calibrate.errors import ModelError, UsageError
from calibrate.io.checkpoint import Checkpoint
from calibrate.io.name_tree import Module, lay_over, module_tree
from calibrate.io.places import Places, places_of
from calibrate.io.state_dicts import StateDict, is_averaged
from calibrate.io.stored_in_parts import made_whole
from calibrate.io.taken_weights import TakenWeights, called

#: What a tuned file adds to the names of the network that it was tuned from.
TUNED = (".alpha", "temperature")
#: Of a file that fits nowhere, the modules so many levels deep are tried for what to say.
TRIED_LEVELS = 3


@dataclass(frozen=True, eq=False)
class _Option:
    """One way to give a network the tensors of a file. ``strange`` says whether some lie inside parts that it has."""

    taken: TakenWeights
    source: StateDict
    complete: bool
    strange: bool
    filled: int
    preference: tuple[bool, int, int, int]

    @property
    def opens(self) -> bool:
        return self.complete and not self.strange


def fit_weights(model: nn.Module, checkpoint: Checkpoint, weights: str | None = None) -> TakenWeights:
    """The tensors of ``checkpoint`` for ``model``, under its own names.

    Names are fitted by one rule: some module of the file, at any depth, is taken for the network, and wrappers inside
    the file or the network are passed through (see :func:`~calibrate.io.name_tree.lay_over`), so that every place of
    the network is filled with a tensor of its shape. Weights that are stored in parts are made whole where the network
    has the whole.

    What then remains is left out: what lies outside that module, tensors of wrappers, observers of quantisation-aware
    training, and modules and tensors beside the network's outermost ones. But what lies *inside* a module that the
    network has, or continues a numbered series of its modules, stays, so that loading refuses it: ResNet-56's file is
    no ResNet-20's.

    Of several ways that fit, weights go before their averages, then the state dicts in the order of
    :func:`~calibrate.io.state_dicts.find_state_dicts`, then the outer module before the inner, then the file's order.
    ``weights`` chooses another by its path in the file or a part of it; ``.`` is the file itself.

    Where nothing fits, what fills most places is returned, for the error; raises UsageError where ``weights`` names
    none or several, ModelError where what is missing are tensors without plain values.
    """
    places = places_of(model)
    options = sorted(_options(places, checkpoint.state_dicts), key=lambda option: (option.strange, option.preference))
    fitting = _distinct([option for option in options if option.complete])
    sources = checkpoint.state_dicts
    if weights is not None:
        chosen = _chosen(weights, fitting, sources, checkpoint.path)
        if isinstance(chosen, StateDict):
            fitting, sources = [], (chosen,)
        else:
            fitting = [chosen, *(option for option in fitting if option is not chosen)]
    if not fitting:
        return _closest(places, sources, checkpoint.path).taken
    first, *rest = fitting
    full = {id(option.source) for option in fitting}
    unfit = [s.key for s in checkpoint.state_dicts if id(s) not in full and _is_worth_naming(s, places)]
    others = tuple(option.taken.path for option in rest if option.opens)
    return replace(first.taken, others=others, unfit=tuple(unfit))


def _options(places: Places, sources: Sequence[StateDict], *, closest: bool = False) -> Iterator[_Option]:
    """The ways that fill all places; for ``closest`` all ways that are worth a try."""
    for number, source in enumerate(sources):
        whole, kinds = made_whole(source.tensors)
        for tensors, its_kinds in ((source.tensors, {}), (whole, kinds)) if kinds else ((source.tensors, {}),):
            root = module_tree(tensors)
            sizes = _sizes(root)
            for order, module in enumerate(root.walk()):
                depth = module.prefix.count(".")
                if sizes[module.prefix] < places.fewest if not closest else depth > TRIED_LEVELS:
                    continue
                option = _option(places, source, tensors, its_kinds, module, (number, depth, order))
                if option.complete or closest:
                    yield option


def _sizes(root: Module) -> dict[str, int]:
    """How many tensors each module contains, by its prefix."""
    sizes: dict[str, int] = {}
    for module in reversed(list(root.walk())):
        sizes[module.prefix] = len(module.tensors) + sum(sizes[inner.prefix] for inner in module.modules.values())
    return sizes


def _option(
    places: Places,
    source: StateDict,
    tensors: Mapping[str, Tensor],
    kinds: Mapping[str, str],
    module: Module,
    order: tuple[int, int, int],
) -> _Option:
    overlay = lay_over(module, places.tree)
    named = {theirs: tensors[ours] for ours, theirs in overlay.names.items()}
    complete = not places.missing(named) and not places.unlike(named)
    observers = tuple(
        ours for ours, theirs in overlay.names.items() if theirs not in places.tensors and _observes(ours)
    )
    beside = {ours for ours in overlay.beside if overlay.names[ours] not in TUNED} if complete else set()
    dropped = {*observers, *beside}
    state = {theirs: tensors[ours] for ours, theirs in overlay.names.items() if ours not in dropped}
    doubtful = tuple(ours for ours in overlay.beside if ours in beside - {*observers} and _may_matter(tensors[ours]))
    outside = [name for name in tensors if name not in overlay.names]
    taken = TakenWeights(
        state=state,
        path=".".join(filter(None, (source.key, module.prefix.rstrip(".")))),
        left_out=(
            *(name for name in outside if not _observes(name)),
            *(ours for ours in overlay.beside if ours in beside - {*observers, *doubtful}),
            *source.beside,
        ),
        doubtful=doubtful,
        made_whole={overlay.names[name]: kind for name, kind in kinds.items() if name in overlay.names},
        observers=(*observers, *(name for name in outside if _observes(name))),
    )
    strange = any(not name.endswith(TUNED) for name in places.unexpected(state))
    filled = sum(name in state for name in places.tensors) - len(places.unlike(state))
    return _Option(taken, source, complete, strange, filled, (is_averaged(taken.path), *order))


def _observes(name: str) -> bool:
    """Whether that is an entry of an observer or a fake quantiser, by torch's names for these."""
    return any(part.startswith("activation_post_process") or part.endswith("_fake_quant") for part in name.split("."))


def _may_matter(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.dim() > 0


def _distinct(options: Sequence[_Option]) -> list[_Option]:
    """Those that are other tensors than the ones before: a wrapper and what is in it are one."""
    seen: dict[tuple[int, ...], _Option] = {}
    for option in options:
        seen.setdefault(tuple(sorted(tensor.data_ptr() for tensor in option.taken.state.values())), option)
    return list(seen.values())


def _is_worth_naming(source: StateDict, places: Places) -> bool:
    return is_averaged(source.key) and 2 * len(source.tensors) > places.fewest


def _chosen(weights: str, fitting: Sequence[_Option], sources: Sequence[StateDict], path: Path) -> _Option | StateDict:
    """What ``weights`` names: by its path, by the path that it lies in, by whole parts of the path, by any part."""
    within = {id(option.source) for option in fitting}
    rest = [source for source in sources if id(source) not in within]
    choices: dict[str, _Option | StateDict] = {source.key: source for source in reversed(rest)}
    choices |= {option.taken.path: option for option in reversed(fitting)}
    given = "" if weights == "." else weights
    for names_it in (
        lambda name: name == given,
        lambda name: name.startswith(f"{given}."),
        lambda name: f".{given}." in f".{name}.",
        lambda name: bool(given) and given.lower() in name.lower(),
    ):
        found = [name for name in choices if names_it(name)]
        if len(found) == 1:
            return choices[found[0]]
        if found:
            break
    listed = ", ".join(called(option.taken.path) for option in fitting) or "none that fit"
    others = f"; also {', '.join(called(source.key) for source in rest)}, which do not fit the network" if rest else ""
    several = f"names several of the weights in {path} ({', '.join(found)})" if found else f"is not in {path}"
    raise UsageError(f"--weights {weights} {several}; choose one of: {listed}{others}.")


def _closest(places: Places, sources: Sequence[StateDict], path: Path) -> _Option:
    """What fills most places, though not all."""
    options = list(_options(places, sources, closest=True))
    best = max(options, key=lambda option: (option.filled, *(-number for number in option.preference)))
    if best.source.unusable:
        name, reason = next(iter(best.source.unusable.items()))
        raise ModelError(f"{name!r} in {path} {reason}")
    if not best.filled:  # then names as the file has them within its wrappers, by which its architecture may be known
        inner = module_tree(best.source.tensors)
        while inner.only and not inner.tensors:
            inner = inner.only
        state = {name.removeprefix(inner.prefix): best.source.tensors[name] for name in inner.names()}
        return _Option(TakenWeights(state), best.source, False, True, 0, best.preference)
    return best
