"""Normalisation layers, one published method a file, over shared formulas."""

from calibrate.nn.example_weighed import ExampleWeighedBatchNorm
from calibrate.nn.example_weighed_act import (
    ExampleWeighedBatchNormAct,
    ExampleWeighedFrozenBatchNormAct,
    ExampleWeighedGroupNormAct,
)
from calibrate.nn.example_weighed_frozen import ExampleWeighedFrozenBatchNorm
from calibrate.nn.example_weighed_group_norm import ExampleWeighedGroupNorm
from calibrate.nn.example_weight import ExampleWeighed
from calibrate.nn.whitened_example_weighed import WhitenedExampleWeighed

__all__ = [
    "ExampleWeighed",
    "ExampleWeighedBatchNorm",
    "ExampleWeighedBatchNormAct",
    "ExampleWeighedFrozenBatchNorm",
    "ExampleWeighedFrozenBatchNormAct",
    "ExampleWeighedGroupNorm",
    "ExampleWeighedGroupNormAct",
    "WhitenedExampleWeighed",
]
