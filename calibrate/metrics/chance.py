"""Guessing: the accuracy that says the labels or the pixels are not what the network was trained on."""

from calibrate.result import Estimate, Finding


def near_chance(top1: Estimate, outputs: int) -> Finding | None:
    """Warn when the plain network's accuracy is hard to tell from guessing among its ``outputs`` classes.

    That is: the interval reaches down to 1/K, or K ≥ 10 and the accuracy is at most 2/K.

    >>> near_chance(Estimate(value=0.76, low=0.75, high=0.77), 1000) is None
    True
    """
    guess = 1 / outputs
    if top1.low > guess and not (outputs >= 10 and top1.value <= 2 * guess):
        return None
    return Finding(
        code="near-chance",
        severity="warning",
        message=(
            f"The network as it came is right on {top1.value:.2%} of the examples (95 % interval {top1.low:.2%} to "
            f"{top1.high:.2%}), and guessing among its {outputs} classes is right on {guess:.2%}: hard to tell apart. "
            f"Usual causes are the order of the classes (is the class list in the network's order?) and the "
            f"preprocessing (mean, std, resize, channel order), or examples too few to tell."
        ),
    )
