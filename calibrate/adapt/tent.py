"""Tent: γ and β follow the gradient of the predictions' entropy.

Reference: Wang et al., Tent: Fully Test-Time Adaptation by Entropy Minimization, ICLR 2021, §3.
"""

from torch import Tensor

from calibrate.adapt.adapter import entropy
from calibrate.adapt.affine import AffineAdapter
from calibrate.steps import Tent


class TentAdapter(AffineAdapter[Tent]):
    """Minimises the mean entropy of each batch, the layers normalising by the batch.

    *Equals the source when* never: before its first step it is prediction-time BN.

    With H(p) = −Σ p log p of the predictions p = softmax(logits), over γ and β of the matching layers::

        γ, β ← step down the gradient of mean H(p)

    Cost: a forward and a backward pass for each of ``steps``.
    """

    def learn_(self, x: Tensor) -> Tensor:
        """The logits (n, K) of the batch ``x``, from before the first step."""
        logits = self.forward(x)
        self.descend_(entropy(logits).mean())
        for _ in range(self.settings.steps - 1):
            self.descend_(entropy(self.forward(x)).mean())
        return logits
