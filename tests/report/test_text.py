"""The text report: every number, nothing dropped in silence, fit for a terminal and a log."""

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrate.cli.auto_options import with_search
from calibrate.recipe import PRESETS, Recipe
from calibrate.report import render_brief, render_text
from calibrate.report.verdict import verdict_sentence
from calibrate.result import Changes
from calibrate.steps import Difference, Reestimate, judge
from calibrate.values import Estimate
from tests import samples
from tests.report.reading import flat

ROOT = Path(__file__).parents[2]


def test_every_score_and_difference_is_shown_with_its_interval() -> None:
    words = render_text(samples.summary())
    assert [number for number in samples.expected_numbers(samples.measurement()) if number not in words] == []


def test_rows_stand_in_the_order_of_the_arms_and_the_yardstick_leads_the_differences() -> None:
    lines = render_text(samples.summary()).splitlines()
    labels = [line.split()[0] for line in lines if re.match(r"(original|T|alpha|alpha\+T) +[+-]?\d+\.\d\d ", line)]
    assert labels == ["original", "T", "alpha", "alpha+T", "alpha+T", "T", "alpha", "alpha+T"]
    notes = [found[1] for line in lines if (found := re.match(r"(?:minus|−) (\S+) ", line))]
    assert notes == ["T", "original", "original", "original"]


def test_columns_stay_under_their_headings() -> None:
    lines = render_text(samples.summary()).splitlines()
    heads = [index for index, line in enumerate(lines) if "Brier" in line and "top-1" in line and "better" not in line]
    for head in heads:
        rows = list(itertools.takewhile(bool, lines[head:]))
        assert len({len(row) for row in rows}) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"outcomes": (), "verdict": None, "reasons": ()},
        {"outcomes": samples.outcomes(search=None)},
        {"artifacts": ()},
        {"findings": ()},
        {"outcomes": samples.outcomes(measurement=samples.measurement(("original", "T"))), "verdict": None},
        {"outcomes": samples.outcomes(measurement=samples.measurement(("original",))), "verdict": None},
        {"changes": Changes(sites=(), temperature=1.0, temperature_folded_into=None)},
        {"outcomes": samples.everything(), "serving": (samples.serving(),)},
    ],
)
def test_no_line_passes_the_width(changed: dict[str, object]) -> None:
    lines = render_text(samples.summary(**changed)).splitlines()
    assert [line for line in lines if len(line) > 100] == []


def test_a_missing_metric_is_called_absent() -> None:
    whole = samples.measurement(("original",))
    metrics = {name: value for name, value in whole.arms[0].metrics.items() if name != "top5"}
    part = whole.model_copy(update={"arms": (whole.arms[0].model_copy(update={"metrics": metrics}),)})
    text = render_text(samples.summary(outcomes=samples.outcomes(measurement=part)))
    row = next(line for line in text.splitlines() if line.startswith("original"))
    assert row.split() == ["original", "76.13", "absent", "0.9618", "0.0371", "0.3399"]


def test_few_classes_keep_top5_and_say_that_it_tells_nothing() -> None:
    for outputs, warned in ((1, True), (5, True), (6, False), (0, False)):
        few = samples.measurement().model_copy(update={"outputs": outputs})
        text = render_text(samples.summary(outcomes=samples.outcomes(measurement=few)))
        assert ("Top-5 tells nothing" in text) is warned
        assert "92.86" in text


GAP = {"below": (-0.02, -0.03, -0.01), "around": (-0.001, -0.01, 0.01), "above": (0.02, 0.01, 0.03)}


