"""How the reports tell of a shift: both numbers beside their bands, the layers furthest off, the next move."""

import pytest

from calibrate import Summary, render_html, render_markdown, render_text
from calibrate.steps import FieldShift
from tests.samples import field_shift, summary


@pytest.mark.parametrize("render", [render_text, render_markdown, render_html])
def test_numbers_bands_and_the_next_move_are_in_every_format(render: object) -> None:
    told = summary(outcomes=(field_shift(),))
    text = " ".join(render(told).split())  # type: ignore[operator]
    for said in ("70 examples have shifted", "0.31", "0.12", "bn2", "64 examples of the same kind", "recipe quick"):
        assert said in text
    assert Summary.model_validate_json(told.model_dump_json()).shifted is True


def test_the_number_that_left_its_band_stands_out_and_the_furthest_layers_come_first() -> None:
    (section,) = field_shift().sections()
    assert section.table is not None
    assert [row.cells[0].strong for row in section.table.rows] == [True, False]
    assert section.points == ("bn2: 0.42", "bn1: 0.2")
    assert section.tone == "bad"


def test_no_shift_names_no_recipe() -> None:
    calm = field_shift(shift=0.1, shifted=False, recipe=None)
    (section,) = calm.sections()
    assert section.tone == "good"
    assert "show no shift" in calm.words()
    assert "afternorm calibrate" not in calm.words()


def test_another_preprocessing_is_said_and_where_it_is_proven_to_be_wrong_it_is_the_next_move() -> None:
    found: FieldShift = field_shift(prepared_otherwise=True, recipe=None, preprocessing="auto")
    assert "prepared otherwise than the reference's data" in found.words()
    assert found.words().endswith("give --preprocessing auto")
