"""The formula of :func:`~calibrate.nn.weighing.weigh_` in the ONNX operators that run it at the least cost."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.onnx.ops import symbolic


def weigh_in_onnx(z: Tensor, alpha: Tensor, floor: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """Weigh the examples of ``z`` (N, C, *), which has positions, in one pass; see ``weigh_``.

    Written out, because an exporter makes a ReduceMean of ``mean``, and a runtime that keeps maps in blocks of channels
    pools them as they are, but unpacks them for a reduction. The moments become vectors (N·C,) at once, lest the
    arithmetic on them be done in blocks too. The affine is BatchNormalization on N·C channels, which is one pass.
    """
    (count, channels), positions = z.shape[:2], z.shape[2:]
    size = count * channels
    examples = _node("Shape", [z], torch.int64, (1,), start=0, end=1)

    def per_example(t: Tensor) -> Tensor:
        return _node("Tile", [t, examples], z.dtype, (size,))

    def pooled(maps: Tensor) -> Tensor:
        pool = _node("GlobalAveragePool", [maps], z.dtype, (count, channels, *(1,) * len(positions)))
        return _reshaped(pool, (-1,), (size,))

    weight = torch.ones_like(floor) if weight is None else weight
    bias = torch.zeros_like(floor) if bias is None else bias
    alpha = per_example(alpha) if alpha.dim() else alpha
    offset = alpha * pooled(z)
    var = (per_example(floor) + alpha * pooled(z * z)) - offset * offset
    same = (0,) * len(positions)  # Reshape takes those of its input
    flat = _reshaped(z, (1, -1, *same), (1, size, *positions))
    inputs = [flat, per_example(weight), per_example(bias), offset, var]
    y = _node("BatchNormalization", inputs, z.dtype, flat.shape, epsilon=0.0)
    return _reshaped(y, (-1, channels, *same), z.shape)


def _reshaped(x: Tensor, wanted: Sequence[int], shape: Sequence[int]) -> Tensor:
    return _node("Reshape", [x, torch.tensor(wanted)], x.dtype, shape)


def _node(
    operator: str, inputs: Sequence[Tensor], dtype: torch.dtype, shape: Sequence[int], **attributes: Any
) -> Tensor:
    return symbolic(operator, inputs, attributes, dtype=dtype, shape=shape)
