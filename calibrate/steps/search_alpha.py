"""The step ``search_alpha``: one α for all matching layers, chosen by labels."""

from typing import Annotated, Literal

from pydantic import Field

from calibrate.steps.set_alpha import SetAlpha
from calibrate.steps.step import Sites, StepValue
from calibrate.values import NUMBER, Value


class SearchAlpha(StepValue):
    """Weigh each example in its own statistics, by the best α.

    Choose one α for the matching sites on the calibration half, jointly with the temperature.

    The chosen α has the lowest cross-entropy after its own best temperature. It must beat α = 0 by more than
    ``margin`` paired standard errors, else α = 0 stays: a free network is not traded for noise. Where the sites are
    GroupNorm layers, for which α = 1 changes nothing, the search goes down from there to 1 − ``maximum``.

    With logits(α) those of the calibration half where the matching layers weigh examples by α as in set_alpha; for
    GroupNorm layers 1 − maximum ≤ α ≤ 1::

        α = argmin over 0 ≤ α ≤ maximum of min over T > 0 of the mean of −log softmax(logits(α)/T)[label]

    *Changes nothing when* no α beats 0 by more than ``margin`` standard errors; for GroupNorm layers, no α beats 1.

    *Helps when* the network was trained with small batches, or meets data that differ from its training data.

    *Does not help when* the running statistics fit the data; then a temperature alone does as well.

    Cost: at most 5 passes over the calibration half, 8 more with ``curve``, and one more for GroupNorm layers; in
    inference that of set_alpha.

    Limits: needs labels. One α for all matching layers; where the gain is within its noise, α stays 0 and the network
    is unchanged. A network with α > 0 folds only a part of its normalisation into the convolutions.

    Reference: Summers and Dinneen, Four Things Everyone Should Know to Improve Batch Normalization, ICLR 2020, §3.1
    """

    tunes = True
    weighs_examples = True

    kind: Literal["search_alpha"] = "search_alpha"
    maximum: Annotated[float, Field(gt=0, le=1, description="largest α tried; for GroupNorm, 1 − α"), NUMBER] = 0.5
    refinements: Annotated[int, Field(ge=0, le=20, description="α's tried at a parabola's minimum"), NUMBER] = 2
    margin: Annotated[float, Field(ge=0, le=10, description="standard errors by which α must beat 0"), NUMBER] = 1.0
    curve: Annotated[bool, Field(description="also draw the dense curve over α, for 8 more passes")] = True
    sites: Sites = ("*",)

    def at_alpha(self, alpha: float) -> SetAlpha:
        """The step that gives the same sites this α."""
        return SetAlpha(alpha=alpha, sites=self.sites)


class CurvePoint(Value):
    """The calibration half at one α: accuracy, cross-entropy before and after the best temperature.

    A band is the 95 % interval of the paired difference from the search's first point, added to the value there.
    """

    alpha: float
    temperature: float
    nll: float
    nll_after_temperature: float
    top1: float
    nll_band: tuple[float, float] | None = None
    top1_band: tuple[float, float] | None = None


class AlphaSearch(Value):
    """What the search for α measured, and what it chose.

    The first point is the network as trained, at α = 0 for BatchNorm and 1 for GroupNorm; the others depart from it
    further and further, in ``curve`` too. ``points`` were truly evaluated on the whole calibration half, the optima and
    the chosen α among them. ``curve`` is read off logits interpolated over α; it is empty where ``curve_error``, the
    largest difference in cross-entropy from true evaluations, was too large. Passes are forward passes over the
    calibration half, parts by their share.
    """

    points: tuple[CurvePoint, ...]
    chosen: float
    best_by_nll: float
    best_by_top1: float
    standard_error: float
    reason: str
    passes: float
    curve: tuple[CurvePoint, ...] = ()
    curve_passes: float = 0.0
    curve_error: float | None = None
