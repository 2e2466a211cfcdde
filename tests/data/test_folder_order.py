"""Classes without a list: numbers in natural order, all else as text, and what is said where the two differ."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrate.data import open_data
from calibrate.data.folder_order import order_classes
from calibrate.recipe import Preprocessing

RAW = Preprocessing()


@given(st.sets(st.integers(0, 300), min_size=1))
def test_numbers_are_in_the_order_of_their_values(numbers: set[int]) -> None:
    order = order_classes([str(number) for number in numbers], "data")
    assert [int(name) for name in order.names] == sorted(numbers)
    as_text = tuple(sorted(map(str, numbers)))
    assert order.other == (None if as_text == order.names else as_text)
    assert [item.code for item in order.findings] == ["classes-by-number"] * (as_text != order.names)


@given(st.sets(st.floats(-50, 50).map(lambda value: round(value, 2)), min_size=1))
def test_signed_and_decimal_numbers_too(numbers: set[float]) -> None:
    order = order_classes([str(number) for number in numbers], "data")
    assert [float(name) for name in order.names] == sorted(numbers)


@given(st.sets(st.text("ab01", min_size=1), min_size=1))
def test_other_names_are_sorted_as_text(names: set[str]) -> None:
    if not all(name.isdecimal() for name in names):
        assert order_classes(names, "data").names == tuple(sorted(names))


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["0", "1", "10", "2"], "classes-by-number"),
        (["1", "05", "10"], "classes-by-number"),
        (["00", "01", "10"], None),
        (["0", "1", "2"], None),
        (["class_1", "class_2", "class_10"], "classes-as-text"),
        (["c9", "c10"], "classes-as-text"),
        (["9kg", "10kg"], "classes-as-text"),
        (["class_01", "class_10"], None),
        (["c9", "d10"], None),
        (["1", "10", "2", "other"], "classes-as-text"),
        (["background", *map(str, range(1, 12))], "classes-as-text"),
        (
            [f"{number}_{word}" for number, word in enumerate("zyxwvutsrqp")],
            "classes-as-text",
        ),
        (["c1", "C2"], "classes-as-text"),
        (["a2b10", "a2b9"], "classes-as-text"),
        (["cat", "dog"], None),
        (["NORMAL", "bacteria"], None),
        (["c1", "c2", "d1"], None),
        (["vgg16", "resnet50"], None),
        (["-1", "0", "1", "10", "2"], "classes-by-number"),
        (["-1", "-2", "0"], "classes-by-number"),
        (["-1", "0", "1"], None),
        (["0.0", "0.5", "10.0", "2.0"], "classes-by-number"),
        (["0.0", "0.5", "1.0"], None),
        (["9" * 5000, "1" + "0" * 5000], "classes-by-number"),
        (["c" + "9" * 5000, "c1" + "0" * 5000], "classes-as-text"),
    ],
)
def test_what_is_said(names: list[str], code: str | None) -> None:
    order = order_classes(names, "my data")
    assert [item.code for item in order.findings] == ([] if code is None else [code])
    for item in order.findings:
        assert item.severity == "warning"
        assert "my data" in item.message
        assert "--classes" in item.message
        assert order.other is not None
        pairs = enumerate(zip(order.names, order.other, strict=True))
        first = next(place for place, (one, other) in pairs if one != other)
        for shown in (order.names, order.other):
            assert shown[first][:40] in item.message
        assert len(item.message) < 1000


@pytest.mark.parametrize("top", ["", "images/"])
def test_folders_and_the_way_to_the_other_order(
    write_zip: Callable[..., Path], picture: Callable[..., bytes], top: str
) -> None:
    data = write_zip({f"{top}{number}/{number:02}.png": picture(number) for number in range(12)})
    natural = open_data(data, preprocessing=RAW)
    numbers = [int(natural.entry(row).split("'")[1].split("/")[-1][:2]) for row in range(12)]
    assert natural.labels.tolist() == numbers
    assert [item.code for item in natural.findings] == ["classes-by-number"]
    as_text = open_data(data, preprocessing=RAW, classes=order_classes(natural.class_names, "data").other)
    assert [as_text.class_names[label] for label in as_text.labels] == [str(number) for number in numbers]
    assert as_text.labels.tolist() != numbers
    assert as_text.findings == ()
    assert natural.fingerprint != as_text.fingerprint


def test_names_in_a_manifest_are_ordered_alike(
    write_folder: Callable[..., Path], picture: Callable[..., bytes]
) -> None:
    root = write_folder({f"{number}.png": picture(number) for number in (1, 2, 10)})
    (root / "list.csv").write_text("path,label\n1.png,c1\n10.png,c10\n2.png,c2\n")
    source = open_data(root / "list.csv", preprocessing=RAW)
    assert source.class_names == ("c1", "c10", "c2")
    assert order_classes(source.class_names, "data").other == ("c1", "c2", "c10")
    assert [item.code for item in source.findings] == ["classes-as-text"]
