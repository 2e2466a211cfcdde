"""Afternorm: tune the BatchNorm of an already trained model, prove that it helped, ship it as ONNX.

The names below load on first use, so that importing this package does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from calibrate.data import Source, open_data, read_classes
    from calibrate.engine import Delivery, Opened, Outcome, deliver, open_model, retrofit
    from calibrate.errors import AfternormError
    from calibrate.nn import ExampleWeighedBatchNorm
    from calibrate.recipe import PRESETS, Outputs, Preprocessing, Recipe
    from calibrate.report import render_html, render_markdown, render_text
    from calibrate.result import Progress, Summary
    from calibrate.surgery import for_inference

_HOME = {
    "AfternormError": "errors",
    "Delivery": "engine",
    "ExampleWeighedBatchNorm": "nn",
    "Opened": "engine",
    "Outcome": "engine",
    "Outputs": "recipe",
    "PRESETS": "recipe",
    "Preprocessing": "recipe",
    "Progress": "result",
    "Recipe": "recipe",
    "Source": "data",
    "Summary": "result",
    "deliver": "engine",
    "for_inference": "surgery",
    "open_data": "data",
    "open_model": "engine",
    "read_classes": "data",
    "render_html": "report",
    "render_markdown": "report",
    "render_text": "report",
    "retrofit": "engine",
}

__all__ = [
    "PRESETS",
    "AfternormError",
    "Delivery",
    "ExampleWeighedBatchNorm",
    "Opened",
    "Outcome",
    "Outputs",
    "Preprocessing",
    "Progress",
    "Recipe",
    "Source",
    "Summary",
    "deliver",
    "for_inference",
    "open_data",
    "open_model",
    "read_classes",
    "render_html",
    "render_markdown",
    "render_text",
    "retrofit",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
