"""The places of a network that tensors of a file go to."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from calibrate.io.fitting.name_tree import NameTree, module_tree

COUNTS = "num_batches_tracked"


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
        return [name for name, place in self.tensors.items() if name in state and not _fits(state[name], place)]

    def unexpected(self, state: Mapping[str, Tensor]) -> list[str]:
        """The names in ``state`` that the network lacks; a frozen layer may lack the count of batches."""
        return [name for name in state if name not in self.tensors and not self.is_spare_count(name)]

    def is_spare_count(self, name: str) -> bool:
        """Whether that is the batch counter of a layer that keeps running statistics, but no count."""
        layer, _, kind = name.rpartition(COUNTS)
        return not kind and f"{layer}running_mean" in self.tensors and name not in self.tensors


def places_of(model: nn.Module) -> Places:
    """The places of ``model``, which are its own tensors."""
    return Places(
        {name: place for name, place in model.state_dict(keep_vars=True).items() if isinstance(place, Tensor)}
    )


def _fits(stored: Tensor, place: Tensor) -> bool:
    """A lazy module's place has no shape before it has values, and takes any."""
    shape = stored.shape if is_lazy(place) else place.shape
    return stored.shape == shape and (stored.is_floating_point() or not place.is_floating_point())
