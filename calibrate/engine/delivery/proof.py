"""Proving a graph: it computes what the network does, at every size at which it might not."""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn

from calibrate.errors import ExportError
from calibrate.export import BATCH, Traced, against, check_parity, otherwise, takes, traced
from calibrate.recipe import GraphOptions
from calibrate.result import Parity
from calibrate.surgery import copied

if TYPE_CHECKING:
    import onnx

PARITY_BATCHES = (1, 3, 64)
#: The largest batch, and height or width, at which a graph is tried for what tracing decided.
LARGEST_BATCH, LARGEST_SIDE = 256, 1024


def proven_onnx(
    model: nn.Module,
    examples: Tensor,
    metadata: dict[str, str],
    inputs: Literal["data", "noise"],
    threads: int,
    options: GraphOptions,
) -> "tuple[onnx.ModelProto, tuple[Parity, ...]]":
    """The graph of ``model``, and its parity with it at the batch sizes 1, 3 and 64 (or as many as there are).

    Where ``options`` leave height and width free, also at twice the height and three times the width, and at a size
    that is no multiple. Where the network was traced by a condition on these sizes, as ``if x.shape[0] > 100`` is one,
    also at sizes that it tells apart, unless the network itself takes none.
    Raises ExportError where the two differ, and where they might at sizes too large to try.
    """
    model = copied(model).cpu()
    made = traced(model, repeated(examples, 2), metadata, options)
    batches = [[repeated(examples, size) for size in PARITY_BATCHES]]
    if options.dynamic:
        batches += [[batch] for batch in _other_sizes(repeated(examples, 3))]
    tried = [_sizes(made, batch) for batch in itertools.chain(*batches)]
    for sizes in otherwise(made.decisions, _sizes(made, repeated(examples, 2)), tried):
        _check_size(made, sizes)
        batch = _of_size(examples, [sizes.get(made.free.get(dim, ""), n) for dim, n in enumerate(examples.shape)])
        batches += [[batch]] if takes(model, batch) else []
    parity = [_proved(made, model, alike, tuple(examples.shape[2:]), inputs, threads) for alike in batches]
    return made.graph, tuple(itertools.chain(*parity))


def repeated(examples: Tensor, size: int) -> Tensor:
    """The first ``size`` examples, starting over where there are fewer."""
    return _of_size(examples, [size, *examples.shape[1:]])


def _of_size(examples: Tensor, shape: list[int]) -> Tensor:
    """The ``examples``, repeated along each dimension and cut to ``shape``."""
    copies = [-(-wanted // there) for wanted, there in zip(shape, examples.shape, strict=True)]
    return examples.repeat(copies)[tuple(slice(wanted) for wanted in shape)].contiguous()


def _other_sizes(batch: Tensor) -> Iterator[Tensor]:
    """A size that is no multiple of the examples', and twice their height and three times their width."""
    sides = list(enumerate(batch.shape[2:], start=2))
    yield _of_size(batch, [*batch.shape[:2], *(side + 2 * axis - 3 for axis, side in sides)])
    yield _of_size(batch, [*batch.shape[:2], *(side * axis for axis, side in sides)])


def _sizes(made: Traced, batch: Tensor) -> dict[str, int]:
    """The sizes of a batch in the dimensions that are free."""
    return {name: batch.shape[dim] for dim, name in made.free.items()}


def _check_size(made: Traced, sizes: dict[str, int]) -> None:
    """Raise ExportError where the graph would have to be tried at ``sizes`` that are too large for that."""
    for name, size in sizes.items():
        if size > (LARGEST_BATCH if name == BATCH else LARGEST_SIDE):
            raise ExportError(
                f"the graph holds only where {against(made.decisions, sizes)}: forward decides by the {name}, and a "
                f"graph does one thing for all; let forward do the same for every {name}."
            )


def _proved(
    made: Traced,
    model: nn.Module,
    batches: list[Tensor],
    usual: tuple[int, ...],
    inputs: Literal["data", "noise"],
    threads: int,
) -> tuple[Parity, ...]:
    """The parity on ``batches`` of one height and width, which it says where they are not the ``usual``."""
    size = tuple(batches[0].shape[2:])
    if size == usual:
        return check_parity(made.graph, model, batches, inputs, threads, made.decisions)
    try:
        parity = check_parity(made.graph, model, batches, inputs, threads)
    except ExportError as error:
        decision = against(made.decisions, _sizes(made, batches[0]))
        cause = str(error) if decision is None else f"the network was traced where {decision}."
        raise ExportError(
            f"--dynamic leaves height and width free, and inputs of the size {size} disprove that, so leave it out: "
            f"{cause}"
        ) from error
    return tuple(item.model_copy(update={"size": size}) for item in parity)
