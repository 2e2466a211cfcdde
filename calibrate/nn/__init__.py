"""Normalisation layers, one published method a file, over shared formulas."""

from calibrate.nn.example_weighed import ExampleWeighedBatchNorm

__all__ = ["ExampleWeighedBatchNorm"]
