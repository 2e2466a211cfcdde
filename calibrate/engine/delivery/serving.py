"""Serving: what each graph of a leaderboard weighs and takes in ONNX Runtime."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from calibrate.errors import ExportError
from calibrate.export import measure_latency, to_onnx
from calibrate.recipe import GraphOptions
from calibrate.result import Listener, Progress, Serving
from calibrate.surgery import copied

if TYPE_CHECKING:
    import onnx


def measure_serving(
    graphs: Mapping[str, nn.Module],
    folded: "onnx.ModelProto",
    batches: Sequence[Tensor],
    runs: int,
    threads: int,
    progress: Listener,
    options: GraphOptions,
) -> tuple[Serving, ...]:
    """The size of each of ``graphs`` and its speed on ``batches``, against the original network's graph ``folded``.

    A graph that cannot be exported has no place here; the network that is delivered says why by itself.
    """
    served = []
    for done, (name, model) in enumerate(graphs.items()):
        progress(Progress("serving", done, len(graphs)))
        try:
            graph = to_onnx(copied(model).cpu(), batches[-1][:2], {}, options)
        except ExportError:
            continue
        served.append(
            Serving(
                graph=name,
                bytes=graph.ByteSize(),
                original_bytes=folded.ByteSize(),
                latency=measure_latency(graph, folded, batches, runs, threads),
            )
        )
    progress(Progress("serving", len(graphs), len(graphs)))
    return tuple(served)
