"""The README's table of gains against the cells that it is made of, and how cells are measured."""

from dataclasses import dataclass, field
from fnmatch import fnmatch
from itertools import product
from pathlib import Path

import pytest
from torch import nn

from calibrate import open_data
from calibrate.data import Source
from calibrate.steps.measure.verdict import verdict_of
from calibrate.values import Estimate
from tests.benchmarks.gains import (
    FOLDER,
    README,
    RECIPES,
    ROWS,
    Cell,
    Row,
    measure,
    read_cells,
    shown,
    table,
    with_table,
)
from tests.builders.examples import examples, trained
from tests.builders.published import PUBLISHED

MEASURE = "run `python -m tests.benchmarks.gains` with ../shared; it measures what is missing and writes the table"


#: Cells that are not measured yet, as patterns of their files; take out what is.
OPEN: tuple[str, ...] = ("efficientnet-lite*", "*.affine.json", "*.auto-20.json")


def test_every_row_and_recipe_has_its_cell_and_no_other_is_kept() -> None:
    wanted = {f"{row.name}.{name}.json" for row in ROWS for name, way in RECIPES.items() if way.is_for(row)}
    kept = {path.name for path in FOLDER.iterdir()}
    assert kept <= wanted, MEASURE
    missing = {name for name in wanted - kept if not any(fnmatch(name, pattern) for pattern in OPEN)}
    assert missing == set(), MEASURE
    cells = read_cells(FOLDER)
    assert {f"{row}.{recipe}.json" for row, recipe in cells} == kept
    of_other_recipes = {
        (cell.row, cell.recipe) for cell in cells.values() if cell.recipe_digest != RECIPES[cell.recipe].recipe.digest
    }
    assert of_other_recipes == set(), f"measured with what is no longer the recipe; remove these files, and {MEASURE}"


def test_the_readme_shows_what_the_cells_say() -> None:
    page = README.read_text(encoding="utf-8")
    assert with_table(page, table(read_cells(FOLDER), shown())) == page, MEASURE


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_cells_of_a_row_are_of_the_same_network_and_images(row: Row) -> None:
    cells = [cell for cell in read_cells(FOLDER).values() if cell.row == row.name]
    assert len({(cell.model, cell.data, cell.n, cell.batch_size) for cell in cells}) <= 1
    for metric in ("top1", "nll"):
        assert len({round(cell.scores["T"][metric].value, 5) for cell in cells}) <= 1  # type: ignore[index]
    for cell in cells:
        assert cell.verdict == (verdict_of(cell.against_t, cell.n) if cell.against_t else None)
        if cell.against_t:
            tuned = next(arm for arm in cell.scores if arm in ("alpha+T", "tuned+T"))
            for metric, change in cell.against_t.items():
                of_means = cell.scores[tuned][metric].value - cell.scores["T"][metric].value
                assert change.value == pytest.approx(of_means, abs=1e-9)
                assert change.low <= change.value <= change.high


def test_the_rows_are_of_different_images() -> None:
    cells = read_cells(FOLDER).values()
    assert len({(cell.model, cell.data) for cell in cells}) == len({cell.row for cell in cells})
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("recipe", RECIPES)
def test_another_number_in_a_cell_is_another_table(recipe: str) -> None:
    cells, columns = read_cells(FOLDER), list(RECIPES)
    before = table(cells, columns)
    measured = [key for key in cells if key[1] == recipe]
    assert measured or f"*.{recipe}.json" in OPEN
    for key in measured:
        cell = cells[key]
        other = Estimate(value=0.25, low=0.125, high=0.5)
        if cell.chosen is not None and cell.against_t is None:
            changed = cell.model_copy(update={"recommended": None if cell.recommended else "T"})
        elif cell.against_t is None:
            changed = cell.model_copy(update={"scores": {"T": {"top1": other, "nll": other}}})
        else:
            changed = cell.model_copy(update={"against_t": cell.against_t | {"nll": other}, "verdict": "worse"})
        assert table({**cells, key: changed}, columns) != before
    assert "not measured" in table({key: cell for key, cell in cells.items() if key[1] != recipe}, columns)


def test_a_recipe_of_some_rows_has_no_place_on_others() -> None:
    lines = table({}, ["temperature", "auto-20"]).splitlines()[2:]
    assert [line.endswith("| not measured |") for line in lines] == [row.corruption in (None, "fog") for row in ROWS]


def test_a_page_without_its_markers_is_refused() -> None:
    with pytest.raises(AssertionError, match="no line <!-- gains: begin"):
        with_table("a page\n", "a table")
    with pytest.raises(AssertionError, match="no line <!-- gains: end"):
        with_table("a page\n<!-- gains: begin -->\n", "a table")


@dataclass(frozen=True)
class Toy(Row):
    """A small network and its examples; says how often it was opened, and may not be opened at all."""

    opened: list[str] = field(default_factory=list)
    obstacle: BaseException | None = None

    def open(self, shared: Path) -> tuple[nn.Module, Source]:
        self.opened.append(self.name)
        if self.obstacle:
            raise self.obstacle
        return trained(), open_data(examples(), preprocessing=None, classes=None)


def test_an_interrupted_measurement_goes_on_where_it_was(tmp_path: Path) -> None:
    folder, trials = tmp_path / "cells", tmp_path / "trials"
    network, opened = PUBLISHED["resnet20"], list[str]()
    first = Toy(network, "first", opened=opened)
    stopped, second = (Toy(network, "second", opened=opened, obstacle=end) for end in (KeyboardInterrupt(), None))
    with pytest.raises(KeyboardInterrupt):
        measure([first, stopped], ["temperature"], folder, tmp_path, trials)
    assert [path.name for path in folder.iterdir()] == ["first.temperature.json"]
    before = (folder / "first.temperature.json").read_bytes()

    measure([first, second], ["temperature", "reestimated"], folder, tmp_path, trials)
    cells = read_cells(folder)
    assert set(cells) == set(product(["first", "second"], ["temperature", "reestimated"]))
    assert (folder / "first.temperature.json").read_bytes() == before
    tuned = cells["second", "reestimated"]
    assert tuned == Cell.model_validate_json((folder / "second.reestimated.json").read_bytes())
    assert tuned.n == 45
    assert tuned.against_t is not None
    assert tuned.verdict == verdict_of(tuned.against_t, tuned.n)

    opened.clear()
    measure([first, second], ["temperature", "reestimated"], folder, tmp_path, trials)
    assert opened == []
    measure([first], ["temperature"], folder, tmp_path, trials, again=True)
    assert opened == ["first"]


def test_recipes_of_a_row_share_their_passes_and_give_what_they_give_alone(tmp_path: Path) -> None:
    (row,) = rows = [Toy(PUBLISHED["resnet20"], "first")]
    names = ["statistics", "statistics-alpha"]
    measure(rows, names, tmp_path / "together", tmp_path, tmp_path / "trials")
    for name in names:
        measure(rows, [name], tmp_path / "alone", tmp_path, tmp_path / name)
    together, alone = (read_cells(tmp_path / folder) for folder in ("together", "alone"))
    made = [{path.name for path in (tmp_path / folder / row.name).rglob("*.safetensors")} for folder in names]
    assert made[0] & made[1]
    assert {path.name for path in (tmp_path / "trials").rglob("*.safetensors")} == made[0] | made[1]
    for key, cell in together.items():
        assert cell.model_copy(update={"seconds": 0.0}) == alone[key].model_copy(update={"seconds": 0.0})
        assert cell.mix is not None
