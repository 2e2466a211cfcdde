"""Learned α: one for each layer, or for each channel, as the sigmoid of what is learned."""

from collections.abc import Sequence

from torch import Tensor

from calibrate.errors import UsageError
from calibrate.nn import ExampleWeighed
from calibrate.search.few_shot import Learnable, joined, parted
from calibrate.steps import LearnAlpha
from calibrate.surgery import Site

#: The sigmoid reaches neither 0 nor 1, and learns slowly near them: θ starts where α is this far from both.
FLOOR = 0.01


def learnable_alpha(sites: Sequence[Site], step: LearnAlpha) -> Learnable:
    """θ of α = sigmoid(θ), one for each of ``sites`` or each of their channels, all of which weigh examples.

    θ₀, the start, is the logit of the α that a site has, taken to [``FLOOR``, 1 − ``FLOOR``]; where it has one for each
    channel and gets one, of their mean. Penalty: ``pull`` · mean (θ − θ₀)².
    """
    alphas = {f"{site.name}.alpha".lstrip("."): _alpha(site, step) for site in sites}
    start = joined(alphas).clamp(FLOOR, 1 - FLOOR).logit()
    return Learnable(
        start=start,
        entries=lambda vector: parted(vector.sigmoid(), alphas),
        penalty=lambda vector: step.pull * (vector - start).square().mean(),
    )


def check_channels(sites: Sequence[Site], step: LearnAlpha) -> None:
    """Raise UsageError where ``step`` wants an α for each channel of layers that can have one only."""
    if step.per == "channel" and (grouped := [site for site in sites if site.is_group_norm]):
        raise UsageError(
            f"the layer {grouped[0].name} is a GroupNorm, whose statistics span channels, so that it has one α and not "
            "one for each channel; set `per: layer` in the step learn_alpha, or choose other layers with `sites`."
        )


def _alpha(site: Site, step: LearnAlpha) -> Tensor:
    assert isinstance(site.module, ExampleWeighed)
    alpha = site.module.alpha
    return alpha.expand(site.channels) if step.per == "channel" else alpha.mean()
