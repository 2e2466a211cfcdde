"""The leaderboard in reports: every number, what is recommended and how to have it, and no markup from outside."""

import json

import pytest

from calibrate.page.section import Section
from calibrate.recipe import PRESETS, Recipe
from calibrate.report import render_html, render_markdown, render_text
from calibrate.result import Summary
from calibrate.steps import Leaderboard, LeaderboardRow
from calibrate.values import Estimate
from tests import samples
from tests.report.reading import flat, read
from tests.samples import holdout_scores, leaderboard, serving, summary


def searched(**changed: object) -> Summary:
    outcomes = samples.outcomes(leaderboard(**changed), search=None)
    return summary(recipe=PRESETS["auto"], outcomes=outcomes, serving=(serving(),))


def sections(**changed: object) -> tuple[Section, ...]:
    return leaderboard(**changed).sections()


def lines(text: str, label: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.startswith(label)]


def test_a_run_without_a_search_has_no_leaderboard() -> None:
    assert "Leaderboard" not in render_text(summary())


def test_every_candidate_has_its_numbers_and_the_recommended_one_is_marked() -> None:
    text = render_text(searched())
    places, costs = lines(text, "re-estimated ←")
    assert places[-1] == "0.012"
    against = holdout_scores().against_t
    assert f"{100 * against['top1'].value:+.2f}" in places
    assert f"{against['nll'].value:+.4f}" in places
    assert costs[-2:] == ["2.5", "folded"]
    (alpha,) = [row for row in lines(text, "α ") if "4.75" in row]
    assert alpha[-2:] == ["4.75", "α"]
    assert "γ and β: not tried (about 26 passes, and 20 were left)." in text
    assert "On 64 examples first: 2 candidates, of which went on: α." in text


def test_graphs_are_served_at_a_size_and_a_latency_which_may_be_absent() -> None:
    run = searched()
    assert ["α", "1.23", "1.08"] in lines(render_text(run), "α ")
    for seen in read(run).values():
        words = seen.words[seen.words.index("Size and latency of the ONNX graphs") :]
        for said in ("over those of the folded original network", "1.23", "1.08", "[1.06, 1.09]"):
            assert said in words
    untimed = run.model_copy(update={"serving": (serving().model_copy(update={"latency": ()}),)})
    assert ["α", "1.23", "absent"] in lines(render_text(untimed), "α ")
    for seen in read(run.model_copy(update={"serving": ()})).values():
        assert "Serving" not in seen.headings


def test_what_is_recommended_comes_with_its_recipe() -> None:
    words = sections()[0].words[0]
    assert words.startswith("Recommended: re-estimated.")
    _, _, recipe = words.partition("Alone it is the recipe ")
    assert Recipe.model_validate(json.loads(recipe.removesuffix("."))) == PRESETS["adabn"]


def test_where_nothing_is_recommended_that_comes_first() -> None:
    first, _ = sections(recommended=None, recipe=None, reason="nothing beats T")
    assert first.words[0] == "Nothing is recommended: nothing beats T."
    assert "←" not in render_text(searched(recommended=None, recipe=None))


def test_the_smallest_difference_that_would_show_is_the_median_over_candidates() -> None:
    assert "2.22 points of top-1 or 0.0111 of NLL" in flat(render_text(searched()))


def test_a_guardrail_shows_what_each_candidate_costs_on_the_data_as_they_are() -> None:
    clean = Estimate(value=-0.0321, low=-0.05, high=-0.01)
    rows = (
        *leaderboard().rows[:2],
        LeaderboardRow(name="α", state="measured", holdout=holdout_scores(clean=clean)),
    )
    domains = ("C-style fog 3",)
    shifted = samples.measurement().model_copy(update={"domains": domains})
    board = leaderboard(rows=rows, guardrail=0.01, domains=domains)
    run = summary(outcomes=samples.outcomes(board, search=None, measurement=shifted))
    text = flat(render_text(run))
    assert "at most 1.00 points of top-1 may be lost" in text
    assert "α -3.21 [-5.00, -1.00]" in text
    assert "1 domain: C-style fog 3." in text
    assert "Measured on the examples shifted: C-style fog 3." in text
    assert "Scores on the holdout half (n = 25,000, C-style fog 3)" in text


def test_no_line_passes_the_width() -> None:
    assert max(map(len, render_text(searched()).splitlines())) <= 100


def test_all_formats_show_the_same_numbers_and_html_the_figure() -> None:
    run = searched()
    for form, seen in read(run).items():
        for section in sections():
            assert section.title in seen.headings
            assert section.table is not None
            for cell in (cell for row in section.table.rows for cell in row.cells):
                assert cell.value in seen.words
                assert cell.interval in seen.words
        assert ("NLL minus T's (less is better)" in seen.words) is (form == "html")


@pytest.mark.parametrize("name", ["<script>x</script>", "a|b", "$x^2$", "\x1b[31m"])
def test_a_candidate_s_name_is_never_markup(name: str) -> None:
    renamed = tuple(
        item.model_copy(update={"name": name}) if item.name == "re-estimated" else item for item in leaderboard().rows
    )
    run = searched(rows=renamed, recommended=name, chosen=name, reason=name)
    html = render_html(run)
    assert "<script>x" not in html
    assert "\x1b" not in html + render_text(run) + render_markdown(run)


def test_a_board_of_the_baselines_alone_is_shown() -> None:
    alone = leaderboard().rows[:2]
    run = searched(rows=alone, chosen="original", recommended=None, recipe=None, reason="nothing was tried", rungs=())
    (board,) = run.of(Leaderboard)
    assert board.sections()[0].figure is None
    assert "nothing was tried" in render_html(run)
    assert "no difference to be seen" in flat(render_text(run))
