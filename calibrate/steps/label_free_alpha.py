"""The step ``label_free_alpha``: one α for all matching layers, chosen without labels."""

from typing import Annotated, Literal

from pydantic import Field

from calibrate.steps.step import Sites, StepValue
from calibrate.values import NUMBER, Value

Criterion = Literal["entropy", "agreement", "estimation_shift"]


class LabelFreeAlpha(StepValue):
    """Weigh each example in its own statistics, by an α chosen without labels.

    Choose one α for the matching sites on the calibration half, whose labels are not used.

    ``entropy``: answers that are sure, and not all the same. ``agreement``: an image and the same one, mirrored or
    shifted, are answered alike. ``estimation_shift``: the layers normalise by statistics like those of their inputs. α
    must beat 0 by more than ``margin`` paired standard errors of the criterion, else 0 stays. Where the sites are
    GroupNorm layers, for which α = 1 changes nothing, the search goes down from there to 1 − ``maximum``.

    With p = softmax(c·logits(α)), c such that the logits spread as at the α of training, p̄ the mean p, q the same
    for the image mirrored or shifted, JS the Jensen–Shannon divergence, and m, v, rm, rv the mean and variance of the
    last layer's inputs and its running ones; by ``criterion``::

        entropy:          α = argmin of mean H(p) − H(p̄)
        agreement:        α = argmin of mean JS(p, q) + mean H(p) − H(p̄)
        estimation_shift: α = argmin of mean over channels of ((rm − m)² + (√rv − √v)²)/v

    *Changes nothing when* no α beats 0 by more than ``margin`` standard errors; for GroupNorm layers, no α beats 1.

    *Helps when* there are no labels, and the data differ from the training data: the stronger the shift, the more.

    *Does not help when* there are labels: search_alpha chooses by what counts. The data hold few of the classes: then
    the entropy of the mean prediction misleads.

    Cost: at most 10 passes over ``samples`` examples, twice that for agreement, and one over the calibration half for
    GroupNorm layers; in inference that of set_alpha.

    Limits: a criterion is no accuracy: measure on labelled data where there are any. agreement needs images. For
    GroupNorm layers the estimation shift says nothing, because their moments are taken from the same data.

    Reference: Krause, Perona and Gomes, Discriminative Clustering by Regularized Information Maximization, NIPS 2010,
    §2 (entropy); Huang et al., Delving into the Estimation Shift of Batch Normalization in a Network, CVPR 2022,
    Definition 2
    """

    needs_labels = False
    tunes = True
    weighs_examples = True

    kind: Literal["label_free_alpha"] = "label_free_alpha"
    criterion: Annotated[Criterion, Field(description="what to go by instead of labels")] = "entropy"
    maximum: Annotated[float, Field(gt=0, le=1, description="largest α tried; for GroupNorm, 1 − α"), NUMBER] = 0.5
    samples: Annotated[
        Annotated[int, Field(ge=2), NUMBER] | None,
        Field(description="at most so many examples, drawn from the calibration half; else all of it"),
    ] = 1000
    margin: Annotated[float, Field(ge=0, le=10, description="standard errors by which α must beat 0"), NUMBER] = 1.0
    sites: Sites = ("*",)


class LabelFreePoint(Value):
    """The criterion at one α; lower is better.

    ``low`` and ``high`` are the 95 % interval of the paired difference from the search's first point, added to the
    value there: where they leave that value out, α made a difference.
    """

    alpha: float
    value: float
    low: float
    high: float


class LabelFreeSearch(Value):
    """The choice of one α by ``criterion``, on ``n`` examples of the calibration half, without their labels.

    The first point is the network as trained, at α = 0 for BatchNorm and 1 for GroupNorm; the others depart from it
    further and further. ``best`` is where the criterion is lowest, by ``gain`` from the first point, with a
    ``standard_error``; ``chosen`` is ``best``, or the first point's α, as ``reason`` says. Passes are forward passes
    over the calibration half, parts by their share.
    """

    criterion: Literal["entropy", "agreement", "estimation_shift"]
    points: tuple[LabelFreePoint, ...]
    chosen: float
    best: float
    gain: float
    standard_error: float
    reason: str
    n: int
    passes: float
