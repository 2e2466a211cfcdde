"""Checkpoints that would run code if they were unpickled with all rights, in every format that can hold a pickle."""

import builtins
import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


class Calls:
    """Pickles as a call of ``function``."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def attacks(marker: Path) -> dict[str, tuple[Any, str]]:
    """Things that make the marker file when they are unpickled with all rights, and the global they ask for."""
    make = f"open({str(marker)!r}, 'w').close()"
    return {
        "os.system": (Calls(os.system, f"touch {marker}"), f"{os.system.__module__}.system"),
        "eval": (Calls(eval, make), "eval"),
        "exec": (Calls(exec, make), "exec"),
        "getattr": (Calls(builtins.getattr, marker, "touch"), "getattr"),
        "torch.load": (Calls(torch.load, str(marker)), "torch.serialization.load"),
    }


def zipped(document: Any, path: Path, protocol: int) -> None:
    torch.save({"state_dict": {"w": torch.ones(2)}, "x": document}, path, pickle_protocol=protocol)


def zipped_alone(document: Any, path: Path, protocol: int) -> None:
    torch.save(document, path, pickle_protocol=protocol)


def old(document: Any, path: Path, protocol: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the source code of a class cannot be kept beside it
        torch.save(document, path, pickle_protocol=protocol, _use_new_zipfile_serialization=False)


def bare(document: Any, path: Path, protocol: int) -> None:
    path.write_bytes(pickle.dumps(document, protocol))
