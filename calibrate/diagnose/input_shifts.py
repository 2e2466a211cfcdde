"""Input shift: layer 0 of the estimation shift, how far the network's input is from what it was trained on."""

from functools import reduce

from calibrate.stats import Batches, Moments
from calibrate.steps import InputShift


def input_shift(training: Batches, batches: Batches) -> InputShift:
    """The shift of the input (N, C, *) on ``batches`` from that on ``training``, over its channels.

    ‖m_train − m‖₂ and ‖√v_train − √v‖₂, where m and v are the mean and biased variance (÷n) over all examples and
    positions, pooled in float64. The network itself is not needed.
    Cost: each example is read once.
    Reference: Huang et al., Delving into the Estimation Shift of Batch Normalization in a Network, 2022, Definition 2.

    >>> import torch; from calibrate.stats import IterableBatches
    >>> training = IterableBatches([torch.tensor([[0.0], [2.0]])], None)
    >>> shift = input_shift(training, IterableBatches([torch.tensor([[1.0], [1.0], [5.0], [5.0]])], None))
    >>> shift.mean, shift.deviation
    (2.0, 1.0)
    """
    (images, before), (_, now) = _pooled(training), _pooled(batches)
    return InputShift(
        images=images,
        channels=len(now.mean),
        mean=float((before.mean - now.mean).norm()),
        deviation=float((before.variance.sqrt() - now.variance.sqrt()).norm()),
    )


def _pooled(batches: Batches) -> tuple[int, Moments]:
    """The number of examples, and their moments."""
    parts = [(len(x), Moments.of(x)) for _, x in batches.after(0)]
    return sum(count for count, _ in parts), reduce(Moments.merge, (moments for _, moments in parts))
