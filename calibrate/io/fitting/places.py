"""The places of a network that tensors of a file go to."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from calibrate.errors import ModelError, said
from calibrate.io.fitting.name_tree import NameTree, module_tree

COUNTS = "num_batches_tracked"
#: What to do with a network whose own methods are in the way.
LIKE_TORCH = "let its state_dict and load_state_dict take and give what torch.nn.Module's do, or leave them out"


@dataclass(frozen=True)
class Places:
    """The parameters and buffers of a network by all their names."""

    tensors: Mapping[str, Tensor]

    @cached_property
    def ties(self) -> Mapping[str, tuple[str, ...]]:
        """For each name, all names of the same tensor."""
        names: dict[int, list[str]] = defaultdict(list)
        for name, place in self.tensors.items():
            names[id(place)].append(name)
        return {name: tuple(names[id(place)]) for name, place in self.tensors.items()}

    @cached_property
    def tree(self) -> NameTree:
        """The network's modules, as its names tell of them."""
        return module_tree(self.tensors)

    @cached_property
    def fewest(self) -> int:
        """How many tensors a file has at least that fills all places."""
        return len({names for name, names in self.ties.items() if not name.endswith(COUNTS)})

    def missing(self, state: Mapping[str, Tensor]) -> list[str]:
        """The places that ``state`` fills under none of their names; older files lack batch counters."""
        return [
            name
            for name in self.tensors
            if not name.endswith(COUNTS) and not any(other in state for other in self.ties[name])
        ]

    def unlike(self, state: Mapping[str, Tensor]) -> list[str]:
        """The places for which ``state`` has a tensor of another shape, or integers where there are none."""
        known = ((name, tensor) for name, tensor in state.items() if name in self.tensors)
        return [name for name, tensor in known if not _fits(tensor, self.tensors[name])]

    def unexpected(self, state: Mapping[str, Tensor]) -> list[str]:
        """The names in ``state`` that the network lacks; a frozen layer may lack the count of batches."""
        return [name for name in state if name not in self.tensors and not self.is_spare_count(name)]

    def is_spare_count(self, name: str) -> bool:
        """Whether that is the batch counter of a layer that keeps running statistics, but no count."""
        layer, _, kind = name.rpartition(COUNTS)
        return not kind and f"{layer}running_mean" in self.tensors and name not in self.tensors


def places_of(model: nn.Module) -> Places:
    """The places of ``model``, which are its own tensors.

    Raises ModelError where its own ``state_dict`` fails, or leaves out parameters or running statistics: what a file
    and a tuned file hold of it would not be all of it.
    """
    try:
        state = model.state_dict(keep_vars=True)
    except Exception as error:  # whatever its own code raises
        raise ModelError(f"the network's own state_dict raised {said(error)}; {LIKE_TORCH}.") from error
    entries = state if isinstance(state, Mapping) else {}
    tensors = {name: place for name, place in entries.items() if isinstance(name, str) and isinstance(place, Tensor)}
    held = {id(place) for place in tensors.values()}
    own = {id(tensor): name for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    weights = {id(weight) for weight in model.parameters()}
    weights |= {key for key, name in own.items() if name.endswith(("running_mean", "running_var"))}
    copies = len(held - own.keys())  # which may be of any of them
    if len(weights - held) > copies:
        name = next(name for key, name in own.items() if key in weights - held)
        raise ModelError(
            f"the network's own state_dict leaves out {len(weights - held) - copies} of its {len(weights)} parameters "
            f"and running statistics, such as {name}, which no file can then hold; {LIKE_TORCH}."
        )
    return Places(tensors)


def check_state_dict(model: nn.Module) -> None:
    """Raise ModelError unless what ``model`` gives as its state dict holds all its weights."""
    places_of(model)


def _fits(stored: Tensor, place: Tensor) -> bool:
    """A lazy module's place has no shape before it has values, and takes any."""
    shape = stored.shape if is_lazy(place) else place.shape
    return stored.shape == shape and (stored.is_floating_point() or not place.is_floating_point())
