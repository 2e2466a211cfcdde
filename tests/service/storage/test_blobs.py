"""Blobs are whole or not there, and named by their content."""

import hashlib
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.errors import ChecksumError
from service.storage import Blob, Blobs


@given(content=st.binary(max_size=4096))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_blob_is_named_by_its_content_and_keeps_it(tmp_path: Path, content: bytes) -> None:
    blobs = Blobs(tmp_path)
    source = tmp_path / "source"
    source.write_bytes(content)
    blob = blobs.copy(source)
    assert blob == Blob(hashlib.sha256(content).hexdigest(), len(content))
    assert blobs.path(blob.sha256).read_bytes() == content == source.read_bytes()
    assert blobs.size(blob.sha256) == len(content)


def test_linking_shares_the_file_and_makes_it_read_only(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    source = tmp_path / "source"
    source.write_bytes(b"x")
    stored = blobs.path(blobs.link(source).sha256)
    assert stored.samefile(source)
    assert stored.stat().st_mode & 0o777 == 0o400


def test_bytes_other_than_expected_are_not_stored(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    source = tmp_path / "source"
    source.write_bytes(b"x")
    with pytest.raises(ChecksumError):
        blobs.link(source, expected=hashlib.sha256(b"y").hexdigest())
    assert list(blobs.older_than(-1)) == []
    assert blobs.link(source, expected=hashlib.sha256(b"x").hexdigest()).size == 1


def test_storing_twice_is_storing_once(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    source = tmp_path / "source"
    source.write_bytes(b"twice")
    assert blobs.copy(source) == blobs.copy(source)
    assert len(list(blobs.older_than(-1))) == 1


def test_links_are_not_followed(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="symbolic links"):
        blobs.copy(tmp_path / "link")
    assert list(blobs.older_than(-1)) == []
    assert list(blobs.staged(-1)) == []


@pytest.mark.parametrize("name", ["", "ab", "../" * 20 + "etcx", "A" * 64, "g" * 64])
def test_only_digests_are_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="hexadecimal"):
        Blobs(tmp_path).path(name)


def test_age_counts_from_the_last_time_it_was_stored(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    source = tmp_path / "source"
    source.write_bytes(b"old")
    blob = blobs.copy(source)
    long_ago = time.time() - 7200
    os.utime(blobs.path(blob.sha256), (long_ago, long_ago))
    assert list(blobs.older_than(3600)) == [blob]
    blobs.copy(source)
    assert list(blobs.older_than(3600)) == []
    assert not blobs.delete(blob.sha256, older_than=3600)
    assert blobs.size(blob.sha256) == 3
    assert blobs.delete(blob.sha256, older_than=-1)
    assert blobs.delete(blob.sha256, older_than=-1)
    assert blobs.size(blob.sha256) is None


def test_what_an_interrupted_copy_left_is_found_and_nothing_else(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    left = tmp_path / "staging" / "tmpabc"
    left.write_bytes(b"half")
    assert list(blobs.older_than(-1)) == []
    assert list(blobs.staged(3600)) == []
    assert list(blobs.staged(-1)) == [left]
