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


@pytest.mark.parametrize("text", ["0.0,2.0", "0.,2.", "00,02", " 0 , 2 ", '"0","2"', '"0.0", "2"', "0,2.00"])
def test_whole_numbers_are_class_indices(listed: Write, text: str) -> None:
    first, second = text.split(",")
    source = open_data(listed(f"path,label\ndog/a.png,{first}\nant/x.png,{second}\n"), preprocessing=RAW)
    assert source.labels.tolist() == [0, 2]
    assert source.class_names is None


def test_numbers_beside_a_class_list_are_its_places_where_none_is_a_name(listed: Write) -> None:
    path = listed("path,label\ndog/a.png,2.0\ncat/1.png,0.0\n")
    source = open_data(path, preprocessing=RAW, classes=["cat", "bee", "dog"])
    assert source.labels.tolist() == [2, 0]
    assert [item.code for item in source.findings] == ["labels-by-index"]
    listed("path,label\ndog/a.png,3\ncat/1.png,1\n")
    with pytest.raises(DataError, match="count from 1: subtract 1"):
        open_data(path, preprocessing=RAW, classes=["cat", "bee", "dog"]).check_outputs(3)


@pytest.mark.parametrize(
    ("header", "codes"),
    [
        ("path,label", []),
        ("Path, LABEL", ["columns-taken"]),
        ("filename,class", ["columns-taken"]),
        ("image_path;target", ["columns-taken"]),
        ("File Name\tcategory", ["columns-taken"]),
        ("path,label,label ", None),
        ("img,image,label", None),
    ],
)
def test_spellings_of_the_header(listed: Write, header: str, codes: list[str] | None) -> None:
    mark = next((mark for mark in ";\t" if mark in header), ",")
    rest = "".join(f"{mark}x" for _ in range(header.count(mark) - 1))
    path = listed(f"{header}\ndog/a.png{mark}dog{rest}\ncat/1.png{mark}cat{rest}\n")
    if codes is None:
        with pytest.raises(DataError, match="columns path,label, each once"):
            open_data(path, preprocessing=RAW)
        return
    source = open_data(path, preprocessing=RAW)
    assert source.labels.tolist() == [1, 0]
    assert [item.code for item in source.findings] == codes


@pytest.mark.parametrize("label", ["10", "10.0", "10.", "010"])
def test_a_number_is_the_class_of_that_number_however_it_is_written(listed: Write, label: str) -> None:
    path = listed(f"path,label\ndog/a.png,{label}\ncat/1.png,2\n")
    source = open_data(path, preprocessing=RAW, classes=["0", "1", "10", "2"])
    assert source.labels.tolist() == [2, 3]
    assert source.findings == ()


@pytest.mark.parametrize("others", [("", ""), ("holdout",), ("train",)])
def test_training_rows_among_what_is_no_usual_part_are_not_read_unasked(listed: Write, others: tuple[str, ...]) -> None:
    parts = (*others, "train", "train")[:3]
    rows = "".join(
        f"{name},0,{part}\n" for name, part in zip(("dog/a.png", "cat/1.png", "ant/x.png"), parts, strict=True)
    )
    path = listed(f"path,label,split\n{rows}")
    with pytest.raises(DataError, match=r"'split' of .* holds .*train.* with --split"):
        open_data(path, preprocessing=RAW)
    assert len(open_data(path, preprocessing=RAW, split="train")) == parts.count("train")
