"""Class maps: the data's names for the model's classes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from calibrate.data import open_data, read_class_map
from calibrate.demo import DemoInputs
from calibrate.errors import AfternormError, DataError, UsageError
from calibrate.recipe import Preprocessing
from tests.builders.commands import Ran, demo_options
from tests.builders.sources import inputs_of

RAW = Preprocessing()
Write = Callable[..., Path]
MODEL = ["bird", "feline", "canine"]
TEXTS = {
    "map.yaml": "ant: 2\ncat: feline\n'no': 'canine'\nno way: 0\n",
    "map.YML": "{ant: 2, cat: feline, no: canine, no way: 0}",
    "map.json": '{"ant": 2,\t"cat": "feline", "no": "canine", "no way": 0}',
    "map.csv": "data,model\nant,2\ncat,feline\nno,canine\nno way,0\n",
}


@pytest.mark.parametrize("name", TEXTS)
def test_every_kind_of_file_says_the_same(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(TEXTS[name])
    read = {given: str(target) for given, target in read_class_map(tmp_path / name).items()}
    assert read == {"ant": "2", "cat": "feline", "no": "canine", "no way": "0"}


def test_a_mapping_to_indexes_is_found_beside_its_inverse(tmp_path: Path) -> None:
    """As in the config.json of Hugging Face's models."""
    (tmp_path / "config.json").write_text(
        '{"id2label": {"0": "cat", "1": "dog"}, "label2id": {"cat": 0, "dog": 1}, "hidden_sizes": [8, 16]}'
    )
    assert read_class_map(tmp_path / "config.json") == {"cat": 0, "dog": 1}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("map.txt", "a: b", ".yaml, .json or .csv"),
        ("map.yaml", "[a, b]", "not a mapping"),
        ("map.yaml", "a: [b", "not a mapping"),
        ("map.yaml", "", "not a mapping"),
        ("map.yaml", "a: {b: c}", "maps 'a' to a mapping;"),
        ("map.json", '{"id2label": {"0": "cat", "1": "dog"}}', "a mapping called id2label, .* as --classes"),
        ("map.yaml", "nc: 2\nnames: [cat, dog]\n", "a list of names called names, .* as --classes"),
        ("map.json", '{"class_to_idx": ["cat", "dog"]}', "a list of names called class_to_idx"),
        ("map.yaml", "a:\n", "to nothing"),
        ("map.yaml", "a: b\na: c\n", "'a' twice"),
        ("map.json", '{"a": "b", "a": "c"}', "'a' twice"),
        ("map.json", '{"a": true}', "maps 'a' to True"),
        ("map.json", '{"a": 1.5}', "maps 'a' to 1.5"),
        ("map.json", '["a"]', "not a mapping"),
        ("map.json", "[" * 100_000, "not a mapping"),
        ("map.csv", "a,b\n", "data,model"),
        ("map.csv", "data,model\na\n", "line 2"),
        ("gone.yaml", None, "cannot be read"),
    ],
)
def test_a_broken_file_is_explained(tmp_path: Path, name: str, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises((UsageError, DataError), match=said) as error:
        read_class_map(tmp_path / name)
    assert name in str(error.value)


@pytest.mark.parametrize("class_map", [{"ant": "bird", "cat": "feline", "dog": "bird"}, {"ant": 0, "cat": 1, "dog": 0}])
def test_several_classes_become_one(write_zip: Write, pets: dict[str, bytes], class_map: Any) -> None:
    path = write_zip(pets)
    plain = open_data(path, preprocessing=RAW)
    source = open_data(path, preprocessing=RAW, classes=MODEL, class_map={**class_map, "not there": 2})
    assert source.labels.tolist() == [0, 0, 1, 1, 1, 0, 0]
    assert source.class_names == tuple(MODEL)
    assert source.listed
    assert torch.equal(inputs_of(source), inputs_of(plain))
    assert source.entry(3) == plain.entry(3)
    source.check_outputs(3)
    other = open_data(path, preprocessing=RAW, classes=MODEL, class_map={**class_map, "dog": 2})
    assert len({plain.fingerprint, source.fingerprint, other.fingerprint}) == 3


def test_indices_need_no_class_list(write_zip: Write, pets: dict[str, bytes]) -> None:
    source = open_data(write_zip(pets), preprocessing=RAW, class_map={"ant": 7, "cat": "9", "dog": 7})
    assert source.labels.tolist() == [7, 7, 9, 9, 9, 7, 7]
    source.check_outputs(10)
    with pytest.raises(DataError, match="label 9"):
        source.check_outputs(9)


def test_data_with_indices_go_by_them() -> None:
    examples = [(torch.zeros(3), label) for label in (0, 2, 1, 2)]
    source = open_data(examples, preprocessing=None, class_map={"0": 5, "1": 1, "2": 0})
    assert source.labels.tolist() == [5, 0, 1, 0]


@pytest.mark.parametrize(
    ("class_map", "classes", "said"),
    [
        ({"ant": 0, "cat": 1}, MODEL, "class 'dog' of .*not in the class map; add it"),
        ({"ant": 0, "cat": 1, "dog": "hound"}, MODEL, "'dog' to 'hound', which is not in the class list"),
        ({"ant": 0, "cat": 1, "dog": "canine"}, None, "no class list.*--classes"),
        ({"ant": 0, "cat": 1, "dog": 3}, MODEL, "index 3.*3 names, 0 to 2"),
        ({"ant": 0, "cat": 1, "dog": -1}, MODEL, "'dog' to -1"),
    ],
)
def test_what_is_missing_or_unknown_is_named(
    write_zip: Write, pets: dict[str, bytes], class_map: Any, classes: list[str] | None, said: str
) -> None:
    with pytest.raises(AfternormError, match=said):
        open_data(write_zip(pets), preprocessing=RAW, classes=classes, class_map=class_map)


def test_an_open_source_takes_no_map() -> None:
    source = open_data([(torch.zeros(3), 0)], preprocessing=None)
    with pytest.raises(UsageError, match="open already"):
        open_data(source, preprocessing=None, class_map={"0": 0})


@pytest.mark.parametrize("command", ["evaluate", "calibrate", "export"])
def test_the_option(
    command: str, tmp_path: Path, demo_inputs: DemoInputs, afternorm: Callable[..., Ran], write_folder: Write
) -> None:
    pixels = np.zeros((4, 8, 8), np.uint8)
    np.savez(tmp_path / "data.npz", x=pixels, y=[0, 0, 1, 1])
    arguments = [
        *(command, *demo_options(demo_inputs, tmp_path / "data.npz")),
        *("--class-map", tmp_path / "map.yaml", "--dry-run"),
    ]
    (tmp_path / "map.yaml").write_text("0: 3\n1: 9\n")
    assert afternorm(*arguments).code == 0
    (tmp_path / "map.yaml").write_text("0: 3\n")
    ran = afternorm(*arguments)
    assert ran.code == 1
    assert "class '1'" in ran.err
