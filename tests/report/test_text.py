"""The text report: every number, nothing dropped in silence, fit for a terminal and a log."""

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrate.recipe import PRESETS
from calibrate.report import render_brief, render_text
from calibrate.report.verdict import verdict_sentence
from calibrate.result import Changes
from calibrate.steps import Difference, judge
from calibrate.values import Estimate
from tests import samples

ROOT = Path(__file__).parents[2]
PARTS = ["Scores", "Differences", "Verdict", "Chosen", "Findings", "Files", "How it was made"]


def headings(text: str) -> list[str]:
    return re.findall(r"^(.+)\n-+$", text, re.MULTILINE)


def test_every_score_and_difference_is_shown_with_its_interval() -> None:
    words = render_text(samples.summary())
    assert [number for number in samples.expected_numbers(samples.measurement()) if number not in words] == []


def test_rows_stand_in_the_order_of_the_arms_and_the_yardstick_leads_the_differences() -> None:
    lines = render_text(samples.summary()).splitlines()
    labels = [line.split()[0] for line in lines if re.match(r"(plain|T|alpha|alpha\+T) +[+-]?\d+\.\d\d ", line)]
    assert labels == ["plain", "T", "alpha", "alpha+T", "alpha+T", "T", "alpha", "alpha+T"]
    notes = [line.split()[1] for line in lines if line.startswith("minus ")]
    assert notes == ["T", "plain", "plain", "plain"]


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
        {"measurement": None, "verdict": None, "reasons": ()},
        {"search": None},
        {"artifacts": ()},
        {"findings": ()},
        {"measurement": samples.measurement(("plain", "T")), "verdict": None, "reasons": ()},
        {"measurement": samples.measurement(("plain",)), "verdict": None, "reasons": ()},
        {"changes": Changes(sites=(), temperature=1.0, temperature_folded_into=None)},
    ],
)
def test_no_part_is_ever_dropped_and_no_line_passes_the_width(changed: dict[str, object]) -> None:
    text = render_text(samples.summary(**changed))
    assert [heading.split(" on ")[0] for heading in headings(text)] == PARTS
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"measurement": None, "verdict": None, "reasons": ()}, "this run measured nothing"),
        ({"measurement": None, "verdict": None, "reasons": ()}, "Not measured"),
        ({"search": None}, "did not search for α"),
        ({"artifacts": ()}, "No files were written"),
        ({"findings": ()}, "None."),
        ({"measurement": samples.measurement(("plain", "T")), "verdict": None}, "No verdict"),
        ({"measurement": samples.measurement(("plain", "T")), "verdict": None}, "Absent: alpha+T minus T"),
        ({"measurement": samples.measurement(("plain",)), "verdict": None}, "no two arms"),
        ({"changes": Changes(sites=(), temperature=1.0, temperature_folded_into=None)}, "no normalisation layers"),
    ],
)
def test_what_is_absent_is_said(changed: dict[str, object], said: str) -> None:
    assert said not in render_text(samples.summary())
    assert said in render_text(samples.summary(**changed))


def test_a_missing_metric_is_called_absent() -> None:
    whole = samples.measurement(("plain",))
    metrics = {name: value for name, value in whole.arms[0].metrics.items() if name != "top5"}
    part = whole.model_copy(update={"arms": (whole.arms[0].model_copy(update={"metrics": metrics}),)})
    row = next(line for line in render_text(samples.summary(measurement=part)).splitlines() if line.startswith("plain"))
    assert row.split() == ["plain", "76.13", "absent", "0.9618", "0.0371", "0.3399"]


def test_few_classes_keep_top5_and_say_that_it_tells_nothing() -> None:
    model = samples.summary().model
    for outputs, warned in ((5, True), (6, False)):
        text = render_text(samples.summary(model=model.model_copy(update={"outputs": outputs})))
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
    verdict, reasons = judge(difference)
    measurement = samples.measurement().model_copy(update={"differences": (difference,)})
    sentence = verdict_sentence(samples.summary(measurement=measurement, verdict=verdict, reasons=reasons))
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
    difference = samples.difference("T", "plain").model_copy(
        update={"metrics": {**samples.difference("T", "plain").metrics, "top1": zero}}
    )
    measurement = samples.measurement(("plain", "T")).model_copy(update={"differences": (difference,)})
    assert "top-1 is the same" in verdict_sentence(samples.summary(measurement=measurement, verdict=None))


def test_a_kept_batch_normalisation_is_called_that() -> None:
    changes = samples.summary().changes.model_copy(update={"sites": samples.sites(3, None)})
    sentence = verdict_sentence(samples.summary(changes=changes))
    assert "with normalisation as it came and T = 1.151, against" in sentence


def test_the_sentence_gives_the_temperature_that_was_measured_and_says_when_the_network_lacks_it() -> None:
    lacking = samples.summary().changes.model_copy(update={"temperature": 1.0})
    with_t, without_t = verdict_sentence(samples.summary()), verdict_sentence(samples.summary(changes=lacking))
    assert "T = 1.151, against" in with_t
    assert "T = 1.151, against" in without_t
    assert "does not contain this T" in without_t
    assert "does not contain" not in with_t


def test_a_verdict_without_its_yardstick_gives_the_reasons_for_numbers() -> None:
    summary = samples.summary(
        measurement=samples.measurement(("plain", "T")), verdict="no evidence", reasons=("α = 0 stayed",)
    )
    assert verdict_sentence(summary) == "No evidence: α = 0 stayed."


@pytest.mark.parametrize(
    ("alpha", "words"), [(0.05, "α 0.05"), ((0.01, 0.2, 0.1), "α 0.01 to 0.2"), (None, "α none"), ((0.1, 0.1), "α 0.1")]
)
def test_sites_are_counted_by_what_was_done_to_them(alpha: float | tuple[float, ...] | None, words: str) -> None:
    sites = (*samples.sites(100, alpha), samples.sites(1, 0.3)[0].model_copy(update={"note": "tied"}))
    changes = Changes(sites=sites, temperature=1.0, temperature_folded_into=None)
    assert f"100 × BatchNorm2d: {words}; 1 × BatchNorm2d: α 0.3 (tied)" in render_text(samples.summary(changes=changes))


def test_files_come_with_parity_and_latency() -> None:
    text = render_text(samples.summary())
    for said in ("tuned.onnx", "102.2 MB", "cd" * 32, "3.1e-07", "4.3e-07 of the largest logit (noise)"):
        assert said in text
    for said in ("21.38 ms against 19.84 ms plain", "ratio 1.077 [1.061, 1.093]", "30 runs"):
        assert said in text


def test_a_network_file_without_checks_says_so() -> None:
    bare = [item.model_copy(update={"parity": (), "latency": ()}) for item in samples.artifacts()]
    text = render_text(samples.summary(artifacts=tuple(bare)))
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
    assert all(line.isprintable() and len(line) <= 100 for line in lines)


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
    text = render_text(samples.summary(search=samples.search().model_copy(update=changed)))
    assert said in " ".join(text.split())
