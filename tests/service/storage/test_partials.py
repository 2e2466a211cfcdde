"""Uploads grow by what arrives, wherever it was cut, and have one writer at a time."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.errors import BusyUploadError
from service.storage import Partials


@given(chunks=st.lists(st.binary(max_size=64), max_size=8))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_chunks_in_order_are_the_whole(tmp_path: Path, chunks: list[bytes]) -> None:
    partials = Partials(tmp_path)
    partials.discard("upl_1")
    partials.create("upl_1")
    for number, chunk in enumerate(chunks):
        with partials.lock("upl_1") as partial:
            assert partial.size == partials.size("upl_1") == sum(map(len, chunks[:number]))
            partial.append(chunk)
    with partials.lock("upl_1") as partial:
        assert partial.path.read_bytes() == b"".join(chunks)
        partial.clear()
    assert partials.size("upl_1") == 0


def test_a_second_writer_gets_upload_busy_and_the_first_continues(tmp_path: Path) -> None:
    partials = Partials(tmp_path)
    partials.create("upl_1")
    with partials.lock("upl_1") as partial:
        with pytest.raises(BusyUploadError), Partials(tmp_path).lock("upl_1"):
            pass
        partial.append(b"abc")
    with Partials(tmp_path).lock("upl_1") as partial:
        assert partial.size == 3


def test_an_upload_that_is_not_there_has_no_size_and_cannot_be_held(tmp_path: Path) -> None:
    partials = Partials(tmp_path)
    partials.create("upl_1")
    assert list(partials.older_than(-1)) == ["upl_1"]
    assert list(partials.older_than(3600)) == []
    partials.discard("upl_1")
    assert partials.size("upl_1") is None
    assert list(partials.older_than(-1)) == []
    with pytest.raises(BusyUploadError), partials.lock("upl_1"):
        pass
