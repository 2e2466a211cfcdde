"""Starting is quick: help and schemas load no torch, and the package exports what it says."""

import importlib
import subprocess
import sys

import pytest

import calibrate


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["calibrate", "--help"], ["schema", "recipe"], ["methods", "measure"], ["--version"]],
    ids=" ".join,
)
def test_loads_no_torch(arguments: list[str]) -> None:
    code = f"""
import sys
sys.argv = ["afternorm", *{arguments!r}]
from calibrate.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code
heavy = {{"torch", "torchvision", "onnx", "onnxruntime", "matplotlib", "numpy"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, stdout=subprocess.DEVNULL, timeout=120)


def test_every_exported_name_is_there_and_has_a_docstring() -> None:
    assert set(calibrate._HOME) == set(calibrate.__all__)
    for name in calibrate.__all__:
        value = getattr(calibrate, name)
        home = importlib.import_module(f"calibrate.{calibrate._HOME[name]}")
        assert value is getattr(home, name)
        assert name == "PRESETS" or value.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = calibrate.nothing  # type: ignore[attr-defined]
