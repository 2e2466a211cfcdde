"""Starting is quick: help and schemas load no torch, and the package exports what it says."""

import importlib
import subprocess
import sys

import pytest

import calibrate
from calibrate.demo import DemoInputs
from tests.builders.commands import demo_options


def loaded(arguments: list[str], packages: set[str]) -> set[str]:
    """Which of ``packages`` a command loads."""
    code = f"""
import sys
sys.argv = ["afternorm", *{arguments!r}]
from calibrate.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code
print(*{packages!r} & set(sys.modules), file=sys.stderr)
"""
    command = [sys.executable, "-W", "error", "-c", code]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    return set(ran.stderr.split())


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["calibrate", "--help"], ["schema", "recipe"], ["methods", "measure"], ["--version"]],
    ids=" ".join,
)
def test_loads_no_torch(arguments: list[str]) -> None:
    heavy = {"torch", "torchvision", "onnx", "onnxruntime", "matplotlib", "numpy"}
    assert loaded(arguments, heavy) == set()


def test_what_needs_no_torchvision_does_not_wait_for_it(demo_inputs: DemoInputs) -> None:
    """It takes as long to import as torch; so does the compiler of torch, which it brings along."""
    arguments = ["evaluate", *demo_options(demo_inputs, demo_inputs.digits)]
    assert loaded(arguments, {"torch", "torchvision", "torch._dynamo", "onnxruntime", "matplotlib"}) == {"torch"}


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
