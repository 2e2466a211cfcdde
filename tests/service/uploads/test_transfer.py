"""Uploads with any bytes sent, cut off, repeated, or interrupted by a restart: no partial blob, and no byte lost."""

import hashlib
import shutil
import socket
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from tests.service.api.running import OFFSET_STREAM, Running, listening, problem, run


class Uploads(RuleBasedStateMachine):
    """A client and a model of what the server should have, side by side."""

    uploads = Bundle("uploads")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.content: dict[str, bytes] = {}
        self.arrived: dict[str, int] = {}
        self.wrong: set[str] = set()
        self._start()

    def _start(self) -> None:
        self.stack = ExitStack()
        self.server = self.stack.enter_context(run(self.folder))

    def teardown(self) -> None:
        self.stack.close()
        shutil.rmtree(self.folder)

    @rule(target=uploads, content=st.binary(min_size=1, max_size=12), announce=st.sampled_from([True, False, None]))
    def begin(self, content: bytes, announce: bool | None) -> str:
        """Announce the right SHA-256, none, or (``False``) that of other bytes."""
        body = {"name": "a.npz", "size": len(content)}
        if announce is not None:
            body["sha256"] = hashlib.sha256(content if announce else content + b"!").hexdigest()
        identity = self.server.client.post("/v1/uploads", json=body).json()["id"]
        self.content[identity], self.arrived[identity] = content, 0
        if announce is False:
            self.wrong.add(identity)
        return str(identity)

    @rule(upload=uploads, length=st.sampled_from([None, None, 0, 1, 3, 20]), shift=st.sampled_from([0, 0, 0, -1, 1]))
    def append(self, upload: str, length: int | None, shift: int) -> None:
        """Send so many bytes, or all that are missing, from where the upload stands or from elsewhere."""
        at, whole = self.arrived[upload], self.content[upload]
        offset = max(at + shift, 0)
        chunk = whole[at:] if length is None else (whole[at:] + b"far too much for this")[:length]
        response = self.server.append(upload, offset, chunk)
        if offset != at:
            assert problem(response)["code"] == "wrong-offset"
            assert response.headers["upload-offset"] == str(at)
        elif at + len(chunk) > len(whole):
            assert problem(response)["status"] == 413
        elif at + len(chunk) == len(whole) and upload in self.wrong:
            assert problem(response)["code"] == "checksum-mismatch"
            self.arrived[upload] = 0
        else:
            assert response.status_code == 204
            self.arrived[upload] = at + len(chunk)
            assert response.headers["upload-offset"] == str(self.arrived[upload])

    @rule(upload=consumes(uploads))
    def abort(self, upload: str) -> None:
        assert self.server.client.delete(f"/v1/uploads/{upload}").status_code == 204
        assert self.server.client.get(f"/v1/uploads/{upload}").status_code == 404
        if self.arrived.pop(upload) < len(self.content[upload]):
            assert not list((self.folder / "uploads").glob(f"{upload}*"))

    @rule()
    def restart(self) -> None:
        self.stack.close()
        self._start()

    @invariant()
    def all_stands_as_it_should(self) -> None:
        for upload, arrived in self.arrived.items():
            whole = self.content[upload]
            shown = self.server.client.get(f"/v1/uploads/{upload}").json()
            head = self.server.client.head(f"/v1/uploads/{upload}").headers
            assert shown["offset"] == int(head["upload-offset"]) == arrived
            assert shown["size"] == int(head["upload-length"]) == len(whole)
            assert (shown["blob"] is not None) == (arrived == len(whole))
            if shown["blob"] is not None:
                assert self.server.client.get(f"/v1/blobs/{shown['blob']}").content == whole

    @invariant()
    def only_whole_blobs_can_be_seen(self) -> None:
        for path in (self.folder / "sha256").glob("??/*"):
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.parent.name + path.name
            assert path.read_bytes() in self.content.values()


