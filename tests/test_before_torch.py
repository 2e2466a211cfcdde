"""How long OpenMP's threads spin in our own processes, and how rarely garbage is collected while they start."""

import gc
import os
import subprocess
import sys

import pytest

from calibrate.before_torch import OF_THE_USER, RARE, SPINS, USUAL, collect_rarely
from calibrate.engine import set_up_process

#: A command of ours up to where it would import torch, and what the environment then says.
COMMAND = """
import os, sys
sys.argv = ["afternorm", "--version"]
from calibrate.cli import main
try:
    main()
except SystemExit:
    pass
print(os.environ.get("GOMP_SPINCOUNT"), os.environ.get("OMP_WAIT_POLICY"), "torch" in sys.modules)
"""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, f"{SPINS} None False"),
        ({"GOMP_SPINCOUNT": "7"}, "7 None False"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "None ACTIVE False"),
    ],
    ids=["unset", "spins", "policy"],
)
def test_a_command_spins_briefly_before_torch_is_there(given: dict[str, str], expected: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in OF_THE_USER} | given
    ran = subprocess.run([sys.executable, "-c", COMMAND], env=environment, check=True, capture_output=True, text=True)
    assert ran.stdout.splitlines()[-1] == expected


def test_garbage_is_collected_rarely_only_while_a_process_of_its_own_imports() -> None:
    gc.set_threshold(701, 11, 12)
    try:
        set_up_process()
        assert gc.get_threshold() == (701, 11, 12)  # a library's user keeps what he set
        collect_rarely()
        assert gc.get_threshold() == RARE
        set_up_process()
        assert gc.get_threshold() == USUAL
    finally:
        gc.set_threshold(*USUAL)
