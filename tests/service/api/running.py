"""A server in this process; what workers do is done to its rows directly."""

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from sqlalchemy import insert, update
from starlette.testclient import TestClient

from service.api import create_app
from service.api.backend import Backend
from service.db.tables import artifacts, jobs, trials
from service.db.tables import datasets as dataset_rows
from service.db.tables import models as model_rows
from service.jobs.events import append
from service.settings import Settings
from service.uploads.store import record_blob

OFFSET_STREAM = "application/offset+octet-stream"


class Running:
    """A client of a running app, which also changes rows as a worker would."""

    def __init__(self, client: TestClient, backend: Backend) -> None:
        self.client = client
        self.backend = backend

    def upload(self, content: bytes, name: str = "model.safetensors") -> str:
        """Upload a file in one part; the upload's identity."""
        identity = self.client.post("/v1/uploads", json={"name": name, "size": len(content)}).json()["id"]
        sent = self.append(identity, 0, content)
        assert sent.status_code == 204, sent.text
        return str(identity)

    def append(self, upload: str, offset: int, content: bytes) -> Any:
        headers = {"Upload-Offset": str(offset), "Content-Type": OFFSET_STREAM}
        return self.client.patch(f"/v1/uploads/{upload}", content=content, headers=headers)

    def model(self, state: str = "ready", content: bytes = b"weights") -> str:
        """A registered model, checked."""
        body = {"upload": self.upload(content), "architecture": "cifar/resnet8"}
        identity: str = self.client.post("/v1/models", json=body).json()["id"]
        self._checked(model_rows, identity, state)
        return identity

    def dataset(self, state: str = "ready") -> str:
        """A registered dataset, checked."""
        response = self.client.post("/v1/datasets", json={"upload": self.upload(b"data", "data.npz")})
        identity: str = response.json()["id"]
        self._checked(dataset_rows, identity, state)
        return identity

    def job(self, model: str, dataset: str, **fields: Any) -> str:
        """A queued job."""
        body = {"kind": "calibrate", "model": model, "dataset": dataset, **fields}
        response = self.client.post("/v1/jobs", json=body)
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    def set_state(self, job: str, state: str, attempt: int = 1, **values: Any) -> None:
        """Change a job's state as workers do: with its event, in one transaction."""
        with self.backend.database.write() as connection:
            connection.execute(update(jobs).where(jobs.c.id == job).values(state=state, attempt=attempt, **values))
            append(connection, job, attempt, "state", {"state": state})

    def add_event(self, job: str, kind: str, data: dict[str, Any]) -> None:
        """Add an event."""
        with self.backend.database.write() as connection:
            append(connection, job, 1, kind, data)

    def add_artifact(self, job: str, name: str, content: bytes, media_type: str = "text/plain") -> str:
        """Add an artifact; its SHA-256."""
        source = self.backend.settings.data_dir / "given"
        source.write_bytes(content)
        blob = self.backend.blobs.copy(source)
        with self.backend.database.write() as connection:
            record_blob(connection, blob)
            values = {"job": job, "name": name, "media_type": media_type, "blob": blob.sha256}
            connection.execute(insert(artifacts).values(**values))
        return blob.sha256

    def add_trial(self, job: str, stage: str, content: bytes) -> None:
        """Add a trial."""
        source = self.backend.settings.data_dir / "given"
        source.write_bytes(content)
        blob = self.backend.blobs.copy(source)
        key = hashlib.sha256(stage.encode()).hexdigest()
        with self.backend.database.write() as connection:
            record_blob(connection, blob)
            values = {"job": job, "key": key, "stage": stage, "examples": 10, "blob": blob.sha256, "attempt": 1}
            connection.execute(insert(trials).values(created_at=time.time(), **values))

    def _checked(self, table: Any, identity: str, state: str) -> None:
        """End the check of a new model or dataset."""
        subject = jobs.c.model if table is model_rows else jobs.c.dataset
        ended = "succeeded" if state == "ready" else "failed"
        with self.backend.database.write() as connection:
            connection.execute(update(table).where(table.c.id == identity).values(state=state))
            connection.execute(update(jobs).where(subject == identity).values(state=ended, finished_at=time.time()))


@contextmanager
def run(data_dir: Path, **given: Any) -> Iterator[Running]:
    """Start the app on the directory, and stop it at the end; it does not wait for checks."""
    app = create_app(Settings(data_dir=data_dir, **{"check_wait_seconds": 0.0, **given}))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Running(client, app.state.backend)


@contextmanager
def listening(server: Running) -> Iterator[int]:
    """The app of ``server`` on a port of this machine: a test client sends and gets nothing piece by piece."""
    config = uvicorn.Config(server.client.app, port=0, log_level="critical", lifespan="off")
    network = uvicorn.Server(config)
    thread = threading.Thread(target=network.run)
    thread.start()
    while not network.started:
        time.sleep(0.01)
    try:
        yield network.servers[0].sockets[0].getsockname()[1]
    finally:
        network.should_exit = True
        thread.join()


def problem(response: Any) -> dict[str, Any]:
    """The problem in an error response; fails for any other response."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    document: dict[str, Any] = json.loads(response.content)
    assert document["status"] == response.status_code
    assert document["request_id"] == response.headers["x-request-id"]
    return document
