"""Residual blocks: found by how their parts are called, not by what their classes are called."""

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import fx, nn

from calibrate.errors import ModelError
from calibrate.surgery.sites import find_sites

CONTAINERS = nn.Sequential | nn.ModuleList | nn.ModuleDict
ADDITIONS = {operator.add, operator.iadd, torch.add, "add", "add_"}


@dataclass(frozen=True, slots=True)
class Block:
    """A module with one path through two or more sites, to whose end its input may be added.

    ``sites`` are the names of the sites on that path, in the order of the calls: those of a shortcut are not among
    them. ``stage`` is the name of the container that the block stands in.
    """

    name: str
    sites: tuple[str, ...]
    residual: bool

    @property
    def stage(self) -> str:
        """The name of the module that holds the block."""
        return self.name.rpartition(".")[0]


def find_blocks(model: nn.Module) -> tuple[Block, ...]:
    """The residual blocks of ``model``, in the order of its definition; in a network that has some, also their like.

    A block is the innermost module, containers apart, that holds two sites or more, and calls them one after the
    other; "their like" are blocks whose input is not added because its shape has changed, as MobileNetV2 has them.
    Blocks with parallel branches, as Inception has them, are none: no site of theirs is the first or the last.

    Raises ModelError for a network without residual blocks, and for a block whose calls depend on its data.

    >>> from torchvision.models import resnet18
    >>> find_blocks(resnet18())[2]
    Block(name='layer2.0', sites=('layer2.0.bn1', 'layer2.0.bn2'), residual=True)
    """
    site_names = {name for site in find_sites(model) for name in site.names}
    found = []
    for name, module in model.named_modules():
        inside = {site for site in site_names if site.startswith(f"{name}.")}
        if name and len(inside) > 1 and not isinstance(module, CONTAINERS) and _is_innermost(name, module, inside):
            block = _block(name, module, inside)
            if block is not None:
                found.append(block)
    if not any(block.residual for block in found):
        raise ModelError(
            f"the network ({type(model).__name__}) has no residual blocks with one path through two or more "
            "normalisation layers, so none is the first, second or last of its block; place layers by name, or at "
            "every odd layer."
        )
    return tuple(found)


def follow(module: nn.Module) -> fx.Graph:
    """The calls of ``module``, where every site and every module that holds no site is one call."""
    try:
        return _Tracer(module).trace(module)
    except (fx.proxy.TraceError, TypeError, RuntimeError, ValueError) as error:
        raise ModelError(
            f"what a block ({type(module).__name__}) calls depends on its data ({error}), so the order of its "
            "normalisation layers cannot be told; place layers by name."
        ) from error


class _Tracer(fx.Tracer):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.sites = {site.module for site in find_sites(module)}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:  # noqa: ARG002  (torch's signature)
        return m in self.sites or self.sites.isdisjoint(m.modules())


def addition(graph: fx.Graph) -> fx.Node | None:
    """The addition that joins the paths of a residual block, or None: the last call with two inputs, if it is one."""
    node = next(node for node in graph.nodes if node.op == "output")
    while len(node.all_input_nodes) == 1:
        node = node.all_input_nodes[0]
    return node if node.target in ADDITIONS else None


def _is_innermost(name: str, module: nn.Module, sites: set[str]) -> bool:
    return not any(
        inner is not module
        and not isinstance(inner, CONTAINERS)
        and sum(site.startswith(f"{name}.{inner_name}.") for site in sites) > 1
        for inner_name, inner in module.named_modules()
    )


def _block(name: str, module: nn.Module, sites: set[str]) -> Block | None:
    graph = follow(module)
    called = {node: f"{name}.{node.target}" for node in graph.nodes if node.op == "call_module"}
    called = {node: site for node, site in called.items() if site in sites}
    reached = _reached(graph, set(called))
    join = addition(graph)
    ends = join.all_input_nodes if join else [next(node for node in graph.nodes if node.op == "output")]
    longest = max((reached[end] for end in ends), key=len)
    path = [node for node in called if node in longest]  # in the order of the calls
    one_path = all(earlier in reached[later] for earlier, later in pairwise(path))
    if len(path) < 2 or not one_path:
        return None
    return Block(name, tuple(called[node] for node in path), residual=join is not None)


def _reached(graph: fx.Graph, sites: set[fx.Node]) -> Mapping[fx.Node, set[fx.Node]]:
    """The sites that each node's value went through."""
    reached: dict[fx.Node, set[fx.Node]] = {}
    for node in graph.nodes:
        through = set().union(*(reached[given] for given in node.all_input_nodes))
        reached[node] = through | {node} if node in sites else through
    return reached
