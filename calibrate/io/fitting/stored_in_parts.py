"""Weights that a file stores in parts: pruned, weight-normalised, spectrally normalised ones made whole again."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import normalize

_Tensors = tuple[Tensor, ...]


def made_whole(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """``tensors`` with plain weights in place of their parts, and which weights these are, each with its kind.

    As ``torch.nn.utils`` computes them in evaluation, in the dtype of the file:

    - pruned: ``w_orig · w_mask``
    - weight norm: ``w_v · w_g / ‖w_v‖``, and as a parametrisation ``original1 · original0 / ‖original1‖``
    - spectral norm: ``w_orig / uᵀ W v``, where ``W`` is ``w_orig`` as a matrix; as a parametrisation likewise

    Which dimension they go by is not stored: it is told by the shapes of ``w_g``, or of ``u`` and ``v``.

    >>> whole, kinds = made_whole({"fc.weight_orig": torch.ones(3), "fc.weight_mask": torch.tensor([1.0, 0.0, 1.0])})
    >>> whole["fc.weight"].tolist(), kinds
    ([1.0, 0.0, 1.0], {'fc.weight': 'pruned'})
    """
    whole, kinds = dict(tensors), dict[str, str]()
    for name in tensors:
        for kind, ending, others, compute in _KINDS:
            stem = name.removesuffix(ending)
            plain = _plain_name(stem)
            if stem == name or (ending.startswith(".") and plain == stem):
                continue
            parts = [tensors.get(stem + other) for other in others]
            found = tuple(part for part in parts if part is not None)
            if len(found) < len(parts) or plain in tensors:
                continue
            weight = compute((tensors[name], *found))
            if weight is not None:
                for part in (ending, *others):
                    del whole[stem + part]
                whole[plain], kinds[plain] = weight, kind
                break
    return whole, kinds


def _plain_name(stem: str) -> str:
    """``conv.weight`` for ``conv.weight`` and for ``conv.parametrizations.weight``."""
    module, _, name = stem.rpartition(".")
    outer, _, last = module.rpartition(".")
    if last == "parametrizations":
        return f"{outer}.{name}" if outer else name
    return stem


def _pruned(parts: _Tensors) -> Tensor | None:
    original, mask = parts
    return mask.to(original.dtype) * original if mask.shape == original.shape else None


def _weight_normed(parts: _Tensors) -> Tensor | None:
    """``parts`` are direction and magnitude."""
    direction, magnitude = parts
    if not direction.is_floating_point() or not direction.dim() or magnitude.dtype != direction.dtype:
        return None
    if not magnitude.dim():
        return torch._weight_norm(direction, magnitude, -1)
    for dim in range(direction.dim()):
        if magnitude.shape == tuple(size if axis == dim else 1 for axis, size in enumerate(direction.shape)):
            return torch._weight_norm(direction, magnitude, dim)
    return None


def _spectrally_normed(parts: _Tensors, dot: Callable[[Tensor, Tensor], Tensor]) -> Tensor | None:
    """``parts`` are the weight and its first singular vectors u and v."""
    weight, u, v = parts
    if u.dim() != 1 or v.dim() != 1 or weight.dim() < 2 or not weight.dtype == u.dtype == v.dtype:
        return None
    matrices = [_matrix(weight, dim) for dim in range(weight.dim())]
    fitting = [matrix for matrix in matrices if matrix.shape == (len(u), len(v))]
    if not fitting or not weight.is_floating_point():
        return None
    # Where several dimensions have the size of u, it is the one whose singular vectors these are.
    products = [torch.mv(matrix, v) for matrix in fitting]
    scores = [float(dot(u.float(), normalize(product.float(), dim=0))) for product in products]
    return weight / dot(u, products[scores.index(max(scores))])


def _matrix(weight: Tensor, dim: int) -> Tensor:
    return weight.permute(dim, *(axis for axis in range(weight.dim()) if axis != dim)).flatten(1)


#: Kind, ending of the name of the first part, endings of the others, and how they make the weight.
_KINDS: Sequence[tuple[str, str, tuple[str, ...], Callable[[_Tensors], Tensor | None]]] = (
    ("pruned", "_orig", ("_mask",), _pruned),
    ("spectral norm", "_orig", ("_u", "_v"), partial(_spectrally_normed, dot=torch.dot)),
    ("spectral norm", ".original", (".0._u", ".0._v"), partial(_spectrally_normed, dot=torch.vdot)),
    ("weight norm", "_v", ("_g",), _weight_normed),
    ("weight norm", ".original1", (".original0",), _weight_normed),
)
