"""A data directory with a supervisor that starts real children."""

from pathlib import Path
from typing import Any

from service.settings import Settings
from service.worker.local import LocalExecutor
from service.worker.supervisor import Supervisor
from tests.service.executor_contract import until
from tests.service.server_data import ServerData


class Server:
    """It runs while its tests wait."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.server_data = ServerData(folder)
        self.executor = LocalExecutor(folder / "scratch", 1.5)
        chosen = Settings(data_dir=folder, cpu_slots=2, **settings)
        self.supervisor = Supervisor(self.server_data.database, self.server_data.blobs, self.executor, chosen, "one")

    def run(self, *jobs: str) -> None:
        over = ("succeeded", "failed", "cancelled")
        until(lambda: self.supervisor.step() and all(self.server_data.row(job).state in over for job in jobs))

    def check_model(self, file: Path, **columns: Any) -> Any:
        model = self.server_data.model(file, **columns)
        self.run(self.server_data.job("check", model=model))
        return self.server_data.row(model)

    def check_dataset(self, file: Path) -> Any:
        dataset = self.server_data.dataset(file, "checking")
        self.run(self.server_data.job("check", dataset=dataset))
        return self.server_data.row(dataset)
