"""The client: one method for each thing the server does, with its own values in and out."""

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
from calibrate.recipe import Outputs, Preprocessing, Recipe
from service.client.errors import RemoteError
from service.client.transport import Transport
from service.datasets.resources import Dataset
from service.jobs.kinds import Kind
from service.jobs.resources import ENDED, Artifact, Event, Job, JobSettings, State
from service.kit.pages import Page
from service.models.resources import Model
from service.uploads.resources import Upload

DEFAULT_URL = "http://127.0.0.1:8000"

#: Bytes sent in one request, so that a broken connection loses little and a proxy's limit is not met.
PART = 64 * 2**20

#: Seconds between questions that wait for something.
PATIENCE = 0.5

#: How often a broken connection is taken up again before it counts as gone.
TRIES = 5

Item = TypeVar("Item", bound=BaseModel)
Registered = TypeVar("Registered", Model, Dataset)


class Client:
    """Speaks to one server; close it, or use it in a ``with`` block."""

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
        """Send a file in parts, taking up where a broken connection left off; ``progress`` hears bytes sent and all."""
        path = Path(path)
        try:
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                size = file.tell()
                body = {"name": path.name, "size": size, "sha256": sha256}
                upload = Upload.model_validate_json(self._transport.send("POST", "/uploads", json=body).content)
                broken = 0
                while upload.blob is None:
                    file.seek(upload.offset)
                    try:
                        self._append(upload, file.read(PART))
                    except UnavailableError:
                        broken += 1
                        if broken == TRIES:
                            raise
                        time.sleep(PATIENCE)
                    upload = Upload.model_validate_json(self._transport.send("GET", f"/uploads/{upload.id}").content)
                    if progress is not None:
                        progress(upload.offset, size)
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}; give the path of a file.") from None
        return upload

    def add_model(
        self,
        path: Path | str,
        *,
        architecture: str | None = None,
        architecture_args: Mapping[str, Any] | None = None,
        preprocessing: Preprocessing | None = None,
        class_names: Sequence[str] | None = None,
        name: str | None = None,
    ) -> Model:
        """Upload a checkpoint and register it; returns once the server has opened it, raises where it refuses it."""
        body = {
            "upload": self.upload(path).id,
            "name": name,
            "architecture": architecture,
            "architecture_args": architecture_args,
            "preprocessing": preprocessing and preprocessing.model_dump(mode="json"),
            "class_names": class_names,
        }
        added = Model.model_validate_json(self._transport.send("POST", "/models", json=_given(body)).content)
        return self._checked(lambda: self.model(added.id), added)

    def model(self, identity: str) -> Model:
        """A model as it stands."""
        return Model.model_validate_json(self._transport.send("GET", f"/models/{identity}").content)

    def models(self) -> Iterator[Model]:
        """All models, newest first."""
        return self._all(Model, "/models", {})

    def delete_model(self, identity: str) -> None:
        """Forget a model to which no job refers."""
        self._transport.send("DELETE", f"/models/{identity}")

    def add_dataset(
        self, path: Path | str, *, class_map: Mapping[str, str | int] | None = None, name: str | None = None
    ) -> Dataset:
        """Upload data and register them; returns once the server has opened them, raises where it refuses them."""
        body = {"upload": self.upload(path).id, "name": name, "class_map": class_map}
        added = Dataset.model_validate_json(self._transport.send("POST", "/datasets", json=_given(body)).content)
        return self._checked(lambda: self.dataset(added.id), added)

    def dataset(self, identity: str) -> Dataset:
        """A dataset as it stands."""
        return Dataset.model_validate_json(self._transport.send("GET", f"/datasets/{identity}").content)

    def datasets(self) -> Iterator[Dataset]:
        """All datasets, newest first."""
        return self._all(Dataset, "/datasets", {})

    def delete_dataset(self, identity: str) -> None:
        """Forget a dataset to which no job refers."""
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
        """Ask for a job; with an ``idempotency_key``, asking twice is asking once."""
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
            self._transport.send("POST", "/jobs", json=_given(body), headers=headers).content
        )

    def job(self, identity: str) -> Job:
        """A job as it stands."""
        return Job.model_validate_json(self._transport.send("GET", f"/jobs/{identity}").content)

    def jobs(self, *, state: State | None = None, kind: Kind | None = None, model: str | None = None) -> Iterator[Job]:
        """The jobs that match, newest first."""
        return self._all(Job, "/jobs", _given({"state": state, "kind": kind, "model": model}))

    def cancel(self, identity: str) -> Job:
        """End a job, or keep it from starting."""
        return Job.model_validate_json(self._transport.send("POST", f"/jobs/{identity}/cancel").content)

    def delete_job(self, identity: str) -> None:
        """Forget a job that has ended."""
        self._transport.send("DELETE", f"/jobs/{identity}")

    def events(self, identity: str, *, after: int = 0) -> Iterator[Event]:
        """What happens to a job, as it happens, until it has ended; a broken connection is taken up again."""
        broken = 0
        while True:
            headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
            try:
                with self._transport.stream(f"/jobs/{identity}/events", headers=headers) as response:
                    for line in response.iter_lines():
                        if line.startswith("data:"):
                            event = Event.model_validate_json(line.removeprefix("data:"))
                            after, broken = event.id, 0
                            yield event
                if self.job(identity).state in ENDED:
                    return
            except UnavailableError:
                broken += 1
                if broken == TRIES:
                    raise
                time.sleep(PATIENCE)

    def wait(self, job: Job, *, listen: Callable[[Event], None] | None = None) -> Job:
        """Wait until ``job`` has ended; ``listen`` hears of what happens to it."""
        for event in self.events(job.id):
            if listen is not None:
                listen(event)
        return self.job(job.id)

    def artifacts(self, identity: str) -> tuple[Artifact, ...]:
        """The files that a job wrote."""
        answer = self._transport.send("GET", f"/jobs/{identity}/artifacts").json()
        return tuple(Artifact.model_validate(item) for item in answer["data"])

    def fetch(self, job: Job, folder: Path | str) -> tuple[Path, ...]:
        """Write the files of ``job`` into ``folder``, each whole and with its digest checked, or not at all."""
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
                raise UnavailableError(f"{artifact.name} arrived damaged; fetch it again.")
        return path

    def _all(self, kind: type[Item], path: str, query: Mapping[str, Any]) -> Iterator[Item]:
        after: dict[str, str] = {}
        while True:
            found = Page[kind].model_validate_json(self._transport.send("GET", path, params={**query, **after}).content)  # type: ignore[valid-type]
            yield from found.data
            if found.next is None:
                return
            after = {"after": found.next}

    def _checked(self, ask: Callable[[], Registered], added: Registered) -> Registered:
        while added.state == "checking":
            time.sleep(PATIENCE)
            added = ask()
        if added.problem is not None:
            raise RemoteError(added.problem)
        return added


def _given(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body without what was left out."""
    return {name: value for name, value in body.items() if value is not None}
