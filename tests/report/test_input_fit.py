"""How the reports tell of inputs that do not fit, and call a gain on them a repair."""

import pytest

from calibrate import Preprocessing, Summary, render_html, render_markdown, render_text
from calibrate.preprocessing import InputMap
from calibrate.report import BatchComparison, Compared
from calibrate.steps import InputFit, PreparationFit
from tests.samples import input_fit, summary


def test_a_repair_is_called_one_first_in_every_format_and_in_comparisons() -> None:
    repaired = summary(input_fit=input_fit())
    assert repaired.is_repair
    for made in (render_text(repaired), render_markdown(repaired), render_html(repaired)):
        text = " ".join(made.split())
        assert text.index("A repair, not a gain, because the inputs do not fit") < text.index("Improved: with")
    comparison = BatchComparison((Compared(("a", "b", "c"), summary=repaired),))
    assert "improved (repair)" in comparison.html()
    assert "A repair, not a gain" in comparison.text()


@pytest.mark.parametrize(
    "fit",
    [
        None,
        input_fit(misfits=False, better=None, proven=None),
        input_fit(taken=True),
        input_fit(proven=None),
    ],
    ids=["not checked", "fits", "taken", "not proven"],
)
def test_no_other_gain_is(fit: InputFit | None) -> None:
    assert not summary(input_fit=fit).is_repair
    assert "repair" not in render_text(summary(input_fit=fit))


def test_a_verdict_that_is_no_gain_is_no_repair() -> None:
    assert not summary(input_fit=input_fit(), verdict="no evidence").is_repair


def test_the_terminal_tells_of_a_misfit_and_leaves_a_fit_to_the_files() -> None:
    fits = summary(input_fit=input_fit(misfits=False, better=None, proven=None))
    assert "Input fit" not in render_text(fits, details=False)
    assert "Input fit" in render_text(fits)
    misfits = render_text(summary(input_fit=input_fit()), details=False)
    assert "Input fit" in misfits
    assert "88.00" in misfits


def words(**changed: object) -> str:
    return input_fit(**changed).words()


def test_the_words_name_the_scores_the_rule_and_the_next_move() -> None:
    proven = words()
    assert "88.00 %" in proven
    assert "77.60 %" in proven
    assert '"mean": [0.5, 0.5, 0.5]' in proven
    assert "--preprocessing auto" in proven
    assert "lower contrast" in words(proven=None)
    assert "took it" in words(taken=True)
    assert "6.3 % of the range" in words(used=0.0627)
    assert "behind 4 layers with weights" in words(behind=4)
    assert "as they are" in words(better="0–1")
    alone = {"better": None, "proven": None}
    of_images = Preprocessing(mean=(0.3, 0.31, 0.32), std=(0.1, 0.1, 0.1))
    undoing = PreparationFit(name="what would undo it", misfit=0.02, preprocessing=of_images)
    assert "mean of (0.3, 0.31, 0.32) and a std of (0.1, 0.1, 0.1)" in words(**alone, undoing=undoing)
    arrays = undoing.model_copy(update={"preprocessing": Preprocessing(arrays=InputMap(scale=(2.0,), shift=(-3.0,)))})
    assert "scale of (2) and a shift of (-3)" in words(**alone, undoing=arrays)
    assert "Find out" in words(**alone)


def test_a_summary_with_it_survives_json() -> None:
    whole = summary(input_fit=input_fit())
    assert Summary.model_validate_json(whole.model_dump_json()) == whole
