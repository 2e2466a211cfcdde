"""Reading checkpoints: weights only, whatever the file is called."""

import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import safetensors
import torch
from torch import Tensor

from calibrate.errors import ModelError, UnsafeInputError
from calibrate.io.factory import said
from calibrate.io.pickle_imports import pickle_globals
from calibrate.io.state_dicts import StateDict, find_state_dicts
from calibrate.io.state_names import plain_names

RESAVE = "re-save it with torch.save(model.state_dict(), path), or as safetensors"
#: Globals that plain weights ask for.
_PLAIN = re.compile(
    r"collections\.OrderedDict|torch\._utils\._rebuild_\w+|torch(\.storage)?\.\w*Storage|torch\.(Size|device|b?float\d+|u?int\d+|bool)"
)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A state dict under its plain names, the file's metadata (safetensors only), and where it came from.

    ``state_dicts`` are all that the file has, under the names that they have there; ``state`` is the first of them.
    """

    state: dict[str, Tensor]
    metadata: dict[str, str]
    path: Path
    state_dicts: tuple[StateDict, ...] = ()

    def __post_init__(self) -> None:
        """Without others, ``state`` is the only state dict."""
        if not self.state_dicts:
            object.__setattr__(self, "state_dicts", (StateDict("", self.state),))


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a safetensors file, or what torch.save wrote (zip or older), by its content; no code in it is ever run.

    State dicts are found wherever they lie in it (see :func:`~calibrate.io.state_dicts.find_state_dicts`). Until a
    network says more (:func:`~calibrate.io.fitting.fit_weights`) the first is taken for its state, without a prefix
    that all its names share (``module.``, ``model.``, ...). Tensors are on the CPU and may be mapped from the file,
    which therefore must not change while they are in use.

    Raises UnsafeInputError for a pickle that asks for code, ModelError for all else that is no checkpoint.
    """
    head = _head(path)
    metadata: dict[str, str] = {}
    if head.startswith(b"PK\x03\x04"):
        document = _read_zip(path)
    elif head[8:9] == b"{":
        document, metadata = _read_safetensors(path)
    else:
        document = _read_pickle(path)
    found = _state_dicts(document, path)
    return Checkpoint(plain_names(found[0].tensors), metadata, path, found)


def _head(path: Path) -> bytes:
    try:
        if not path.is_file():
            kind = "is not a file" if path.exists() else "does not exist"
            raise ModelError(f"the checkpoint {path} {kind}; give the path of a torch or safetensors file.")
        with path.open("rb") as stream:
            head = stream.read(9)
    except OSError as error:
        raise ModelError(f"the checkpoint {path} cannot be read: {error.strerror}.") from None
    if not head:
        raise ModelError(f"the checkpoint {path} is empty: 0 bytes; copy or download it again.")
    return head


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except Exception as error:
        raise ModelError(
            f"the checkpoint {path} begins as a safetensors file, but is damaged: {said(error)}. Copy or download it "
            "again."
        ) from None


def _read_zip(path: Path) -> Any:
    """What ``torch.save`` writes since torch 1.6: a zip archive of ``data.pkl`` and the storages, uncompressed."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            pickles = [member for member in members if member.filename.rpartition("/")[2] == "data.pkl"]
            squeezed = next((m.filename for m in members if m.compress_type != zipfile.ZIP_STORED), None)
            pickled = archive.read(pickles[0]) if pickles and not squeezed else b""
    except Exception as error:
        raise ModelError(
            f"the checkpoint {path} begins as a zip archive, but is cut off or damaged: {said(error)}. Copy or "
            "download it again."
        ) from None
    if any(member.filename.rpartition("/")[2] == "constants.pkl" for member in members):
        raise UnsafeInputError(
            f"the checkpoint {path} is a TorchScript archive, which holds code, and nothing in it was run; {RESAVE}."
        )
    if not pickles:
        raise ModelError(f"{path} is a zip archive, but not one that torch.save wrote: it has no data.pkl; {RESAVE}.")
    if squeezed:
        raise ModelError(
            f"the checkpoint {path} was compressed after torch.save wrote it ({squeezed!r} is deflated); {RESAVE}."
        )
    return _load(path, mmap=path.suffix != ".safetensors", pickled=BytesIO(pickled))


def _read_pickle(path: Path) -> Any:
    """What ``torch.save`` wrote before torch 1.6: five pickles and the storages."""
    with path.open("rb") as stream:
        return _load(path, mmap=False, pickled=stream)


def _load(path: Path, *, mmap: bool, pickled: BinaryIO) -> Any:
    """``torch.load`` of ``path``; ``pickled`` is looked through, should it fail.

    torch takes the name of a file at its word where it ends in .safetensors, so it gets to see it only where it maps.
    """
    with warnings.catch_warnings(), path.open("rb") as stream:
        warnings.simplefilter("ignore")
        try:
            return torch.load(path if mmap else stream, map_location="cpu", weights_only=True, mmap=mmap)
        except Exception as error:
            wanted = _refused(str(error), pickle_globals(pickled))
    if wanted:
        raise UnsafeInputError(
            f"the checkpoint {path} asks for {wanted}, which is code; only weights are read, and nothing in the file "
            f"was run. If you trust where it came from, open it there and {RESAVE}."
        )
    raise ModelError(
        f"{path} is neither a safetensors file nor a whole checkpoint as torch.save writes it; copy or download it "
        f"again, or {RESAVE}."
    )


def _refused(message: str, wanted: tuple[str, ...]) -> str | None:
    """The global that stopped torch's weights-only reader, else the first that plain weights have no use for."""
    named = re.search(r"GLOBAL (\S+)", message)
    if named:
        return next((name for name in wanted if name.endswith(named[1])), None)
    return next((name for name in wanted if not _PLAIN.fullmatch(name)), None)


def _state_dicts(document: Any, path: Path) -> tuple[StateDict, ...]:
    if not isinstance(document, Mapping):
        raise ModelError(f"{path} holds a {type(document).__name__} instead of a state dict; {RESAVE}.")
    found = find_state_dicts(document)
    if not found:
        entries = ", ".join(map(repr, list(document)[:8])) or "nothing"
        raise ModelError(f"{path} holds no state dict (tensors under their names), but {entries}; {RESAVE}.")
    if not any(state.tensors for state in found):
        name, reason = next(iter(found[0].unusable.items()))
        raise ModelError(f"{name!r} in {path} {reason}")
    return found
