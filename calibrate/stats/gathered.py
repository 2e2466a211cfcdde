"""What a re-estimation has gathered so far, to the last bit: enough to go on after an interruption."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from calibrate.errors import ModelError
from calibrate.stats.moments import Moments
from calibrate.stats.pool import Pool

#: What one shard has pooled of a call, into what all shards have.
Exchange = Callable[[Pool], Pool]


@dataclass(frozen=True, slots=True, eq=False)
class Gathering:
    """One that is over: the layers by name in the order of their calls, and the moments of all calls of each.

    ``images`` is the number of examples.
    """

    names: tuple[str, ...]
    moments: Mapping[str, Moments]
    images: int


@dataclass(eq=False)
class Gathered:
    """The calls of the layers, in order: the layer's name, and the pool of what went in.

    The first ``settled`` calls have all examples; their totals are fixed. ``over`` are the gatherings before this one.
    """

    names: list[str] = field(default_factory=list)
    pools: list[Pool] = field(default_factory=list)
    totals: list[Moments] = field(default_factory=list)
    over: list[Gathering] = field(default_factory=list)

    @property
    def settled(self) -> int:
        """The number of calls that have all examples."""
        return len(self.totals)

    def reach_(self, call: int, name: str) -> None:
        """Note that the call number ``call`` is one of the layer ``name``, as it must be for every batch."""
        if call == len(self.names):
            self.names.append(name)
            self.pools.append(Pool())
        if self.names[call] != name:
            raise out_of_order(f"call {call + 1} is of {self.names[call]} for one batch and of {name} for another")

    def add_(self, call: int, part: Pool) -> None:
        """Add examples to the pool of a call."""
        self.pools[call] = self.pools[call].merge(part)

    def settle_(self, exchange: Exchange) -> None:
        """Fix the total of the first call that is not settled."""
        call = self.settled
        self.pools[call] = exchange(self.pools[call])
        self.totals.append(self.pools[call].total())

    def end_(self) -> Gathering:
        """Put this gathering, whose calls are all settled, to those that are over, and begin anew; returns it."""
        moments: dict[str, Moments] = {}
        for name, total in zip(self.names, self.totals, strict=True):
            moments[name] = moments[name].merge(total) if name in moments else total
        images = max((pool.examples for pool in self.pools), default=0)
        self.over.append(Gathering(tuple(self.names), moments, images))
        self.names, self.pools, self.totals = [], [], []
        return self.over[-1]

    def to_bytes(self, request: str) -> bytes:
        """All of it as safetensors; ``request`` says what it was gathered for."""
        tensors: dict[str, Tensor] = {}
        counts: dict[str, int] = {}
        for call, pool in enumerate(self.pools):
            for (level, place), moments in pool.nodes.items():
                node = f"{call}.{level}.{place}"
                counts[node] = moments.count
                tensors[node] = torch.stack([moments.mean, moments.variance]).cpu()
        over = []
        for place, one in enumerate(self.over):
            for name, moments in one.moments.items():
                tensors[f"over.{place}.{name}"] = torch.stack([moments.mean, moments.variance]).cpu()
            layers = {name: moments.count for name, moments in one.moments.items()}
            over.append({"names": one.names, "layers": layers, "images": one.images})
        about = {"names": self.names, "settled": self.settled, "counts": counts, "over": over}
        return save(tensors, {"request": request, "gathered": json.dumps(about)})

    @classmethod
    def read(cls, path: str, request: str, device: torch.device) -> Self | None:
        """What :meth:`to_bytes` wrote into the file ``path`` for the same request; None where it was for another."""
        with safe_open(path, "pt", str(device)) as file:
            metadata = file.metadata() or {}
            if metadata.get("request") != request:
                return None
            about = json.loads(metadata["gathered"])
            pools: list[dict[tuple[int, int], Moments]] = [{} for _ in about["names"]]
            for node, count in about["counts"].items():
                call, level, place = map(int, node.split("."))
                mean, variance = _double(file.get_tensor(node))
                pools[call][level, place] = Moments(count, mean, variance)
            made = cls(about["names"], [Pool(nodes) for nodes in pools])
            for number, one in enumerate(about.get("over", [])):
                moments = {
                    name: Moments(count, *_double(file.get_tensor(f"over.{number}.{name}")))
                    for name, count in one["layers"].items()
                }
                made.over.append(Gathering(tuple(one["names"]), moments, one["images"]))
        made.totals = [pool.total() for pool in made.pools[: about["settled"]]]
        return made


def _double(tensor: Tensor) -> Tensor:
    if tensor.dtype != torch.float64:
        raise ValueError(f"moments of {tensor.dtype}")
    return tensor


def out_of_order(how: str) -> ModelError:
    """The error for a network whose calls differ from batch to batch."""
    return ModelError(
        f"the network calls its normalisation layers in an order that depends on the data ({how}), so there is no "
        "first, second and third call to re-estimate; leave such layers out with `sites`."
    )
