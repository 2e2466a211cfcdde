"""The command on a network that cannot be exported: its work is kept, and one line says why."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.builders.commands import Ran
from tests.builders.networks import warmed_up
from tests.builders.unexportable import ByNumber, DataBranch, Small


@pytest.mark.parametrize(
    ("build", "reason"), [(ByNumber, "n = int(x.shape[0])"), (DataBranch, "data-dependent")], ids=["batch", "branch"]
)
def test_calibrate_writes_all_else_and_exits_1_with_the_reason(
    build: type[Small], reason: str, tmp_path: Path, afternorm: Callable[..., Ran]
) -> None:
    torch.save(warmed_up(build()).state_dict(), tmp_path / "net.pt")
    y = np.arange(48) % 3
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).normal(size=(48, 1, 8, 8)).astype("f4"), y=y)
    architecture = f"tests.builders.unexportable:{build.__name__}"
    options = ("--model", tmp_path / "net.pt", "--architecture", architecture, "--data", tmp_path / "data.npz")
    out = tmp_path / "out"
    ran = afternorm("calibrate", *options, "--alpha", 0.1, "--out", out, "--latency-runs", 0, "--json")
    assert ran.code == 1
    assert {"tuned.safetensors", "summary.json", "report.html"} <= {path.name for path in out.iterdir()}
    json.loads(ran.out)
    last = ran.err.strip().splitlines()[-1]
    assert reason in last
    assert "unexportable.py:" in last
    assert len(ran.err.splitlines()) < 20
