"""Batch-free normalisation in the place of a batch normalisation layer: GroupNorm, and InstanceNorm as a case of it."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def group_norm(batch_norm: _BatchNorm, num_groups: int = 64) -> nn.GroupNorm:
    """Normalise each example over groups of its channels: a ``torch.nn.GroupNorm`` with γ, β, eps and mode taken over.

    With m, v the mean and biased variance of each group of C/G channels over the example's positions::

        y = γ(x − m)/√(v + eps) + β

    Shape: ``x`` (N, C) or (N, C, *). ``num_groups`` G is at most C; running statistics are gone from the state dict.

    *Equals BatchNorm when* never; with one channel a group it is instance normalisation.

    *Helps when* batches are small, or put among BatchNorm layers, whose estimation shift it keeps from adding up.

    *Does not help when* it replaces every BatchNorm in a network trained with large batches.

    Cost: one reduction more than BatchNorm in inference, into whose convolution it does not fold.

    Limits: the network must be trained after the change; C must be a multiple of G.

    Reference: Wu & He, Group Normalization; Huang et al., Delving into the Estimation Shift of Batch Normalization, §5.

    >>> group_norm(nn.BatchNorm2d(256)).num_groups, group_norm(nn.BatchNorm2d(32)).num_groups
    (64, 32)
    """
    return _group_norm(batch_norm, min(num_groups, batch_norm.num_features), batch_norm.affine)


def instance_norm(batch_norm: _BatchNorm, scaled: bool = False) -> nn.GroupNorm:
    """Normalise each channel of each example: a ``torch.nn.GroupNorm`` with a channel a group, eps and mode taken over.

    With m, v the mean and biased variance of each channel over the example's positions::

        y = (x − m)/√(v + eps), or γ(x − m)/√(v + eps) + β where it is ``scaled``

    Shape: ``x`` (N, C) or (N, C, *). Running statistics, and γ and β where it is not scaled, are gone from the state
    dict.

    *Equals BatchNorm when* a batch is one example, in training.

    *Helps when* appearance (style, lighting) shifts, early in a network or among BatchNorm layers.

    *Does not help when* deep in a network, or without positions: there its output is 0 (and torch refuses one example).

    Cost: one reduction more than BatchNorm in inference, into whose convolution it does not fold.

    Limits: the network must be trained after the change.

    Reference: Ulyanov, Vedaldi & Lempitsky, Instance Normalization; Huang et al., Delving into the Estimation Shift of
    Batch Normalization, §5.

    >>> instance_norm(nn.BatchNorm2d(32)).num_groups
    32
    """
    return _group_norm(batch_norm, batch_norm.num_features, scaled and batch_norm.affine)


def _group_norm(batch_norm: _BatchNorm, num_groups: int, affine: bool) -> nn.GroupNorm:
    layer = nn.GroupNorm(num_groups, batch_norm.num_features, batch_norm.eps, affine, device="meta")
    if affine:
        layer.weight, layer.bias = batch_norm.weight, batch_norm.bias
    return layer.train(batch_norm.training)
