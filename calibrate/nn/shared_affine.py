"""γ and β of one layer for another that takes its place."""

from typing import Any

from torch import nn


def share_affine_(layer: nn.Module, replaced: nn.Module) -> None:
    """Let ``layer`` have ``weight`` and ``bias`` of ``replaced``; also where torch's hooks compute them.

    Pruning, weight norm and spectral norm keep what they compute ``weight`` from in ``weight_orig``, ``weight_mask``,
    ``weight_g`` and so on, which ``layer`` then has too, under the same names: with the forward hooks of ``replaced``
    it computes the same.

    >>> pruned = nn.BatchNorm1d(2)
    >>> _ = nn.utils.prune.l1_unstructured(pruned, "weight", 1)
    >>> layer = nn.BatchNorm1d(2)
    >>> share_affine_(layer, pruned)
    >>> sorted(layer.state_dict()) == sorted(pruned.state_dict())
    True
    """
    for name in ("weight", "bias"):
        value: Any = getattr(replaced, name)
        if name not in replaced._parameters and name in layer._parameters:
            del layer._parameters[name]
        setattr(layer, name, value)
        for part, parameter in replaced._parameters.items():
            if part.startswith(f"{name}_"):
                layer.register_parameter(part, parameter)
        for part, buffer in replaced._buffers.items():
            if part.startswith(f"{name}_"):
                layer.register_buffer(part, buffer)
