"""Probed: what the results of all probes say."""

from calibrate.values import Value


class Probed(Value):
    """``tuned`` says that the network was no longer as it came; ``images`` is what was looked at."""

    tuned: bool
    images: int
