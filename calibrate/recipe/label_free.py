"""The step that chooses α without labels."""

from typing import Annotated, Literal

from pydantic import Field

from calibrate.recipe.step import Sites, StepValue
from calibrate.values import NUMBER

Criterion = Literal["entropy", "agreement", "estimation_shift"]


class LabelFreeAlpha(StepValue):
    """Choose one α for the matching sites on the calibration half, whose labels are not used.

    ``entropy``: answers that are sure, and not all the same. ``agreement``: an image and the same one, mirrored or
    shifted, are answered alike. ``estimation_shift``: the layers normalise by statistics like those of their inputs. α
    must beat 0 by more than ``margin`` paired standard errors of the criterion, else 0 stays. Where the sites are
    GroupNorm layers, for which α = 1 changes nothing, the search goes down from there to 1 − ``maximum``.
    """

    needs_labels = False

    kind: Literal["label_free_alpha"] = "label_free_alpha"
    criterion: Annotated[Criterion, Field(description="what to go by instead of labels")] = "entropy"
    maximum: Annotated[float, Field(gt=0, le=1, description="largest α tried; for GroupNorm, 1 − α"), NUMBER] = 0.5
    samples: Annotated[
        Annotated[int, Field(ge=2), NUMBER] | None,
        Field(description="at most so many examples, drawn from the calibration half; else all of it"),
    ] = 1000
    margin: Annotated[float, Field(ge=0, le=10, description="standard errors by which α must beat 0"), NUMBER] = 1.0
    sites: Sites = ("*",)
