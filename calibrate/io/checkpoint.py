"""Reading checkpoints: weights only, whatever the file is called."""

import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
from torch import Tensor

from calibrate.errors import ModelError, UnsafeInputError, said
from calibrate.io.foreign_files import foreign
from calibrate.io.pickles.pickled_objects import kind_of, networks_in, opened_up
from calibrate.io.pickles.stand_ins import DamagedPickleError, UnsafePickleError
from calibrate.io.pickles.torch_files import is_whole, read_archive, read_row
from calibrate.io.state_dicts import StateDict, as_mapping, find_state_dicts
from calibrate.result import Finding

RESAVE = "re-save it with torch.save(model.state_dict(), path), or as safetensors"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state dicts of a file, the preferred first, its metadata (safetensors only), and where it came from.

    ``findings`` are what the reader of a result should know of how the file was read.
    """

    state_dicts: tuple[StateDict, ...]
    metadata: dict[str, str]
    path: Path
    findings: tuple[Finding, ...] = ()


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a safetensors file, or what torch.save wrote (zip or older), by its content; no code in it is ever run.

    State dicts are found wherever they lie in it (see :func:`~calibrate.io.state_dicts.find_state_dicts`), and keep
    their prefixes (``module.``, ``model.``, ...): what a network takes of them, and under which names, is said by
    :func:`~calibrate.io.fit_weights`. Tensors are on the CPU and may be mapped from the file, which therefore
    must not change while they are in use.

    Raises UnsafeInputError for a pickle that asks for code, ModelError for all else that is no checkpoint.
    """
    head = _head(path)
    metadata: dict[str, str] = {}
    if what := foreign(path, head):
        raise ModelError(f"{path} {what}.")
    if head.startswith(b"PK\x03\x04"):
        document = _read_zip(path)
    elif head[8:9] == b"{":
        document, metadata = _read_safetensors(path)
    else:
        document = _read_pickle(path)
    return Checkpoint(_state_dicts(document, path), metadata, path, _findings(document))


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
    if len(pickles) > 1:
        raise ModelError(f"{path} is a zip archive of {len(pickles)} files called data.pkl, where torch.save has one.")
    if squeezed:
        raise ModelError(
            f"the checkpoint {path} was compressed after torch.save wrote it ({squeezed!r} is deflated); {RESAVE}."
        )
    with zipfile.ZipFile(path) as archive:
        return _read_as_data(path, lambda: read_archive(path, archive, pickles[0]))


def _read_pickle(path: Path) -> Any:
    """What ``torch.save`` wrote before torch 1.6 (five pickles and the storages), or ``pickle.dump``."""
    with path.open("rb") as stream:
        binary = stream.read(1) == b"\x80"
    return _read_as_data(path, lambda: read_row(path), certain=lambda: binary or is_whole(path))


def _read_as_data(path: Path, read: Callable[[], Any], *, certain: Callable[[], bool] = lambda: True) -> Any:
    """What ``read`` gives; it is said to be unsafe where it is ``certain`` to be a pickle, and no text like one."""
    unsafe = damage = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return opened_up(read())
        except UnsafePickleError as error:
            unsafe = error.what
        except Exception as error:  # a damaged file can break its reader in any way
            damage = f" ({error})" if isinstance(error, DamagedPickleError) and str(error) else ""
    if unsafe and certain():
        raise UnsafeInputError(
            f"the checkpoint {path} asks for {unsafe}, which is code; only weights are read, and nothing in the file "
            f"was run. If you trust where it came from, open it there and {RESAVE}."
        )
    raise ModelError(
        f"{path} is neither a safetensors file nor a whole checkpoint as torch.save writes it{damage}; copy or "
        f"download it again, or {RESAVE}."
    )


def _findings(document: Any) -> tuple[Finding, ...]:
    networks = networks_in(document)
    if not networks:
        return ()
    named = ", ".join(
        f"{network:.80}" + (f" at {key!r:.80}" if key else "") for key, network in [*networks.items()][:4]
    )
    message = (
        f"The file holds a whole pickled network ({named}) instead of a state dict. Its tensors were read as data and "
        "none of its code was run; names that the network's own class would have changed on saving stay as they are."
    )
    return (Finding(code="pickled-network", severity="info", message=message),)


def _state_dicts(document: Any, path: Path) -> tuple[StateDict, ...]:
    if (held := as_mapping(document)) is None:
        raise ModelError(f"{path} holds a {kind_of(document)} instead of a state dict; {RESAVE}.")
    found = find_state_dicts(held)
    if not found:
        entries = ", ".join(f"{key!r:.80}" for key in list(held)[:8]) or "nothing"
        raise ModelError(f"{path} holds no state dict (tensors under their names), but {entries}; {RESAVE}.")
    if not any(state.tensors for state in found):
        name, reason = next(iter(found[0].unusable.items()))
        raise ModelError(f"{name!r:.120} in {path} {reason}")
    return found
