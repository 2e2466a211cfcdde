"""What can be said of predictions without labels: how much they tell of the images, and how alike two of them are."""

import torch
from torch import Tensor


def spread(logits: Tensor) -> float:
    """The root mean square of what the logits (n, K) of an example differ by from their mean.

    >>> spread(torch.tensor([[3.0, 1.0], [7.0, 5.0]]))
    1.0
    """
    centred = logits.double() - logits.double().mean(1, keepdim=True)
    return float(centred.square().mean().sqrt())


def probabilities(logits: Tensor, scale: float) -> Tensor:
    """softmax(``scale`` · ``logits``), (n, K), in float64."""
    return torch.softmax(scale * logits.double(), 1)


def information(p: Tensor) -> Tensor:
    """What each of the predictions p (n, K) tells of its image, (n,), in nats: KL(pᵢ ‖ p̄), with p̄ their mean.

    The mean over the examples is the mutual information of image and class, H(p̄) − mean H(pᵢ): the entropy of the mean
    prediction, which is high where predictions are of all classes, less the mean entropy, which is low where they are
    sure.

    >>> information(torch.tensor([[1.0, 0.0], [0.0, 1.0]])).tolist()
    [0.693..., 0.693...]
    """
    own, common = torch.special.entr(p), torch.special.xlogy(p, p.mean(0))
    told: Tensor = -(own + common).sum(1)
    return told


def entropy(p: Tensor) -> Tensor:
    """How little each prediction p (n, K) tells of its image, −KL(pᵢ ‖ p̄), (n,): the mean is mean H(pᵢ) − H(p̄)."""
    return -information(p)


def agreement(p: Tensor, q: Tensor) -> Tensor:
    """How unlike the predictions p and q (n, K) for two views of an image are, less how unlike those of others.

    Both are Jensen–Shannon divergences, (n,): that of pᵢ and qᵢ, and :func:`information`'s. Without the second a
    network that predicts the same for all images would be best.
    """
    return divergence(p, q) - information(p)


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """The Jensen–Shannon divergence of pᵢ and qᵢ, both (n, K), in nats: H((p + q)/2) − (H(p) + H(q))/2, (n,).

    >>> divergence(torch.tensor([[1.0, 0.0], [0.5, 0.5]]), torch.tensor([[0.0, 1.0], [0.5, 0.5]])).tolist()
    [0.693..., 0.0]
    """
    own = (torch.special.entr(p) + torch.special.entr(q)) / 2
    apart: Tensor = (torch.special.entr((p + q) / 2) - own).sum(1)
    return apart