Uploads.TestCase.settings = settings(
    max_examples=12, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
TestUploads = Uploads.TestCase


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def begin(server: Running, size: int) -> str:
    return str(server.client.post("/v1/uploads", json={"name": "a.npz", "size": size}).json()["id"])


def send_some(port: int, upload: str, announced: int, content: bytes) -> socket.socket:
    """Begin to send bytes, and leave the connection open."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(
        f"PATCH /v1/uploads/{upload} HTTP/1.1\r\nHost: here\r\nUpload-Offset: 0\r\n"
        f"Content-Type: {OFFSET_STREAM}\r\nContent-Length: {announced}\r\n\r\n".encode()
        + content
    )
    return connection


@pytest.fixture
def unbuffered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What arrives is written at once, so that a test can wait for it."""
    monkeypatch.setattr("service.api.upload_body.BUFFER_BYTES", 1)


def wait_until_arrived(server: Running, upload: str, size: int) -> None:
    for _ in range(30_000):
        if server.backend.partials.size(upload) == size:
            return
        time.sleep(0.01)
    pytest.fail("the bytes did not arrive")


def test_a_second_writer_gets_upload_busy_and_the_first_continues(folder: Path, unbuffered: None) -> None:
    with run(folder) as server, listening(server) as port:
        upload = begin(server, 6)
        with send_some(port, upload, 6, b"abc") as first:
            wait_until_arrived(server, upload, 3)
            assert problem(server.append(upload, 3, b"xyz"))["code"] == "upload-busy"
            assert problem(server.client.delete(f"/v1/uploads/{upload}"))["code"] == "upload-busy"
            first.sendall(b"def")
            assert first.recv(100).startswith(b"HTTP/1.1 204")
        blob = server.client.get(f"/v1/uploads/{upload}").json()["blob"]
        assert server.client.get(f"/v1/blobs/{blob}").content == b"abcdef"


def test_bytes_received_before_the_connection_broke_are_stored(folder: Path, unbuffered: None) -> None:
    with run(folder) as server, listening(server) as port:
        upload = begin(server, 6)
        with send_some(port, upload, 6, b"abc"):
            wait_until_arrived(server, upload, 3)
        for _ in range(30_000):
            if server.append(upload, 3, b"def").status_code == 204:
                break
            time.sleep(0.01)
        blob = server.client.get(f"/v1/uploads/{upload}").json()["blob"]
        assert server.client.get(f"/v1/blobs/{blob}").content == b"abcdef"


def test_an_idle_request_times_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.api.upload_body.IDLE_TIMEOUT_SECONDS", 0.1)
    with run(folder) as server, listening(server) as port:
        upload = begin(server, 6)
        with send_some(port, upload, 6, b"abc") as silent:
            assert silent.recv(100).startswith(b"HTTP/1.1 204")
            assert server.append(upload, 3, b"def").status_code == 204


def test_bytes_with_another_digest_are_discarded_and_can_be_sent_again(folder: Path) -> None:
    with run(folder) as server:
        body = {"name": "a.npz", "size": 3, "sha256": hashlib.sha256(b"abc").hexdigest()}
        upload = server.client.post("/v1/uploads", json=body).json()["id"]
        response = server.append(upload, 0, b"abd")
        assert problem(response)["code"] == "checksum-mismatch"
        assert response.headers["upload-offset"] == "0"
        assert list((folder / "sha256").glob("??/*")) == []
        assert server.append(upload, 0, b"abc").status_code == 204


def test_bytes_are_accepted_only_at_the_upload_s_offset(folder: Path) -> None:
    with run(folder) as server:
        upload = begin(server, 4)
        assert server.append(upload, 0, b"ab").status_code == 204
        for offset in (0, 1, 3, 2**62):
            response = server.append(upload, offset, b"c")
            assert problem(response)["code"] == "wrong-offset"
            assert response.headers["upload-offset"] == "2"


def test_an_upload_larger_than_the_server_accepts_is_refused(folder: Path) -> None:
    with run(folder, upload_bytes=10) as server:
        assert begin(server, 10)
        response = server.client.post("/v1/uploads", json={"name": "a.npz", "size": 11})
        assert problem(response)["code"] == "too-large"


def test_a_server_that_died_before_the_blob_was_recorded_completes_it_when_asked(folder: Path) -> None:
    with run(folder) as server:
        upload = begin(server, 3)
        with server.backend.partials.lock(upload) as partial:
            partial.append(b"abc")
            server.backend.blobs.link(partial.path)
    with run(folder) as server:
        assert server.client.get(f"/v1/uploads/{upload}").json()["blob"] is None
        assert server.append(upload, 3, b"").status_code == 204
        blob = server.client.get(f"/v1/uploads/{upload}").json()["blob"]
        assert server.client.get(f"/v1/blobs/{blob}").content == b"abc"
        assert server.append(upload, 3, b"").status_code == 204
        assert problem(server.append(upload, 3, b"d"))["status"] == 413
