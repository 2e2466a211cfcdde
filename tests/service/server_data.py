"""A server's data directory, and rows as the API would insert them."""

import json
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Row, insert, select

from calibrate.demo import ARCHITECTURE, ARCHITECTURE_ARGS, PREPROCESSING, DemoInputs
from calibrate.recipe import Outputs, Recipe
from service.db import open_database
from service.db.tables import artifacts, blobs, datasets, events, jobs, metadata, models, trials
from service.jobs.resources import JobSettings
from service.kit.ids import new_id
from service.storage import Blobs

#: A search that takes a second.
QUICK = Recipe(
    steps=[
        {"kind": "search_alpha", "curve": False, "refinements": 1},
        {"kind": "temperature"},
        {"kind": "measure", "resamples": 200},
    ]
)


class ServerData:
    """The data directory of a server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = open_database(folder)
        self.blobs = Blobs(folder)

    def blob(self, file: Path) -> str:
        blob = self.blobs.copy(file)
        with self.database.write() as connection:
            known = connection.execute(select(blobs).where(blobs.c.sha256 == blob.sha256)).first()
            if known is None:
                connection.execute(insert(blobs).values(sha256=blob.sha256, size=blob.size, created_at=time.time()))
        return blob.sha256

    def model(self, file: Path, state: str = "checking", **columns: Any) -> str:
        values: dict[str, Any] = {"architecture": ARCHITECTURE, "architecture_args": ARCHITECTURE_ARGS}
        return self._thing(models, "mdl", file, state, {**values, **columns})

    def demo_model(self, inputs: DemoInputs) -> str:
        """The demo's network, as its check leaves it."""
        weights = self.blob(inputs.checkpoint)
        shape = PREPROCESSING.model_dump(mode="json")
        return self.model(inputs.checkpoint, "ready", weights=weights, preprocessing=shape)

    def dataset(self, file: Path, state: str = "ready") -> str:
        return self._thing(datasets, "dst", file, state, {})

    def job(self, kind: str, **columns: Any) -> str:
        identity = new_id("job")
        values = {
            "id": identity,
            "kind": kind,
            "outputs": Outputs(formats=()).model_dump(mode="json"),
            "settings": JobSettings().model_dump(mode="json"),
            "slot": "cpu",
            "timeout_seconds": 600.0,
            "state": "queued",
            "created_at": time.time(),
            **columns,
        }
        with self.database.write() as connection:
            connection.execute(insert(jobs).values(**values))
        return identity

    def quick_job(self, model: str, dataset: str, recipe: Recipe = QUICK, **columns: Any) -> str:
        document = recipe.model_dump(mode="json")
        return self.job("calibrate", model=model, dataset=dataset, recipe=document, **columns)

    def row(self, identity: str) -> Row[Any]:
        table = {"job": jobs, "mdl": models, "dst": datasets}[identity[:3]]
        with self.database.read() as connection:
            return connection.execute(select(table).where(table.c.id == identity)).one()

    def set(self, identity: str, **values: Any) -> None:
        with self.database.write() as connection:
            connection.execute(jobs.update().where(jobs.c.id == identity).values(**values))

    def everything(self) -> dict[str, list[Row[Any]]]:
        """All rows of all tables."""
        with self.database.read() as connection:
            return {table.name: list(connection.execute(select(table))) for table in metadata.sorted_tables}

    def events(self, job: str) -> list[Row[Any]]:
        with self.database.read() as connection:
            return list(connection.execute(select(events).where(events.c.job == job).order_by(events.c.id)))

    def states(self, job: str) -> list[str]:
        """The states it went through, by its events."""
        states = [event.data for event in self.events(job) if event.type == "state"]
        return [data["state"] for data in states if "unprotected" not in data]

    def trials(self, job: str) -> list[Row[Any]]:
        with self.database.read() as connection:
            return list(connection.execute(select(trials).where(trials.c.job == job)))

    def artifacts(self, job: str) -> dict[str, bytes]:
        with self.database.read() as connection:
            found = connection.execute(select(artifacts).where(artifacts.c.job == job)).all()
        return {row.name: self.blobs.path(row.blob).read_bytes() for row in found}

    def summary(self, job: str) -> Any:
        return json.loads(self.artifacts(job)["summary.json"])

    def _thing(self, table: Any, prefix: str, file: Path, state: str, columns: dict[str, Any]) -> str:
        identity = new_id(prefix)
        values = {
            "id": identity,
            "name": file.stem,
            "file_name": file.name,
            "blob": self.blob(file),
            "state": state,
            "created_at": time.time(),
            **columns,
        }
        with self.database.write() as connection:
            connection.execute(insert(table).values(**values))
        return identity
