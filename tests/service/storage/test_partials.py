"""Uploads grow by what arrives, wherever it was cut."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.storage import Partials


@given(chunks=st.lists(st.binary(max_size=64), max_size=8))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_chunks_in_order_are_the_whole(tmp_path: Path, chunks: list[bytes]) -> None:
    partials = Partials(tmp_path)
    partials.discard("upl_1")
    partials.create("upl_1")
    for chunk in chunks:
        offset = partials.size("upl_1")
        assert offset is not None
        partials.write_at("upl_1", offset, chunk)
    assert partials.path("upl_1").read_bytes() == b"".join(chunks)


def test_writing_the_same_bytes_again_changes_nothing(tmp_path: Path) -> None:
    partials = Partials(tmp_path)
    partials.create("upl_1")
    for _ in range(2):
        partials.write_at("upl_1", 0, b"abc")
    assert partials.size("upl_1") == 3


def test_an_upload_that_is_not_there_has_no_size(tmp_path: Path) -> None:
    partials = Partials(tmp_path)
    partials.create("upl_1")
    assert list(partials.identities()) == ["upl_1"]
    partials.discard("upl_1")
    assert partials.size("upl_1") is None
    assert list(partials.identities()) == []
