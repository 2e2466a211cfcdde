"""What the tests of a live server share."""

from collections.abc import Iterator

import pytest

from tests.service.live import served


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running server, the same for all tests."""
    with served(tmp_path_factory.mktemp("served")) as url:
        yield url
