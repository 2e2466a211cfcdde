"""The README's calls work as they stand, against a server that was started as it says."""

import re
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest

from calibrate.demo import DemoInputs
from calibrate.demo.digits import PREPROCESSING

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.slow
def test_the_readme_s_calls_tune_the_demo_s_network(server: str, demo_inputs: DemoInputs, tmp_path: Path) -> None:
    (block,) = re.findall(r"^```bash\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "inputs").symlink_to(demo_inputs.checkpoint.parent)
    (demo_inputs.checkpoint.parent / "preprocessing.yaml").write_text(PREPROCESSING.model_dump_json())
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.replace("http://127.0.0.1:8000", server)],
        cwd=tmp_path,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stderr + ran.stdout
    assert '"succeeded"' in ran.stdout
    assert "Improved" in ran.stdout
    assert onnxruntime.InferenceSession(tmp_path / "served.onnx").get_inputs()[0].shape[1:] == [1, 8, 8]
