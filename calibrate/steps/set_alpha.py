"""The step ``set_alpha``: layers that weigh each example by a given α."""

from typing import Literal

from calibrate.steps.step import Alpha, Sites, StepValue


class SetAlpha(StepValue):
    """Weigh each example in its own statistics, by a given α.

    Give each example the weight ``alpha`` in its own statistics at the matching sites.

    With rm, rv the running mean and variance and m, v the mean and biased variance of the example's channel over its
    positions::

        μ  = (1 − α)·rm + α·m
        σ² = (1 − α)·rv + α·v + α(1 − α)(m − rm)²
        y  = γ(x − μ)/√(σ² + eps) + β

    *Changes nothing when* α = 0; for GroupNorm layers, α = 1.

    *Helps when* α is known from an earlier search, or one wants to see what a certain α does.

    *Does not help when* α was chosen on other data, or for another network: search it.

    Cost: none to carry out, one pass over the calibration half for GroupNorm layers; in inference two reductions and
    a pass over the maps for each layer with α > 0.

    Limits: nothing is chosen from the data, so a bad α is applied as it is; measure afterwards. A network with α > 0
    folds only a part of its normalisation into the convolutions.

    Reference: Summers and Dinneen, Four Things Everyone Should Know to Improve Batch Normalization, ICLR 2020, §3.1
    """

    needs_labels = False
    tunes = True
    weighs_examples = True

    kind: Literal["set_alpha"] = "set_alpha"
    alpha: Alpha
    sites: Sites = ("*",)

    @property
    def needs_logits(self) -> bool:
        """Never."""
        return False
