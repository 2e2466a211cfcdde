"""Test-time adaptation: networks that learn from the stream that they predict, one published method a file."""

from calibrate.adapt.adapted import ADAPTERS, Adapted
from calibrate.adapt.adapter import Adapter, Keeps, Tally, adaptable, entropy

__all__ = ["ADAPTERS", "Adapted", "Adapter", "Keeps", "Tally", "adaptable", "entropy"]