@pytest.mark.parametrize("nll", GAP)
@pytest.mark.parametrize("top1", GAP)
def test_the_sentence_opens_with_the_verdict_and_gives_each_direction(nll: str, top1: str) -> None:
    baseline = samples.difference("alpha+T", "T")
    metrics = {
        **baseline.metrics,
        **{
            name: Estimate(value=value, low=low, high=high)
            for name, (value, low, high) in (("nll", GAP[nll]), ("top1", GAP[top1]))
        },
    }
    difference = Difference(arm="alpha+T", baseline="T", metrics=metrics)
    verdict, reasons = judge(difference, samples.summary().data.holdout)
    measurement = samples.measurement().model_copy(update={"differences": (difference,)})
    outcomes = samples.outcomes(measurement=measurement)
    sentence = verdict_sentence(samples.summary(outcomes=outcomes, verdict=verdict, reasons=reasons))
    assert sentence.lower().startswith(f"{verdict}: with α = 0.05 and t = 1.151, against the temperature alone")
    numbers = {
        "below": {"NLL": "lower by 0.0200 [0.0100, 0.0300]", "top-1": "lower by 2.00 points [1.00, 3.00]"},
        "around": {
            "NLL": "unchanged within noise (-0.0010 [-0.0100, +0.0100])",
            "top-1": "unchanged within noise (-0.10 points [-1.00, +1.00])",
        },
        "above": {"NLL": "higher by 0.0200 [0.0100, 0.0300]", "top-1": "higher by 2.00 points [1.00, 3.00]"},
    }
    assert f"NLL is {numbers[nll]['NLL']} and top-1 is {numbers[top1]['top-1']}." in sentence


def test_equal_predictions_are_the_same_and_not_within_noise() -> None:
    zero = Estimate(value=0.0, low=0.0, high=0.0)
    difference = samples.difference("T", "original").model_copy(
        update={"metrics": {**samples.difference("T", "original").metrics, "top1": zero}}
    )
    measurement = samples.measurement(("original", "T")).model_copy(update={"differences": (difference,)})
    summary = samples.summary(outcomes=samples.outcomes(measurement=measurement), verdict=None)
    assert "top-1 is the same" in verdict_sentence(summary)


def test_a_kept_batch_normalisation_is_called_that() -> None:
    changes = samples.summary().changes.model_copy(update={"sites": samples.sites(3, None)})
    sentence = verdict_sentence(samples.summary(changes=changes))
    assert "with the original normalisation and T = 1.151, against" in sentence


def test_the_sentence_gives_the_temperature_that_was_measured_and_says_when_the_network_lacks_it() -> None:
    lacking = samples.summary().changes.model_copy(update={"temperature": 1.0})
    with_t, without_t = verdict_sentence(samples.summary()), verdict_sentence(samples.summary(changes=lacking))
    assert "T = 1.151, against" in with_t
    assert "T = 1.151, against" in without_t
    assert "does not contain this T" in without_t
    assert "does not contain" not in with_t


def test_a_verdict_without_its_yardstick_gives_the_reasons_for_numbers() -> None:
    outcomes = samples.outcomes(measurement=samples.measurement(("original", "T")))
    summary = samples.summary(outcomes=outcomes, verdict="no evidence", reasons=("α = 0 stayed",))
    assert verdict_sentence(summary) == "No evidence: α = 0 stayed."


@pytest.mark.parametrize(
    ("alpha", "words"), [(0.05, "α 0.05"), ((0.01, 0.2, 0.1), "α 0.01 to 0.2"), (None, "α none"), ((0.1, 0.1), "α 0.1")]
)
def test_sites_are_counted_by_what_was_done_to_them(alpha: float | tuple[float, ...] | None, words: str) -> None:
    sites = (*samples.sites(100, alpha), samples.sites(1, 0.3)[0].model_copy(update={"note": "tied"}))
    changes = Changes(sites=sites, temperature=1.0, temperature_folded_into=None)
    lines = render_text(samples.summary(changes=changes)).splitlines()
    first = lines.index(f"  - 100 × BatchNorm2d: {words}")
    assert lines[first + 1] == "  - 1 × BatchNorm2d: α 0.3 (tied)"


def test_files_come_with_parity_and_latency() -> None:
    text = flat(render_text(samples.summary()))
    for said in ("tuned.onnx", "102.2 MB", "cd" * 32, "3.1e-07", "4.3e-07 of the largest logit (noise)"):
        assert said in text
    for said in ("21.38 ms against 19.84 ms of the original", "ratio 1.077 [1.061, 1.093]", "30 runs"):
        assert said in text


