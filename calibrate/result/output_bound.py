"""Output bound: how far normalised values can go in training, and how far they were seen to go."""

from typing import Literal

from calibrate.result.probed import Probed
from calibrate.values import Value

#: The lowest and the highest value; None where there was none, or one was infinite or no number.
Span = tuple[float, float] | None


class LayerBound(Value):
    """One layer before γ and β, which take a normalised x̂ to γx̂ + β.

    In training |x̂| ≤ ``bound`` = √(M − 1) with M = ``elements`` in a statistic: the examples of a training batch times
    the fewest positions of a call. ``training`` and ``inference`` are the x̂ seen. In inference, ``outside`` is the
    share of values outside the bound, and ``channels_outside`` counts the channels that had any. The bound of training
    batches of ``sufficient_batch`` examples, or more, holds all that was seen in inference.
    """

    name: str
    channels: int
    elements: int
    bound: float
    training: Span
    inference: Span
    outside: float
    channels_outside: int
    sufficient_batch: int | None


class OutputBound(Probed):
    """The bound of each layer, in the order of the calls; ``left_out`` are matching layers that have none.

    ``training_images`` went through the network in whole batches of ``train_batch_size``; there may be none.
    """

    kind: Literal["output_bound"] = "output_bound"
    train_batch_size: int
    training_images: int
    layers: tuple[LayerBound, ...]
    left_out: tuple[str, ...]
