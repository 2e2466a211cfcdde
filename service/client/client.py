"""The client: one method for each operation of the REST API."""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2
from pydantic import BaseModel

from calibrate.atomic import replacing
from calibrate.errors import UnavailableError, UsageError
from calibrate.recipe import Outputs, Preprocessing, Recipe, as_preprocessing
from service.client.errors import RemoteError
from service.client.transport import Transport
from service.datasets.resources import Dataset
from service.jobs.kinds import Kind
from service.jobs.resources import TERMINAL_STATES, Artifact, Event, Job, JobSettings, State
from service.kit.pages import Page
from service.models.resources import Model
from service.uploads.resources import Upload

DEFAULT_URL = "http://127.0.0.1:8000"

#: Bytes per request of an upload: a broken connection loses little, and proxies limit the size of requests.
PART_BYTES = 64 * 2**20

#: Seconds between polls, and before a retry.
POLL_SECONDS = 0.5

#: How many times in a row a connection may break.
MAX_FAILURES = 5

Item = TypeVar("Item", bound=BaseModel)
Registered = TypeVar("Registered", Model, Dataset)


class Client:
    """A connection to one server; close it, or use it in a ``with`` block."""

    def __init__(self, url: str = DEFAULT_URL, *, timeout_seconds: float = 60.0) -> None:
        self._client = httpx2.Client(base_url=url, timeout=timeout_seconds)
        self._transport = Transport(self._client)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def upload(self, path: Path | str, *, progress: Callable[[int, int], None] | None = None) -> Upload:
        """Upload a file in parts, resumed after a broken connection; ``progress`` gets the bytes sent and the total."""
        path = Path(path)
        try:
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                size = file.tell()
                body = {"name": path.name, "size": size, "sha256": sha256}
                upload = Upload.model_validate_json(self._transport.send("POST", "/uploads", json=body).content)
                failures = 0
                while upload.blob is None:
                    file.seek(upload.offset)
                    try:
                        self._append(upload, file.read(PART_BYTES))
                    except UnavailableError:
                        failures += 1
                        if failures == MAX_FAILURES:
                            raise
                        time.sleep(POLL_SECONDS)
                    upload = Upload.model_validate_json(self._transport.send("GET", f"/uploads/{upload.id}").content)
                    if progress is not None:
                        progress(upload.offset, size)
        except OSError as error:
            raise UsageError(
                f"{path} cannot be read: {error.strerror}; give the path of a file, such as a .zip of a folder."
            ) from None
        return upload

    def add_model(
        self,
        path: Path | str,
        *,
        architecture: str | None = None,
        architecture_args: Mapping[str, Any] | None = None,
        weights: str | None = None,
        preprocessing: Preprocessing | Mapping[str, Any] | None = None,
        class_names: Sequence[str] | None = None,
        name: str | None = None,
    ) -> Model:
        """Upload and register a checkpoint, and wait for its check; raises RemoteError where the server refuses it."""
        shape = as_preprocessing(preprocessing)  # before anything is uploaded
        body = {
            "upload": self.upload(path).id,
            "name": name,
            "architecture": architecture,
            "architecture_args": architecture_args,
            "weights": weights,
            "preprocessing": shape and shape.model_dump(mode="json"),
            "class_names": class_names,
        }
        added = Model.model_validate_json(self._transport.send("POST", "/models", json=_without_none(body)).content)
        return self._wait_for_check(lambda: self.model(added.id), added)

    def model(self, identity: str) -> Model:
        """A model."""
        return Model.model_validate_json(self._transport.send("GET", f"/models/{identity}").content)

    def models(self) -> Iterator[Model]:
        """All models, newest first."""
        return self._all(Model, "/models", {})

    def delete_model(self, identity: str) -> None:
        """Delete a model that no job refers to."""
        self._transport.send("DELETE", f"/models/{identity}")

    def add_dataset(
        self,
        path: Path | str,
        *,
        class_map: Mapping[str, str | int] | None = None,
        split: str | None = None,
        skip_broken: int = 0,
        name: str | None = None,
    ) -> Dataset:
        """Upload and register data, and wait for their check; raises RemoteError where the server refuses them."""
        body = {
            "upload": self.upload(path).id,
            "name": name,
            "class_map": class_map,
            "split": split,
            "skip_broken": skip_broken or None,
        }
        added = Dataset.model_validate_json(self._transport.send("POST", "/datasets", json=_without_none(body)).content)
        return self._wait_for_check(lambda: self.dataset(added.id), added)

    def dataset(self, identity: str) -> Dataset:
        """A dataset."""
        return Dataset.model_validate_json(self._transport.send("GET", f"/datasets/{identity}").content)

    def datasets(self) -> Iterator[Dataset]:
        """All datasets, newest first."""
        return self._all(Dataset, "/datasets", {})

    def delete_dataset(self, identity: str) -> None:
        """Delete a dataset that no job refers to."""
        self._transport.send("DELETE", f"/datasets/{identity}")

    def submit(
        self,
        *,
        kind: Kind = "calibrate",
        model: str,
        dataset: str | None = None,
        training_dataset: str | None = None,
        recipe: Recipe | str | None = None,
        outputs: Outputs | None = None,
        settings: JobSettings | None = None,
        timeout_seconds: float | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Submit a job; submitting again with the same ``idempotency_key`` returns the same job."""
        body = {
            "kind": kind,
            "model": model,
            "dataset": dataset,
            "training_dataset": training_dataset,
            "recipe": recipe.model_dump(mode="json") if isinstance(recipe, Recipe) else recipe,
            "outputs": outputs and outputs.model_dump(mode="json"),
            "settings": settings and settings.model_dump(mode="json"),
            "timeout_seconds": timeout_seconds,
        }
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        return Job.model_validate_json(
            self._transport.send("POST", "/jobs", json=_without_none(body), headers=headers).content
        )

    def job(self, identity: str) -> Job:
        """A job."""
        return Job.model_validate_json(self._transport.send("GET", f"/jobs/{identity}").content)

    def jobs(self, *, state: State | None = None, kind: Kind | None = None, model: str | None = None) -> Iterator[Job]:
        """The jobs that match, newest first."""
        return self._all(Job, "/jobs", _without_none({"state": state, "kind": kind, "model": model}))

    def cancel(self, identity: str) -> Job:
        """Cancel a queued or running job."""
        return Job.model_validate_json(self._transport.send("POST", f"/jobs/{identity}/cancel").content)

    def delete_job(self, identity: str) -> None:
        """Delete a job that has ended."""
        self._transport.send("DELETE", f"/jobs/{identity}")

    def events(self, identity: str, *, after: int = 0) -> Iterator[Event]:
        """Stream a job's events until it has ended, resumed after a broken connection."""
        failures = 0
        while True:
            headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
            try:
                with self._transport.stream(f"/jobs/{identity}/events", headers=headers) as response:
                    for line in response.iter_lines():
                        if line.startswith("data:"):
                            event = Event.model_validate_json(line.removeprefix("data:"))
                            after, failures = event.id, 0
                            yield event
                if self.job(identity).state in TERMINAL_STATES:
                    return
            except UnavailableError:
                failures += 1
                if failures == MAX_FAILURES:
                    raise
                time.sleep(POLL_SECONDS)

    def wait(self, job: Job, *, listen: Callable[[Event], None] | None = None) -> Job:
        """Wait until ``job`` has ended; ``listen`` is called with each event."""
        for event in self.events(job.id):
            if listen is not None:
                listen(event)
        return self.job(job.id)

    def artifacts(self, identity: str) -> tuple[Artifact, ...]:
        """The files that a job wrote."""
        page = self._transport.send("GET", f"/jobs/{identity}/artifacts").json()
        return tuple(Artifact.model_validate(item) for item in page["data"])

    def fetch(self, job: Job, folder: Path | str) -> tuple[Path, ...]:
        """Download the files of ``job`` into ``folder``; a file is written only if its SHA-256 matches."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        return tuple(self._download(job.id, artifact, folder) for artifact in self.artifacts(job.id))

    def _append(self, upload: Upload, content: bytes) -> None:
        headers = {"Upload-Offset": str(upload.offset), "Content-Type": "application/offset+octet-stream"}
        self._transport.send("PATCH", f"/uploads/{upload.id}", content=content, headers=headers)

    def _download(self, identity: str, artifact: Artifact, folder: Path) -> Path:
        path, digest = folder / artifact.name, hashlib.sha256()
        with (
            self._transport.stream(f"/jobs/{identity}/artifacts/{artifact.name}") as response,
            replacing(path) as file,
        ):
            for chunk in response.iter_bytes(2**20):
                digest.update(chunk)
                file.write(chunk)
            if digest.hexdigest() != artifact.sha256:
                raise UnavailableError(f"the SHA-256 of {artifact.name} does not match; download it again.")
        return path

    def _all(self, kind: type[Item], path: str, query: Mapping[str, Any]) -> Iterator[Item]:
        after: dict[str, str] = {}
        while True:
            found = Page[kind].model_validate_json(self._transport.send("GET", path, params={**query, **after}).content)  # type: ignore[valid-type]
            yield from found.data
            if found.next is None:
                return
            after = {"after": found.next}

    def _wait_for_check(self, read: Callable[[], Registered], added: Registered) -> Registered:
        while added.state == "checking":
            time.sleep(POLL_SECONDS)
            added = read()
        if added.problem is not None:
            raise RemoteError(added.problem)
        return added


def _without_none(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are not None."""
    return {name: value for name, value in body.items() if value is not None}
