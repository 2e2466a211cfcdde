"""The step: what it compares, and how."""

from typing import Annotated, Literal

from pydantic import Field

from calibrate.steps.measure.result import Measurement
from calibrate.steps.step import StepValue
from calibrate.values import NUMBER


class Measure(StepValue):
    """Compare with the original network.

    Compare the original network with the current network, on the holdout half.

    With each metric (NLL, top-1, …) on the same examples, those of the holdout half::

        difference = metric(current) − metric(original)

    *Changes nothing when* always: it only looks.

    *Helps when* always: it is what shows, on data that nothing was chosen on, whether the other steps helped.

    *Does not help when* the holdout half is unlike the data to come, or too small for the difference looked for.

    Cost: one pass over the holdout half for the original network, and one for the changed one.

    Limits: needs labels. The intervals describe data like the holdout half, and no others.

    Reference: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 and 14
    """

    result = Measurement
    jobs = frozenset({"calibrate", "evaluate", "probe", "adapt"})

    kind: Literal["measure"] = "measure"
    resamples: Annotated[int, Field(ge=100, le=100_000, description="bootstrap resamples"), NUMBER] = 2000
    bins: Annotated[int, Field(ge=2, le=100, description="confidence bins of the calibration error"), NUMBER] = 15
