"""Class lists as people keep them: every spelling of the same classes says the same."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from calibrate.data import open_data, read_class_map, read_classes
from calibrate.errors import DataError, UsageError
from calibrate.recipe import Preprocessing

RAW = Preprocessing()
NAMES = ("cat", "dog", "no", "10")
PAIRS = [["n00000001", "cat"], ["n00000002", "dog"], ["n00000003", "crane"], ["n00000004", "crane"]]
TEXTS = {
    "lines.txt": "cat\ndog\nno\n10\n",
    "class_to_idx.json": json.dumps({"dog": 1, "cat": 0, "10": 3, "no": 2}, indent=1),
    "bom.json": "\ufeff" + json.dumps(NAMES),
    "by_index.json": json.dumps({"3": "10", "0": "cat", "1": "dog", "2": "no"}),
    "index.txt": json.dumps({"0": ["cat"], "1": ["dog"], "2": ["no"], "3": ["10"]}),
    "text_indexes.json": json.dumps({"cat": "0", "dog": "1", "no": "2", "10": "3"}),
    "nested.json": json.dumps({"epoch": 3, "class_to_idx": {"cat": 0, "dog": 1, "no": 2, "10": 3}}),
    "config.json": json.dumps(
        {
            "model_type": "resnet",
            "num_labels": 4,
            "id2label": {str(index): name for index, name in enumerate(NAMES)},
            "label2id": {name: index for index, name in enumerate(NAMES)},
        }
    ),
    "timm.json": json.dumps({"architecture": "resnet18", "label_names": NAMES}),
    "list.yaml": "- cat\n- dog\n- no\n- 10\n",
    "list.txt": "# classes\r\n- cat\r\n- dog\r\n- 'no'\r\n- \"10\"\r\n",
    "data.yaml": "path: ../sets\ntrain: images/train\nnc: 4\nnames: [cat, dog, no, 10]\n",
    "yolo.yaml": "train: a\nval: b\n# Classes\nnames:\n  0: cat\n  1: dog\n  2: no\n  3: 10\n",
    "mapping.yml": "0: cat\n2: no\n1: dog\n3: '10'\n",
    "to_index.yaml": "cat: 0\ndog: 1\nno: 2\n'10': 3\n",
    "flow.txt": "{0: cat, 1: dog, 2: no, 3: '10'}",
    "colons.txt": "0:cat\n1:dog\n2:no\n3:10\n",
    "tabs.txt": "0\tcat\n3\t10\n2\tno\n1\tdog\n",
    "spaces.txt": "0 cat\n1  dog\n2 no\n3 10\n",
    "rows.txt": "0,cat\n1, dog\n2,no\n3,10",
    "behind.txt": "cat 0\r\ndog 1\r\nno 2\r\n10 3\r\n",
    "behind_tabs.txt": "dog\t1\ncat\t0\nno\t2\n10\t3\n",
    "coco.json": json.dumps(
        {
            "images": [{"id": 7, "file_name": "7.jpg"}],
            "categories": [{"supercategory": "x", "id": index, "name": name} for index, name in enumerate(NAMES)][::-1],
        }
    ),
    "records.yaml": "- {id: 1, name: dog}\n- {id: 0, name: cat}\n- {id: 2, name: no}\n- {id: 3, name: '10'}\n",
    "windows.json": json.dumps({"cat": 0, "dog": 1, "no": 2, "10": 3}, indent=2).replace("\n", "\r\n"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_every_file_says_the_same(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(TEXTS[name].encode())
    assert read_classes(tmp_path / name) == NAMES


@pytest.mark.parametrize(
    "text",
    [
        "sea: horse\ncat",
        "room 0\nroom 1",
        "0 - zero\n1 - one",
        "1 cat\n2 dog",
        "A320\nBoeing 747",
        "7 Up\n0 Cola",
        "yes\nno\nnull\n~",
        "-1\n-2",
        "[unk]\ncat",
        "0\n1\n10\n2",
        "a: b\nc: d",
    ],
)
def test_names_that_only_look_like_a_document_are_names(tmp_path: Path, text: str) -> None:
    (tmp_path / "names.txt").write_text(text)
    assert read_classes(tmp_path / "names.txt") == tuple(text.split("\n"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 0, "b": 0}', "index 0 to 'a' and to 'b'"),
        ('{"a": 0, "b": 2}', "2 classes, and none of them has the index 1"),
        ('{"a": 1, "b": 2}', "none of them has the index 0"),
        ('{"a": -1, "b": 0}', "none of them has the index 1"),
        ('{"0": "a", "2": "b"}', "none of them has the index 1"),
        ('{"0": "a", "1": "a"}', "'a' twice"),
        ('{"0": "a", "0": "b"}', "index 0 to 'a' and to 'b'"),
        ('["a", "b", "a"]', "'a' twice, on places 1 and 3"),
        ('["a", null]', "None where a class's name is wanted"),
        ('["a", 1.5]', "1.5 where"),
        (
            '{"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]}',
            "categories in .* 2 classes, .*the index 0",
        ),
        (
            '{"categories": [{"id": 0, "name": "a"}, {"id": 2, "name": "b"}]}',
            "none of them has the index 1; give the ind",
        ),
        ('[{"id": 0, "name": "a"}, {"id": 0, "name": "b"}]', "index 0 to 'a' and to 'b'"),
        ('[{"id": 0, "name": "a"}, {"name": "b"}]', "a mapping where"),
        ('[{"id": 0, "name": {"en": "a"}}]', "a mapping where"),
        ('["a", {"b": 1}]', "a mapping where"),
        ('["a", ""]', "no name on place 2"),
        ('{"a": "b", "c": "d"}', "maps 'a' to 'b', where either all keys or all values must be the class's index"),
        ('{"names": {"0": "0", "-99999": "1"}}', "maps '-99999' to '1', where either all keys"),
        ('{"0": "a", "b": "c"}', "maps 'b' to 'c' and '0' to 'a', where"),
        ('{"0": "a", "b": 1}', "maps 'b' to 1 and '0' to 'a', where"),
        ('["a\\ud800"]', "which is no text"),
        ('{"a": true, "b": false}', "must be the class's index"),
        ("{}", "is empty"),
        ("[]", "is empty"),
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ("names: &a [x]\nmore: [*a, *a]\n", "alias"),
        ("a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\nnames: *b\n", "alias"),
        ("names: [a, b\n", "cannot be read as JSON or YAML"),
        ("names: 7\n", "has the index 0"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "names.txt").write_text(text)
    with pytest.raises(UsageError, match=said) as error:
        read_classes(tmp_path / "names.txt")
    assert "names.txt" in str(error.value)


def test_a_file_of_any_size_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.txt").open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(UsageError, match="larger than 16 MiB"):
        read_classes(tmp_path / "huge.txt")


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({str(index): pair for index, pair in enumerate(PAIRS)}),
        json.dumps(PAIRS),
        "".join(f"{synset} {word}\n" for synset, word in PAIRS),
    ],
)
def test_synset_and_word_both_name_a_class(
    tmp_path: Path, write_zip: Callable[..., Path], picture: Callable[..., bytes], text: str
) -> None:
    (tmp_path / "index.json.txt").write_text(text)
    classes = read_classes(tmp_path / "index.json.txt")
    assert classes == ("n00000001", "n00000002", "n00000003", "n00000004")
    for folders in (["n00000002", "n00000001"], ["dog", "cat"], ["dog", "n00000001"]):
        data = write_zip({f"{name}/{number}.png": picture(number) for number, name in enumerate(folders)})
        source = open_data(data, preprocessing=RAW, classes=classes)
        by_file = {source.entry(row).split("'")[1][-5]: int(source.labels[row]) for row in range(2)}
        assert by_file == {"0": 1, "1": 0}
        source.check_outputs(4)
    data = write_zip({"crane/0.png": picture(0)})
    with pytest.raises(DataError, match=r"'crane'.*is not in the class list"):
        open_data(data, preprocessing=RAW, classes=classes)
    mapped = open_data(data, preprocessing=RAW, classes=classes, class_map={"crane": "dog"})
    assert mapped.labels.tolist() == [1]


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ('{"0": ["n1", "tench"], "1": ["n2", "shark"]}', {"n1": 0, "tench": 0, "n2": 1, "shark": 1}),
        ('{"classes": 2, "class_to_idx": {"kitty": 1, "doggy": 0}}', {"kitty": 1, "doggy": 0}),
    ],
)
def test_a_class_map_may_be_such_a_file(tmp_path: Path, text: str, same: dict[str, int]) -> None:
    (tmp_path / "map.json").write_text(text)
    assert read_class_map(tmp_path / "map.json") == same


def test_a_mapping_of_python_is_a_class_list(write_zip: Callable[..., Path], picture: Callable[..., bytes]) -> None:
    data = write_zip({"cat/0.png": picture(0), "dog/1.png": picture(1)})
    source = open_data(data, preprocessing=RAW, classes={"dog": 0, "bee": 1, "cat": 2})
    assert source.labels.tolist() == [2, 0]
    with pytest.raises(UsageError, match="index 0 to 'cat' and to 'dog'"):
        open_data(data, preprocessing=RAW, classes={"cat": 0, "dog": 0})


def test_a_class_map_with_an_alias_is_refused(tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text("a: &x cat\nb: *x\n")
    with pytest.raises(UsageError, match="alias"):
        read_class_map(tmp_path / "map.yaml")


NUMBERED = {
    "id2label.json": '{"id2label": {"0": "0", "1": "1", "2": 10, "3": "2"}}',
    "names.yaml": "names:\n  0: 0\n  1: 1\n  2: 10\n  3: 2\n",
    "idx_to_class.yaml": "idx_to_class: {0: 0, 1: 1, 2: 10, 3: 2}",
    "label2id.json": '{"label2id": {"0": "0", "1": "1", "10": "2", "2": "3"}}',
    "class_to_idx.yaml": "class_to_idx: {0: 0, 1: 1, 10: 2, 2: 3}",
    "bare.json": '{"0": 0, "1": 1, "10": 2, "2": 3}',
}


@pytest.mark.parametrize("name", NUMBERED)
def test_of_names_that_are_numbers_the_field_says_which_are_indexes(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(NUMBERED[name])
    assert read_classes(tmp_path / name) == ("0", "1", "10", "2")


@pytest.mark.parametrize(
    "text", ["0: 0\n1: 1\n2: 10\n3: 2\n", "0 1\n1 2\n2 0\n", '{"0": "0", "1": "1", "10": "2", "2": "3"}']
)
def test_numbers_for_numbers_are_refused_where_nothing_says_which_are_names(tmp_path: Path, text: str) -> None:
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(UsageError, match="which are names and which are indexes"):
        read_classes(tmp_path / "classes.txt")
