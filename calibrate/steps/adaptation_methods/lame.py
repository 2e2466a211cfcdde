"""The method that corrects predictions by those of similar images, and leaves the network alone."""

from typing import Annotated, Literal

from pydantic import Field

from calibrate.steps.adaptation_methods.base import AdaptationMethod
from calibrate.values import NUMBER


class LAME(AdaptationMethod):
    """Let neighbours in feature space agree on their predictions (LAME).

    Correct the predictions of a batch so that neighbours in feature space agree; no weight changes.

    With pᵢ the predictions of a batch, fᵢ what the final linear layer is given over its norm, σ the mean distance to
    the k-th nearest, k = ``neighbours``, and wᵢⱼ = exp(−‖fᵢ − fⱼ‖²/2σ²), from zᵢ = pᵢ until it converges,
    ``iterations`` times at most::

        zᵢ ← softmax(log pᵢ + Σⱼ wᵢⱼ zⱼ)

    *Changes nothing when* the batch is a single image.

    *Helps when* images of one class come together, as in video: neighbours in a batch are then of one class.

    *Does not help when* the stream is shuffled: the agreement is then among images of different classes, and accuracy
    falls.

    Cost: one forward pass and O(n²) operations for n images in the batch.

    Limits: changes no layer and learns nothing, so it needs code at run time; needs a network whose logits come out
    of one linear layer.

    Reference: Boudiaf et al., Parameter-free Online Test-time Adaptation, CVPR 2022, §4
    """

    kind: Literal["lame"] = "lame"
    neighbours: Annotated[int, Field(ge=2, le=1000, description="that set the bandwidth, k, oneself first"), NUMBER] = 5
    iterations: Annotated[int, Field(ge=1, le=10_000, description="at most"), NUMBER] = 100
