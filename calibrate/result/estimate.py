"""An estimate: a number, and how sure of it one may be."""

from calibrate.result.value import Value


class Estimate(Value):
    """A number with its 95 % interval (percentile bootstrap over examples)."""

    value: float
    low: float
    high: float
