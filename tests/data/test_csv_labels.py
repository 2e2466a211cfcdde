"""Columns of labels in a manifest: one of them, or several that must say the same."""

from collections.abc import Callable
from pathlib import Path

import pytest

from calibrate.data import Source, open_data
from calibrate.errors import DataError
from calibrate.recipe import Preprocessing

Open = Callable[..., Source]


@pytest.fixture
def opened(write_folder: Callable[..., Path], picture: Callable[..., bytes]) -> Open:
    """Open a manifest of six images, with the given columns by header."""
    root = write_folder({f"{number}.png": picture(number) for number in range(6)})

    def open_manifest(classes: list[str] | None = None, **columns: str) -> Source:
        rows = zip(*(text.split() for text in columns.values()), strict=True)
        lines = [f"{number}.png,{','.join(row)}" for number, row in enumerate(rows)]
        (root / "list.csv").write_text("\n".join([",".join(["filepaths", *columns]).replace("_", " "), *lines]))
        return open_data(root / "list.csv", preprocessing=Preprocessing(), classes=classes)

    return open_manifest


WORDS, NUMBERS = "fox ant dog ant fox dog", "0 2 1 2 0 1"


@pytest.mark.parametrize("first", ["labels", "class_id"])
@pytest.mark.parametrize("name", ["labels", "label", "category"])
def test_a_column_of_names_and_one_of_indices_are_both_used(opened: Open, first: str, name: str) -> None:
    columns = {name: WORDS, "class_id": NUMBERS}
    source = opened(**dict(sorted(columns.items(), reverse=first == "labels")))
    assert source.labels.tolist() == [int(number) for number in NUMBERS.split()]
    assert source.class_names == ("fox", "dog", "ant")
    assert "labels-in-two-columns" in {item.code for item in source.findings}
    assert "columns-unused" not in {item.code for item in source.findings}


def test_indices_that_leave_some_out_have_no_names(opened: Open) -> None:
    source = opened(labels=WORDS, class_id="5 2 1 2 5 1")
    assert (source.labels.tolist(), source.class_names) == ([5, 2, 1, 2, 5, 1], None)


def test_with_a_class_list_the_names_in_it_count(opened: Open) -> None:
    source = opened(["ant", "dog", "fox"], class_id=NUMBERS, labels=WORDS)
    assert source.labels.tolist() == [2, 0, 1, 0, 2, 1]
    assert opened(["a", "b", "c"], class_id=NUMBERS, labels="0 2 1 2 0 1").labels.tolist() == [0, 2, 1, 2, 0, 1]


@pytest.mark.parametrize(
    ("one", "other"),
    [(WORDS, "0 2 1 2 0 0"), (WORDS, "0 2 1 2 3 1"), (NUMBERS, "1 3 2 3 1 2"), (WORDS, "a b c b a a")],
)
def test_columns_that_differ_are_refused_but_for_that_called_label(opened: Open, one: str, other: str) -> None:
    with pytest.raises(
        DataError,
        match=r"'class' and 'target' of .* not tell the same classes apart \(line \d: .*Call that to read label",
    ):
        opened(**{"class": one, "target": other})
    source, alone = opened(label=one, target=other), opened(label=one)
    assert (source.labels.tolist(), source.class_names) == (alone.labels.tolist(), alone.class_names)
    assert [item.code for item in source.findings] == ["columns-taken", "columns-unused"]


def test_two_columns_of_the_same_are_one(opened: Open) -> None:
    for column in (WORDS, NUMBERS):
        source, alone = opened(labels=column, target=column), opened(labels=column)
        assert (source.labels.tolist(), source.class_names) == (alone.labels.tolist(), alone.class_names)