def test_a_network_file_without_checks_says_so() -> None:
    bare = [item.model_copy(update={"parity": (), "latency": ()}) for item in samples.artifacts()]
    text = flat(render_text(samples.summary(artifacts=tuple(bare))))
    assert text.count("parity: absent") == 2
    assert text.count("latency: absent") == 1


def test_recipe_result_and_inputs_are_identified() -> None:
    summary = samples.summary()
    text = render_text(summary)
    for identity in (PRESETS["alpha"].digest, summary.digest, summary.model.fingerprint, summary.data.fingerprint):
        assert identity in text


def test_rendering_twice_gives_the_same_text() -> None:
    assert render_text(samples.summary()) == render_text(samples.summary())


@given(st.text(min_size=1, max_size=300))
@settings(deadline=None, max_examples=30)
def test_text_from_outside_can_neither_break_lines_nor_control_the_terminal(text: str) -> None:
    lines = render_text(samples.hostile(text)).split("\n")
    assert [line for line in lines if not line.isprintable()] == []


@pytest.mark.parametrize("text", ["x" * 300, "a layer " * 40, "features.denseblock3.denselayer12.norm2"])
def test_no_line_passes_the_width_however_long_the_names_are(text: str) -> None:
    lines = render_text(samples.hostile(text)).splitlines()
    assert [line for line in lines if len(line) > 100] == []


@pytest.mark.parametrize("text", [" ", "\n", "\t\u3000", "_"])
def test_blank_names_can_be_shown(text: str) -> None:
    assert "Verdict" in render_text(samples.hostile(text))


def test_long_and_dangerous_names_are_shown_and_spelled_out() -> None:
    assert "evil\\x1b[31m\\nname" in render_text(samples.hostile("evil\x1b[31m\nname"))
    wrapped = render_text(samples.hostile("x" * 300))
    assert "x" * 50 in wrapped


def test_importing_the_room_and_making_text_needs_neither_matplotlib_nor_jinja_nor_torch() -> None:
    program = (
        "import sys; from calibrate.report import render_html, render_text; from tests import samples; "
        "render_text(samples.summary()); print(*{'matplotlib', 'jinja2', 'torch', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_brief_report_is_part_of_the_whole_one_and_holds_the_verdict() -> None:
    summary = samples.summary()
    whole, brief = render_text(summary), render_brief(summary)
    heading, _, rest = brief.partition("\n")
    assert heading in whole
    for line in rest.splitlines()[1:]:
        assert line in whole.splitlines()
    assert "Verdict" in brief
    assert len(brief) < len(whole) / 2


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"passes": 1.0}, "(1 pass):"),
        ({"passes": 4.5625}, "(4.562 passes):"),
        (
            {"passes": 4.5, "curve": samples.search().points, "curve_passes": 7.5, "curve_error": 0.00042},
            "(4.5 passes, and 7.5 for the curve, whose interpolation was up to 0.00042 nats off where it was checked)",
        ),
        (
            {"passes": 4.5, "curve_passes": 8.0, "curve_error": 0.017},
            "(4.5 passes, and 8 for the curve, of which only true evaluations are shown: interpolated, it was up to "
            "0.017 nats off where it was checked)",
        ),
    ],
)
def test_the_cost_of_the_search_and_the_trust_in_its_curve_are_said(changed: dict[str, object], said: str) -> None:
    search = samples.search().model_copy(update=changed)
    assert said in flat(render_text(samples.summary(outcomes=samples.outcomes(search=search))))


@pytest.mark.parametrize(
    ("recipe", "called"),
    [
        (PRESETS["quick"].model_copy(update={"seed": 7}), "quick: auto (seed 7)"),
        (with_search(PRESETS["quick"], "20-passes", None, None), "quick: auto (seed 0)"),
        (PRESETS["auto"], "auto (seed 0)"),
        (PRESETS["adabn"], "adabn: reestimate, temperature, measure (seed 0)"),
        (Recipe(steps=(Reestimate(weight=0.5),)), "reestimate (seed 0)"),
    ],
)
def test_a_preset_is_called_by_its_name(recipe: Recipe, called: str) -> None:
    assert re.search(rf"recipe +{re.escape(called)}\n", render_text(samples.summary(recipe=recipe)))
