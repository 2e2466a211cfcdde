"""Downloads without a server: complete and with the right digest, or the old file stays."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from calibrate.errors import UnavailableError
from service.client import Client
from service.jobs.resources import Artifact

CONTENT = b"0123456789"
ARTIFACT = Artifact(name="a.bin", media_type="text/plain", size=10, sha256=hashlib.sha256(CONTENT).hexdigest())


class Sent:
    """A response of a server that comes in ``parts``; None where the connection breaks."""

    def __init__(self, *parts: bytes | None) -> None:
        self.parts = parts

    @contextmanager
    def stream(self, path: str) -> Iterator["Sent"]:
        assert path == "/jobs/job_1/artifacts/a.bin"
        yield self

    def iter_bytes(self, size: int) -> Iterator[bytes]:
        for part in self.parts:
            if part is None:
                raise ConnectionError("the connection broke")
            yield part


def fetch(sent: Sent, folder: Path) -> Path:
    with Client() as client:
        client._transport = sent  # type: ignore[assignment]
        return client._download("job_1", ARTIFACT, folder)


def test_what_arrives_whole_takes_the_place_of_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"old")
    assert fetch(Sent(CONTENT[:4], CONTENT[4:]), tmp_path) == tmp_path / "a.bin"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.bin": CONTENT}


@pytest.mark.parametrize(
    ("sent", "error"),
    [(Sent(CONTENT[:4], None), ConnectionError), (Sent(CONTENT[:4], b"?"), UnavailableError)],
    ids=["broken off", "damaged"],
)
def test_what_breaks_off_or_is_damaged_leaves_the_old_file(sent: Sent, error: type[Exception], tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"old")
    with pytest.raises(error):
        fetch(sent, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.bin": b"old"}
