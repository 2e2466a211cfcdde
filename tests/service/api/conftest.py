"""A running server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.api.running import Running, run


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with run(tmp_path / "data") as running:
        yield running
