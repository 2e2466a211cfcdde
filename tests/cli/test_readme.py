"""The README's commands run as they stand, one after the other, in an empty folder."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.slow
def test_the_readme_s_commands_run(tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    script = "set -euo pipefail\n" + "\n".join(blocks)
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    environment = {"PATH": path, "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}  # other tests run beside
    ran = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    for name in (
        "tuned.safetensors",
        "tuned.onnx",
        "report.html",
        "report.md",
        "report.txt",
        "summary.json",
        "again.onnx",
    ):
        assert (tmp_path / "tuned" / name).is_file()
    assert "Improved" in (tmp_path / "out" / "scanned" / "report.txt").read_text()


def test_every_option_in_the_readme_exists() -> None:
    """Options outside the blocks, too; but not those of other programs in the calls over HTTP."""
    from typer.main import get_command

    from calibrate.cli.app import app

    def options(command: Any) -> set[str]:
        own = {option for parameter in command.params for option in parameter.opts}
        return own.union(*map(options, getattr(command, "commands", {}).values()))

    own_words = re.sub(r"^```bash\n.*?^```", "", README.read_text(), flags=re.MULTILINE | re.DOTALL)
    mentioned = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", own_words))
    assert mentioned - options(get_command(app)) - {"--help"} == set()
