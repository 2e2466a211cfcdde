"""``afternorm models add``: what of a class list a server does not take is said."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builders.commands import Ran


@pytest.fixture
def nowhere() -> str:
    """A URL at which no server listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"0": ["n01", "tench"], "1": ["n02", "crane"], "2": ["n03", "crane"]}, "1 further name of classes"),
        ({"0": ["n01", "tench"], "1": ["n02", "ray"]}, "2 further names of classes"),
        ({"0": "tench", "1": "ray"}, None),
    ],
)
def test_further_names_of_classes_are_not_dropped_in_silence(
    afternorm: Callable[..., Ran], tmp_path: Path, nowhere: str, document: object, said: str | None
) -> None:
    (tmp_path / "index.json").write_text(json.dumps(document))
    (tmp_path / "model.pth").write_bytes(b"weights")
    ran = afternorm("models", "add", tmp_path / "model.pth", "--classes", tmp_path / "index.json", "--url", nowhere)
    assert ran.code != 0
    if said is None:
        assert "further" not in ran.err
    else:
        assert f"{said}, such as 'tench'" in ran.err
        assert "by its first, such as 'n01'" in ran.err
