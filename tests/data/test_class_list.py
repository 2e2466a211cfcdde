"""Class lists: one name per line."""

from pathlib import Path

import pytest

from calibrate.data import read_classes
from calibrate.errors import UsageError


@pytest.mark.parametrize(
    "content",
    ["cat\ndog\n", "cat\ndog", "cat\r\ndog\r\n\r\n", "\ufeffcat\n dog \n\n  \n"],
)
def test_reads_one_name_per_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "classes.txt"
    path.write_bytes(content.encode())
    assert read_classes(path) == read_classes(str(path)) == ("cat", "dog")


def test_names_may_hold_spaces_and_other_alphabets(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("great white shark\nŁódź\nline\u2028separator\n", encoding="utf-8")
    assert read_classes(path) == ("great white shark", "Łódź", "line\u2028separator")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"cat\n\ndog\n", "no name on line 2 of 3"),
        (b"\ncat\ndog\n", "no name on line 1 of 3"),
        (b"cat\ndog\ncat\n", "'cat' twice, on lines 1 and 3"),
        (b"\xff\xfe\x00", "not UTF-8"),
    ],
)
def test_broken_lists(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "classes.txt"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message) as error:
        read_classes(path)
    assert str(path) in str(error.value)


def test_unreadable_lists(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_classes(tmp_path / "missing.txt")
    with pytest.raises(UsageError, match="directory"):
        read_classes(tmp_path)
