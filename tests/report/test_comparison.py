"""The comparison: the numbers of the summaries, in three files that say the same and load nothing."""

import csv
import io
import json

import pytest

from calibrate.report import BatchComparison, Compared
from calibrate.result import Changes
from tests import samples
from tests.report.test_html import LOADING, Page

PLAIN = ("plain", "T")


def sample() -> BatchComparison:
    """Runs that ended in every way."""
    changes = Changes(sites=samples.sites(2, alpha=None), temperature=1.19, temperature_folded_into="fc")
    only_t = samples.summary(measurement=samples.measurement(PLAIN), verdict=None, changes=changes, artifacts=())
    return BatchComparison(
        (
            Compared(("r50", "clean", "alpha"), samples.summary()),
            Compared(("r50", "clean", "T"), only_t),
            Compared(("r50", "far", "alpha"), samples.summary(measurement=None, verdict=None, reasons=())),
            Compared(("broken", "clean", "alpha"), error="the file ends <early>\x1b[31m"),
            Compared(("broken", "clean", "T")),
        )
    )


@pytest.fixture
def comparison() -> BatchComparison:
    return sample()


def test_json_and_csv_hold_the_numbers_of_the_summaries(comparison: BatchComparison) -> None:
    rows = json.loads(comparison.json())["runs"]
    first, second, unmeasured, failed, waiting = rows
    change = samples.difference("alpha+T", "T").metrics["nll"]
    assert (first["change_nll"], first["change_nll_low"], first["change_nll_high"]) == (
        change.value,
        change.low,
        change.high,
    )
    assert (first["top1_plain"], first["nll_t"], first["top1_alpha_t"]) == (0.76134, 0.93927, 0.76311)
    assert (first["alpha_low"], first["alpha_high"], first["temperature"]) == (0.05, 0.05, 1.1514)
    assert (first["latency_batch_size"], first["latency_ratio"], first["n"]) == (1, 1.0773, 25000)
    assert first["verdict"] == "improved"
    assert (second["alpha_low"], second["nll_alpha_t"], second["latency_ratio"]) == (None, None, None)
    assert (unmeasured["n"], unmeasured["temperature"]) == (None, 1.1514)
    assert [row["state"] for row in rows] == ["finished", "finished", "finished", "failed", "not run"]
    assert failed["error"] == "the file ends <early>\x1b[31m"
    assert {waiting[key] for key in waiting if key not in ("model", "dataset", "recipe", "state")} == {None}
    table = list(csv.DictReader(io.StringIO(comparison.csv())))
    assert table == [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows]


def test_the_page_shows_every_run_and_every_failure(comparison: BatchComparison) -> None:
    page = Page(comparison.html())
    table = page.text.partition("Verdicts")[0]
    for shown in ("76.13", "0.9393", f"{0.92385:.4f}", "-0.0154 [-0.0206, -0.0102]", "1.077 [1.061, 1.093] at batch 1"):
        assert shown in table
    assert page.values("scope").count("row") == 5
    failures = page.text.partition("Failures")[2]
    assert r"broken/clean/alphathe file ends <early>\x1b[31m" in failures
    assert "broken/clean/T" not in failures


def test_the_page_loads_nothing_and_runs_nothing(comparison: BatchComparison) -> None:
    html = comparison.html()
    page = Page(html)
    assert not {"script", "link", "img", "iframe", "object", "embed", "form", "base", "early"} & set(page.tags)
    assert [item for item in page.attributes if item[1] in LOADING or item[1].startswith("on")] == []
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in page.values("content")
    assert "http" not in html.replace("http-equiv", "")
    assert comparison.html() == html


def test_the_text_has_one_line_per_run(comparison: BatchComparison) -> None:
    lines = comparison.text().splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("r50/clean/alpha: Improved: ")
    assert lines[3] == r"broken/clean/alpha: failed: the file ends <early>\x1b[31m"
    assert lines[4] == "broken/clean/T: not run"
