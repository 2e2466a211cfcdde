"""Channel attention: how much each filter matters to the target task, as DELTA weighs it."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from calibrate.finetune.features import gathering
from calibrate.finetune.head import modules_of
from calibrate.finetune.penalty import wide
from calibrate.surgery import evaluating, watching

TEMPERATURE = 5.0


@torch.no_grad()
def channel_attention(
    source: nn.Module, layers: Sequence[str], batches: Iterable[tuple[Tensor, Tensor]]
) -> dict[str, Tensor]:
    """For each of ``layers`` the attention (C,) of its channels, which sums to 1.

    With lⱼ the cross-entropy on ``batches`` when channel j of what the layer puts out is 0, l without that, and z the
    standard score over the layer's channels (biased variance; 0 where all are alike)::

        a = softmax(z(lⱼ − l)/5)

    ``source`` puts out logits of the target's classes: its head is trained first, on features as they are. It is in
    evaluation mode meanwhile.

    Cost: a forward pass over ``batches`` for each channel of each layer, and one more.

    Reference: Li et al., DELTA: Deep Learning Transfer using Feature Map with Attention, 2019; the softmax of standard
    scores over 5 is the authors' code's.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
    >>> batch = torch.ones(5, 2), torch.zeros(5, dtype=torch.long)
    >>> channel_attention(model, ["0"], [batch])["0"].shape
    torch.Size([3])
    """
    increases: dict[str, Tensor] = {}
    with evaluating(source):
        for x, y in batches:
            with gathering(source, layers) as features:
                plain = _loss(source, x, y)
            channels = {name: features[name][0].shape[1] for name in layers}
            for name, module in zip(layers, modules_of(source, layers), strict=True):
                for channel in range(channels[name]):
                    with _silenced(module, channel):
                        increase = _loss(source, x, y) - plain
                    increases.setdefault(name, torch.zeros(channels[name], dtype=torch.float64))[channel] += increase
    return {name: _attention(increase) for name, increase in increases.items()}


def _loss(model: nn.Module, x: Tensor, y: Tensor) -> float:
    return F.cross_entropy(wide(model(x)), y, reduction="sum").item()


def _silenced(module: nn.Module, channel: int) -> AbstractContextManager[None]:
    return watching([module], after=lambda _, __, y: y.index_fill(1, torch.tensor(channel).to(y.device), 0))


def _attention(increase: Tensor) -> Tensor:
    centred = increase - increase.mean()
    deviation = increase.std(correction=0)
    return (centred / deviation.where(deviation > 0, 1.0) / TEMPERATURE).softmax(0)
