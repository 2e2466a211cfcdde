"""The leaderboard in reports: every number, what is recommended and how to have it, and no markup from outside."""

import pytest

from calibrate.recipe import PRESETS
from calibrate.report import render_html, render_markdown, render_text
from calibrate.report.leaderboard import leaderboard_sections
from calibrate.result import Summary
from calibrate.steps import LeaderboardRow
from calibrate.values import Estimate
from tests.samples import held_out, leaderboard, serving, summary


def searched(**changed: object) -> Summary:
    return summary(recipe=PRESETS["auto"], leaderboard=leaderboard(**changed), serving=(serving(),), search=None)


def lines(text: str, label: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.startswith(label)]


def test_a_run_without_a_search_has_no_leaderboard() -> None:
    assert leaderboard_sections(summary()) == ()
    assert "Leaderboard" not in render_text(summary())


def test_every_candidate_has_its_numbers_and_the_recommended_one_is_marked() -> None:
    text = render_text(searched())
    places, costs = lines(text, "re-estimated ←")
    assert places[-1] == "0.012"
    against = held_out().against_t
    assert f"{100 * against['top1'].value:+.2f}" in places
    assert f"{against['nll'].value:+.4f}" in places
    assert costs[-4:] == ["2.5", "yes", "1.00", "1.00"]
    (alpha,) = [row for row in lines(text, "α ") if "4.75" in row]
    assert alpha[-4:-1] == ["4.75", "no", "1.23"]
    assert alpha[-1] == f"{serving().latency[0].ratio:.2f}"
    assert "γ and β: not tried (about 26 passes, and 20 were left)." in text
    assert "On 64 examples first: 2 candidates, of which α went on." in text


def test_what_is_recommended_comes_with_its_recipe() -> None:
    words = leaderboard_sections(searched())[0].words[0]
    assert words.startswith("Recommended: re-estimated.")
    assert '"kind": "reestimate"' in words


def test_where_nothing_is_recommended_that_comes_first() -> None:
    sections = leaderboard_sections(searched(recommended=None, recipe=None, reason="nothing beats T"))
    assert sections[0].words[0] == "Nothing is recommended: nothing beats T."
    assert "←" not in render_text(searched(recommended=None, recipe=None))


def test_the_smallest_difference_that_would_show_is_the_median_over_candidates() -> None:
    assert "2.22 points of top-1 or 0.0111 of NLL" in render_text(searched()).replace("\n", " ")


def test_a_guardrail_shows_what_each_candidate_costs_on_the_data_as_they_are() -> None:
    clean = Estimate(value=-0.0321, low=-0.05, high=-0.01)
    standings = (
        *leaderboard().standings[:2],
        LeaderboardRow(name="α", state="measured", held_out=held_out(clean=clean)),
    )
    text = render_text(searched(standings=standings, guardrail=0.01, domains=("C-style fog 3",))).replace("\n", " ")
    assert "at most 1.00 points of top-1 may be lost" in text
    assert "α -3.21 [-5.00, -1.00]" in text
    assert text.count("C-style fog 3") >= 2


def test_no_line_passes_the_width() -> None:
    assert max(map(len, render_text(searched()).splitlines())) <= 100


def test_all_formats_show_the_same_numbers_and_html_the_figure() -> None:
    run = searched()
    html, markdown = render_html(run), render_markdown(run)
    assert 'id="leaderboard-' in html
    for section in leaderboard_sections(run):
        assert section.table is not None
        for cell in (cell for row in section.table.rows for cell in row.cells):
            assert cell.value in html
            assert cell.interval in html
        assert f"## {section.title}" in markdown


@pytest.mark.parametrize("name", ["<script>x</script>", "a|b", "$x^2$", "\x1b[31m"])
def test_a_candidate_s_name_is_never_markup(name: str) -> None:
    renamed = tuple(
        item.model_copy(update={"name": name}) if item.name == "re-estimated" else item
        for item in leaderboard().standings
    )
    run = searched(standings=renamed, recommended=name, chosen=name, reason=name)
    html = render_html(run)
    assert "<script>x" not in html
    assert "\x1b" not in html + render_text(run) + render_markdown(run)


def test_a_board_of_the_baselines_alone_is_shown() -> None:
    alone = leaderboard().standings[:2]
    run = searched(standings=alone, chosen="plain", recommended=None, recipe=None, reason="nothing was tried", rungs=())
    assert leaderboard_sections(run)[0].figure is None
    assert "nothing was tried" in render_html(run)
    assert "no difference to be seen" in render_text(run).replace("\n", " ")
