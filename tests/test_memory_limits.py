"""The memory budget follows the tightest limit there is."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch

from calibrate.memory_limits import SHARE, memory_budget

CPU = torch.device("cpu")


def test_it_is_a_share_of_the_machine_or_less() -> None:
    assert 0 < memory_budget(CPU) <= psutil.virtual_memory().total // SHARE


def test_a_limit_on_the_process_lowers_it() -> None:
    code = (
        "import resource, torch\n"
        "from calibrate.memory_limits import memory_budget\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (3 << 30, 3 << 30))\n"
        "print(memory_budget(torch.device('cpu')))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(told) == min(memory_budget(CPU), (3 << 30) // SHARE)


def test_a_limit_on_the_container_lowers_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for content, expected in (
        ("2147483648\n", min(memory_budget(CPU), (2 << 30) // SHARE)),
        ("max\n", memory_budget(CPU)),
    ):
        limit = tmp_path / "memory.max"
        limit.write_text(content)
        monkeypatch.setattr("calibrate.memory_limits.CGROUP_LIMIT", limit)
        assert memory_budget(CPU) == expected
