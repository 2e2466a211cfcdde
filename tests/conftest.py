"""What many tests start from: the demo's files, and the shared real material where it is there."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from calibrate.cli import main
from calibrate.demo import DemoInputs, write_inputs
from calibrate.engine import set_up_process
from tests.builders.commands import Ran

SHARED = Path(os.environ.get("AFTERNORM_SHARED", Path(__file__).parents[2] / "shared"))


# Small networks gain nothing from a second thread, and lose a lot where another process wants the core.
set_up_process(1)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def shared() -> Path:
    """The shared real material, or a skip that says so."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the shared models and data, and {SHARED} is not there")
    return SHARED


@pytest.fixture(scope="session")
def demo_inputs(tmp_path_factory: pytest.TempPathFactory) -> DemoInputs:
    """The demo's checkpoint and data."""
    return write_inputs(tmp_path_factory.mktemp("demo"))


@pytest.fixture
def afternorm(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Run the command line in this process, as the installed command does."""

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr("sys.argv", ["afternorm", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capfd.readouterr()
        return Ran(code, captured.out, captured.err)

    return run
