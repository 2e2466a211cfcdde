"""The values start without torch, so a process that only reads and writes them starts fast."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "onnx", "onnxruntime", "numpy", "matplotlib")


@pytest.mark.parametrize("room", ["calibrate.recipe", "calibrate.result", "calibrate.request"])
def test_importing_the_values_imports_nothing_heavy(room: str) -> None:
    code = f"import sys, {room}; print([name for name in {HEAVY!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
