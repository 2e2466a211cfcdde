"""What the variants of batch normalisation share: inputs, running statistics, parameters, checkpoints."""

from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Self, TypedDict, Unpack

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from calibrate.nn.moments import ChannelMoments, instance_moments, pool
from calibrate.nn.shared_affine import share_affine_


class BatchNormOptions(TypedDict, total=False):
    """The options of ``torch.nn.BatchNorm2d`` that every variant takes, with its defaults."""

    eps: float
    momentum: float | None
    affine: bool
    device: torch.device | str | None
    dtype: torch.dtype | None


class BatchNormVariant(_BatchNorm):
    """A batch normalisation layer that computes its output in its own way; a base class.

    Input (N, C) or (N, C, *), any number of positions. Parameters, buffers and their names are BatchNorm's, so that
    its state dicts load; the parameters (C,) named in ``starts``, which it has not, are left as they are where a state
    dict has none. Statistics are float32 at least, and each replica's own under DistributedDataParallel. In training a
    single value per channel is refused, as BatchNorm does.

    ``SyncBatchNorm.convert_sync_batchnorm`` would put a plain SyncBatchNorm in the layer's place: do not call it after.
    """

    #: Parameters (C,) beside γ and β, and what each starts at.
    starts: Mapping[str, float] = MappingProxyType({})
    #: Whether in evaluation mode the layer is BatchNorm itself.
    infers_as_batch_norm = False
    #: What the constructor calls C.
    size_argument = "num_features"

    def __init__(
        self, num_features: int, starts: Mapping[str, float] | None = None, **options: Unpack[BatchNormOptions]
    ) -> None:
        super().__init__(num_features, **options)
        self.starts = starts or {}
        for name in self.starts:
            self.register_parameter(name, nn.Parameter(torch.empty_like(self.running_statistics[0])))
        self.reset_parameters()

    @classmethod
    def from_batch_norm(cls, batch_norm: _BatchNorm, **settings: Any) -> Self:
        """A layer that shares the parameters and running statistics of ``batch_norm``, its eps, momentum and mode.

        ``settings`` are the constructor's. Raises ValueError for a layer without running statistics.
        """
        mean, var = batch_norm.running_mean, batch_norm.running_var
        if mean is None or var is None:
            raise ValueError("the layer keeps no running statistics, which a variant of batch normalisation needs")
        kept = {"eps": batch_norm.eps, "momentum": batch_norm.momentum, "affine": batch_norm.affine}
        size = {cls.size_argument: batch_norm.num_features}
        layer = cls(**{**size, **kept, "device": mean.device, "dtype": mean.dtype, **settings})
        share_affine_(layer, batch_norm)
        layer.running_mean, layer.running_var = mean, var
        layer.num_batches_tracked = batch_norm.num_batches_tracked
        return layer.train(batch_norm.training)

    @abstractmethod
    def normalized(self, x: Tensor) -> Tensor:
        """What the layer makes of ``x``, float32 or wider; in training it also tracks the batch's statistics."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (the name torch gave it)
        """Normalise ``input``; see the class."""
        self._check_input_dim(input)
        if input.numel() == 0 or (not self.training and self.infers_as_batch_norm):
            return super().forward(input)
        return self.normalized(input.to(torch.promote_types(input.dtype, torch.float32))).to(input.dtype)

    def reset_parameters(self) -> None:
        """Set running statistics and parameters to what they start at."""
        super().reset_parameters()
        for name, start in self.starts.items():
            nn.init.constant_(getattr(self, name), start)

    def moments(self, x: Tensor, instances: ChannelMoments | None = None) -> ChannelMoments:
        """Mean and variance (C,) to normalise ``x`` by: the batch's, which it tracks; in evaluation the running ones.

        ``instances`` are the moments (N, C) of the examples where they are at hand already.
        """
        if not self.training:
            return self.running_moments(x)
        mean, var = pool(*(instances or instance_moments(x)))
        self.track_(mean, var, x)
        return mean, var

    @property
    def running_statistics(self) -> ChannelMoments:
        """The running mean and variance themselves."""
        assert self.running_mean is not None
        assert self.running_var is not None
        return self.running_mean, self.running_var

    def running_moments(self, x: Tensor) -> ChannelMoments:
        """The running mean and variance in the precision of ``x``."""
        mean, var = self.running_statistics
        return mean.to(x.dtype), var.to(x.dtype)

    def affine_parameters(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """γ and β in the precision of ``x``; 1 and 0 where the layer has none."""
        like = self.running_statistics[0]
        weight = torch.ones_like(like) if self.weight is None else self.weight
        bias = torch.zeros_like(like) if self.bias is None else self.bias
        return weight.to(x.dtype), bias.to(x.dtype)

    @torch.no_grad()
    def track_(self, mean: Tensor, var: Tensor, x: Tensor) -> None:
        """Move the running statistics towards the batch's: rm += a(mean − rm), rv += a(var·n/(n − 1) − rv).

        n is the number of values per channel in ``x``; a is ``momentum``, or 1/(number of batches) where that is None.
        """
        count = x.numel() // x.shape[1]
        rate = self.next_rate_(x)
        for running, batch in zip(self.running_statistics, (mean, var * (count / (count - 1))), strict=True):
            running.copy_(torch.lerp(running.to(batch.dtype), batch, rate))

    @torch.no_grad()
    def next_rate_(self, x: Tensor) -> float | Tensor:
        """Count one more batch, and say by which rate it moves the running statistics."""
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        return self.num_batches_tracked.to(x.dtype).reciprocal() if self.momentum is None else self.momentum

    def extra_repr(self) -> str:
        """The layer's size, eps and momentum."""
        affine = "" if self.affine else ", affine=False"
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}{affine}"

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002  (the name torch gave it)
        if input.dim() < 2 or input.shape[1] != self.num_features:
            raise ValueError(
                f"the input has shape {tuple(input.shape)}; give (N, C) or (N, C, *) with C = {self.num_features}"
            )
        if self.training and input.numel() == input.shape[1]:
            raise ValueError(
                f"expected more than 1 value per channel when training, got an input of shape {tuple(input.shape)}; "
                "give batches of 2 examples or more"
            )

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        own = {f"{prefix}{name}": getattr(self, name) for name in self.starts}
        super()._load_from_state_dict({**own, **state_dict}, prefix, *args)
