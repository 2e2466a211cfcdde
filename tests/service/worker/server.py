"""A house with a supervisor over real children."""

from pathlib import Path
from typing import Any

from service.settings import Settings
from service.worker.local import LocalExecutor
from service.worker.supervisor import Supervisor
from tests.service.executor_contract import until
from tests.service.house import House


class Server:
    """It runs while its tests wait."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.house = House(folder)
        self.executor = LocalExecutor(folder / "scratch", 1.5)
        chosen = Settings(data_dir=folder, cpu_slots=2, **settings)
        self.supervisor = Supervisor(self.house.database, self.house.blobs, self.executor, chosen, "one")

    def run(self, *jobs: str) -> None:
        over = ("succeeded", "failed", "cancelled")
        until(lambda: self.supervisor.step() and all(self.house.row(job).state in over for job in jobs), 200)

    def check_model(self, file: Path, **columns: Any) -> Any:
        model = self.house.model(file, **columns)
        self.run(self.house.job("check", model=model))
        return self.house.row(model)

    def check_dataset(self, file: Path) -> Any:
        dataset = self.house.dataset(file, "checking")
        self.run(self.house.job("check", dataset=dataset))
        return self.house.row(dataset)
