"""The step ``tune_affine``: γ and β learned by gradient from few labels."""

from typing import Annotated, Literal

from pydantic import Field

from calibrate.steps.learning import Learned, Learning
from calibrate.values import NUMBER


class TunedAffine(Learned):
    """The γ and β that were learned."""

    subject = "γ and β"

    kind: Literal["tune_affine"] = "tune_affine"

    @property
    def tuned_parts(self) -> tuple[str, ...]:
        """γ and β, where new ones were kept."""
        return ("tuned γ and β",) if self.kept else ()


class TuneAffine(Learning):
    """Tune γ and β on a few labels, and nothing else.

    Tune γ and β of the matching sites, and nothing else, on the labels of the calibration half.

    Running statistics normalise throughout. The epoch whose cross-entropy on the quarter held back is lowest, each
    after its own best temperature, must beat the start by more than ``margin`` paired standard errors, else the start
    stays.

    With w all γ and β of the matching layers, w₀ those at the start, T₀ the best temperature there, and the running
    statistics normalising throughout::

        w by Adam down the mean of −log softmax(logits(w)/T₀)[label] + ``pull``/2·Σ (w − w₀)²

    *Changes nothing when* no epoch beats the start by more than ``margin`` standard errors: it then stays, as it was.

    *Helps when* some hundreds of labelled examples of the data to come are there: it is the strongest of the steps
    that use labels, and costs nothing in inference.

    *Does not help when* labels are few, or come from other data than those to come.

    Cost: an epoch, three passes over three quarters of the calibration half and one over the quarter held back: 25
    passes with 10 epochs, the most there are by default; in inference nothing: where α is 0, γ and β fold into the
    convolutions as before.

    Limits: needs labels. It learns from three quarters of the calibration half and is judged on the quarter held
    back, on which T is then fitted too; the gain there is the best of several epochs, so believe the holdout half.
    Other weights stay as they are. float16 networks are refused; of bfloat16 ones a float32 copy learns.

    Reference: Frankle, Schwab and Morcos, Training BatchNorm and Only BatchNorm, ICLR 2021 (γ and β alone); Li,
    Grandvalet and Davoine, Explicit Inductive Bias for Transfer Learning, ICML 2018, §3 (L2-SP)
    """

    tunes = True
    result = TunedAffine

    kind: Literal["tune_affine"] = "tune_affine"
    lr: Annotated[float, Field(gt=0, le=100, description="learning rate of Adam"), NUMBER] = 0.003
    pull: Annotated[
        float, Field(ge=0, le=1e9, description="weight of half the squared distance of γ, β from their start"), NUMBER
    ] = 1.0
