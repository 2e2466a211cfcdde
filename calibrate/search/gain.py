"""A gain: what one setting saves against another on the same examples, and whether that is more than noise."""

from dataclasses import dataclass

from torch import Tensor

#: Gains in nats below this are rounding, not evidence.
RESOLUTION = 1e-5


@dataclass(frozen=True, slots=True)
class Gain:
    """The mean of paired differences in nats, and its standard error; 0 of a ``single`` example, which tells none."""

    mean: float
    standard_error: float
    single: bool = False

    def beats(self, margin: float) -> bool:
        """Whether it is more than ``margin`` standard errors, and more than rounding; never of a single example."""
        return not self.single and self.mean > max(margin * self.standard_error, RESOLUTION)

    def words(self, margin: float) -> str:
        """The gain beside what is asked of it."""
        if self.single:
            return f"by {self.mean:.4f} nats, of a single example, which tells no standard error"
        error = f"with a standard error of {self.standard_error:.4f} (more than {margin:.3g} of them required)"
        return f"by {self.mean:.4f} nats, {error}"


def paired_gain(before: Tensor, after: Tensor) -> Gain:
    """The gain from ``before`` to ``after``, the cross-entropies (n,) of the same examples."""
    gain = before - after
    if len(gain) == 1:
        return Gain(float(gain.mean()), 0.0, single=True)
    return Gain(float(gain.mean()), float(gain.std() / len(gain) ** 0.5))
