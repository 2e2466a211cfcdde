"""CSV manifests: which images, of which class, and errors that name the line."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from calibrate.data import CsvManifest, open_data
from calibrate.errors import DataError
from calibrate.recipe import Preprocessing
from tests.builders.sources import inputs_of

RAW = Preprocessing()
Write = Callable[..., Path]


@pytest.fixture
def listed(write_folder: Write, pets: dict[str, bytes]) -> Callable[..., Path]:
    """The pets in a folder, with a manifest of the given text."""
    root = write_folder(pets)

    def write(text: str, encoding: str = "utf-8") -> Path:
        (root / "images.csv").write_bytes(text.encode(encoding))
        return root / "images.csv"

    return write


def test_names_without_a_list_are_the_class_folders(listed: Write, pets: dict[str, bytes]) -> None:
    names = sorted(pets)
    path = listed("path,label\n" + "".join(f"{name},{name.split('/')[0]}\n" for name in names))
    source, folders = (open_data(place, preprocessing=RAW) for place in (path, path.parent))
    assert type(source) is CsvManifest
    assert source.class_names == ("ant", "cat", "dog")
    assert not source.listed
    assert torch.equal(inputs_of(source), inputs_of(folders))
    assert source.labels.tolist() == folders.labels.tolist()
    assert source.fingerprint == folders.fingerprint
    assert source.entry(0) == f"'ant/x.png' in {path}"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_order_of_rows_and_columns_quotes_and_blank_lines(listed: Write, encoding: str, end: str) -> None:
    lines = ["note, label ,path", '"a, b",7,"dog/a.png"', "", "x, 0 , ./ant/x.png ", ""]
    source = open_data(listed(end.join(lines), encoding), preprocessing=RAW)
    assert source.labels.tolist() == [7, 0]
    assert source.class_names is None
    assert [source.entry(index).split("'")[1] for index in range(2)] == ["dog/a.png", "ant/x.png"]
    assert [finding.code for finding in source.findings] == ["columns-unused"]
    assert "'note'" in source.findings[0].message


def test_with_a_class_list_numbers_are_names(listed: Write) -> None:
    path = listed("path,label\ndog/a.png,2\ncat/1.png,1\n")
    source = open_data(path, preprocessing=RAW, classes=["2", "1", "0"])
    assert source.labels.tolist() == [0, 1]
    assert source.listed
    with pytest.raises(DataError, match=r"line 3 .*'1'.*class list"):
        open_data(path, preprocessing=RAW, classes=["2", "x"])


@pytest.mark.parametrize("labels", ["0,cat", "cat,0", "0,-1", "0,1.5", "0,nan", "0,1e0"])
def test_numbers_and_names_do_not_mix(listed: Write, labels: str) -> None:
    first, second = labels.split(",")
    with pytest.raises(DataError, match="line 3"):
        open_data(listed(f"path,label\ndog/a.png,{first}\nant/x.png,{second}\n"), preprocessing=RAW)


def test_other_rows_have_another_fingerprint(listed: Write) -> None:
    texts = ["dog/a.png,0\nant/x.png,1\n", "dog/a.png,1\nant/x.png,1\n", "dog/a.png,0\n", "ant/x.png,1\ndog/a.png,0\n"]
    prints = {open_data(listed(f"path,label\n{text}"), preprocessing=RAW).fingerprint for text in texts}
    assert len(prints) == len(texts)


def test_images_need_a_preprocessing(listed: Write) -> None:
    with pytest.raises(DataError, match="--preprocessing"):
        open_data(listed("path,label\ndog/a.png,0\n"), preprocessing=None)
