"""Few-shot affine tuning: γ and β of the normalisation layers, held near those of the source."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from calibrate.errors import ModelError
from calibrate.search.few_shot import Learnable, joined, parted
from calibrate.steps import TuneAffine
from calibrate.surgery import find_sites, matching


def learnable_affine(affine: Mapping[str, Tensor], step: TuneAffine) -> Learnable:
    """The numbers of all γ and β in ``affine``; penalty: ``pull``/2 · Σ (w − w₀)², where w₀ are those at the start.

    They are learned in float32 at least, and rounded to the network's type where it computes with them.

    Reference: Li, Grandvalet and Davoine, Explicit Inductive Bias for Transfer Learning with Convolutional Networks,
    ICML 2018, §3 (L2-SP).
    """
    start = joined(affine)
    return Learnable(
        start=start,
        entries=lambda vector: parted(vector, affine),
        penalty=lambda vector: step.pull / 2 * (vector - start).square().sum(),
    )


def affine_tensors(model: nn.Module, patterns: Sequence[str]) -> dict[str, Tensor]:
    """γ and β of the matching layers by their names in ``model``, each once; layers with an obstacle have none here.

    Raises ModelError where there are none, UsageError for a pattern that matches no layer.
    """
    own = {
        id(tensor)
        for site in matching(find_sites(model), patterns)
        if not site.obstacle
        for tensor in (getattr(site.module, name, None) for name in ("weight", "bias"))
        if tensor is not None
    }
    tensors = {
        name: tensor for name, tensor in (*model.named_parameters(), *model.named_buffers()) if id(tensor) in own
    }
    if not tensors:
        raise ModelError(
            "the network has no γ and β to tune: none of the matching layers is a batch or group normalisation that "
            "has them and normalises by running statistics or by the example alone. Leave the step tune_affine out, or "
            "choose other layers with `sites`."
        )
    return tensors
