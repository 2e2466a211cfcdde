"""Files that are taken for checkpoints and are none: what they are, by their content, and what to give instead."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: So much of a text is read for what it is: the index of a thousand shards is shorter.
LONGEST_TEXT = 2**24
ONNX = re.compile(rb"\x08[\x01-\x20][\x12\x1a\x22\x28\x32\x3a\x42]")  # a version, and another field of a ModelProto
#: What else files begin with, what these are, and what to do.
BEGINNINGS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (ONNX, "is an ONNX file, a graph whose weights go by other names; give the checkpoint that it was exported from"),
    (re.compile(rb"\x89HDF"), "is an HDF5 file, as Keras writes them; give weights that torch has saved"),
    (re.compile(rb"GGUF"), "is a GGUF file, of weights made ready for llama.cpp; give those that it was made from"),
    (re.compile(rb"....TFL3", re.DOTALL), "is a TensorFlow Lite file; give weights that torch has saved"),
    (re.compile(rb"\x93NUMPY"), "is a NumPy array without names; give a state dict that torch has saved"),
    (re.compile(rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf"), "is a compressed file; unpack it, and give what is in it"),
    (re.compile(rb"version h"), "is a Git LFS pointer and no weights yet; fetch them with `git lfs pull`"),
    (re.compile(rb"\s*<[!hH?]"), "is a web page and no weights; open the address in a browser to see what is missing"),
)


def foreign(path: Path, head: bytes) -> str:
    r"""What the file at ``path`` with the first bytes ``head`` is and what to do, as a clause; empty where unknown.

    >>> foreign(Path("net.onnx"), b"\x08\x08\x12\x07pytorch")[:15]
    'is an ONNX file'
    """
    if head[:1] in (b"{", b"[") and head.isascii() and b"\0" not in head:
        return _json(path)
    if head[8:9] == b"{":  # a safetensors file, whose length may begin like anything
        return ""
    return next((said for beginning, said in BEGINNINGS if beginning.match(head)), "")


def of_several(path: Path) -> str:
    """Which of several shards the file is by its name, as a sentence; empty where by that it is none.

    >>> of_several(Path("model-00002-of-00003.safetensors"))
    ' By its name the file is part 2 of 3: join all parts in one file.'
    """
    found = re.search(r"-0*(\d+)-of-0*([1-9]\d*)\.", path.name)
    if found is None or found[2] == "1":
        return ""
    return f" By its name the file is part {found[1]} of {found[2]}: join all parts in one file."


def _json(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            document: Any = json.loads(stream.read(LONGEST_TEXT))
    except (ValueError, RecursionError):
        return ""
    shards = document.get("weight_map") if isinstance(document, dict) else None
    if not isinstance(shards, Mapping) or not shards:
        return "is a JSON document and holds no weights; give the file that holds them"
    names = list(dict.fromkeys(map(str, shards.values())))
    shown = ", ".join(f"{name:.80}" for name in names[:3]) + (", ..." if names[3:] else "")
    return (
        f"is the index of weights that lie in {len(names)} other files ({shown}), which are not read together; join "
        "them in one: with safetensors.torch, load_file each, put all in one dict, and save_file that"
    )
