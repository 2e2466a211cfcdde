"""Errors name the fields of who asked; every option that an error may name has its field."""

import re
from pathlib import Path

import pytest

import calibrate
from calibrate.errors import DataError, RecipeError
from calibrate.request import JOB, MANIFEST, Terms, in_terms, told_in

#: Rooms whose errors a batch's and a worker's children can tell of.
ROOMS = ("adapt", "data", "engine", "export", "io", "metrics", "search", "stats", "surgery")
#: Options that stay: a batch's own (--out), other commands' (--accept), and what an error quotes of other programs.
STAY = {"--out", "--trials", "--require", "--accept", "--reference", "--force-reinstall", "--no-deps"}


def named() -> set[str]:
    """The options that those rooms' texts name."""
    source = Path(calibrate.__file__).parent
    texts = [path.read_text() for room in ROOMS for path in (source / room).rglob("*.py")]
    return {option for text in texts for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", text)}


@pytest.mark.parametrize("terms", [MANIFEST, JOB], ids=["manifest", "job"])
def test_every_option_that_an_error_names_has_its_field(terms: Terms) -> None:
    assert {"--training-data", "--architecture"} <= named()
    assert named() - STAY <= {*terms}


def test_an_option_is_replaced_whole_or_not_at_all() -> None:
    text = "give --architecture-args, not --architecture; --data=d is --database, and a--data is neither"
    assert in_terms(text, MANIFEST) == (
        "give the model's `architecture_args`, not the model's `architecture`; the dataset's `data`=d is --database, "
        "and a--data is neither"
    )


def test_an_error_keeps_its_kind_and_its_fields() -> None:
    with pytest.raises(RecipeError) as caught, told_in(JOB):
        raise RecipeError("leave --training-data out", (("steps[0]", "x"),))
    assert str(caught.value) == "leave `training_dataset` out"
    assert caught.value.fields == (("steps[0]", "x"),)
    with pytest.raises(DataError, match="no option"), told_in(JOB):
        raise DataError("no option")
    with pytest.raises(ValueError, match="--data"), told_in(JOB):
        raise ValueError("--data")
