"""What a network puts out: logits, probabilities whose logits are taken, or something else."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from calibrate.errors import ModelError
from calibrate.recipe import Recipe
from calibrate.result import Finding
from calibrate.surgery import BEYOND, Link, Look, OutputKind, evaluating, take_logits_, within_unit_interval

#: How many examples are looked at where a network may put out probabilities.
LOOKED_AT = 32
#: Where a network is made to put out logits, and how, by what it puts out.
FACTORY = "(--architecture package.module:factory)"
WRAPPING: Mapping[OutputKind, str] = {
    "one logit": "binary classification by one logit is not supported yet. Wrap it in a factory whose network returns "
    f"torch.stack([torch.zeros_like(z), z], 1) for its logit z of shape (N,) {FACTORY}: softmax of (0, z) is the "
    "sigmoid of z",
    "steps": "sequences, with logits of each step (T, N, K), are not supported yet. Wrap it in a factory that returns "
    f"those of one step, or of each example, alone {FACTORY}",
    "positions": "segmentation, with logits at each position (N, K, *), is not supported yet. Wrap it in a factory "
    f"that returns logits of each example {FACTORY}",
    "decisions": "that is what was decided, by argmax or a threshold, and not the logits that decided. Wrap it in a "
    f"factory whose network returns those {FACTORY}",
    "complex": "complex numbers are no logits. Wrap it in a factory whose network returns the real numbers that the "
    f"loss was computed of in training, such as their absolute values {FACTORY}",
    "other": f"wrap it in a factory that returns the logits alone {FACTORY}",
}


def no_logits(seen: Look) -> str:
    """What a network that is no classifier puts out in place of logits, and how to get them, as a clause."""
    return f"the network puts out {seen.put_out}, where logits (N, K ≥ 2) of classes are needed; {WRAPPING[seen.kind]}."


def check_output(seen: Look, recipe: Recipe) -> tuple[Finding, ...]:
    """Raise ModelError where the network puts out no logits and a step of ``recipe`` needs them; else that it does."""
    if seen.is_classifier:
        return ()
    needing = [step.kind for step in recipe.steps if step.needs_logits]
    if needing:
        which = f"the steps {', '.join(needing)} look" if needing[1:] else f"the step {needing[0]} looks"
        raise ModelError(
            f"{which} at logits, and {no_logits(seen)} Steps that look at no logits work as it is, such as the recipe "
            "'{steps: [{kind: reestimate}]}', or from Python calibrate.stats.reestimate."
        )
    message = (
        f"the network puts out {seen.put_out}, which are no logits of classes. No step of the recipe looks at what the "
        "network puts out, so it was carried out, and nothing was measured: whether the network does its work better "
        "now, your own evaluation must tell."
    )
    return (Finding(code="outputs-not-logits", severity="info", message=message),)


def logits_of_probabilities_(model: nn.Module, inputs: Tensor) -> tuple[Finding, ...]:
    """Make ``model`` put out logits where it puts out probabilities of ``inputs``; what to know of it."""
    with evaluating(model), torch.inference_mode():
        p = model(inputs[:2])
    taken = take_logits_(model, inputs)
    if taken is None:
        return (_unclear(len(inputs)),) if within_unit_interval(p) else ()
    how = (
        f"its last module, {taken.module}, was left out, which was proven to give them"
        if taken.module is not None
        else "the logarithm of what it puts out was taken" + ("" if taken.link == "softmax" else ", log p − log(1 − p)")
    )
    message = (
        f"the network puts out probabilities: of {len(inputs)} examples {_seen(taken.link, p[0])}. Its logits were "
        f"taken: {how}. NLL, ECE and T are of these. The tuned network and its ONNX file put out logits: {taken.link} "
        "makes probabilities of them."
    )
    return (Finding(code="outputs-probabilities", severity="warning", message=message),)


def _seen(link: Link, p: Tensor) -> str:
    """What was seen of probabilities such as ``p`` (K,)."""
    total = float(p.double().sum())
    if link == "sigmoid":
        return "each comes from a sigmoid of its own"
    if abs(total - 1) < BEYOND:
        return "all lie in 0 to 1, and sum up to 1 over the classes (softmax)"
    return f"none is negative, and all sum up to {total:.4g} over the classes (softmax times {total:.4g})"


def _unclear(examples: int) -> Finding:
    message = (
        f"all that the network puts out for {examples} examples lies between 0 and 1, as probabilities do, but it does "
        "not sum up to 1 over the classes, and no sigmoid is the last operation; it was taken for logits. If these are "
        "probabilities, NLL, ECE and T mean nothing: wrap the network in a factory that returns its logits "
        "(--architecture package.module:factory)."
    )
    return Finding(code="outputs-in-unit-interval", severity="warning", message=message)
