"""The comparison: the numbers of the summaries, in three files that say the same and load nothing."""

import csv
import io
import json

import pytest

from calibrate.report import BatchComparison
from tests import samples
from tests.report.reading import LOADING, Page


@pytest.fixture
def comparison() -> BatchComparison:
    return samples.comparison()


def test_json_and_csv_hold_the_numbers_of_the_summaries(comparison: BatchComparison) -> None:
    rows = json.loads(comparison.json())["runs"]
    first, second, unmeasured, failed, waiting = rows
    change = samples.difference("alpha+T", "T").metrics["nll"]
    assert (first["change_nll"], first["change_nll_low"], first["change_nll_high"]) == (
        change.value,
        change.low,
        change.high,
    )
    assert (first["top1_original"], first["nll_t"], first["top1_alpha_t"]) == (0.76134, 0.93927, 0.76311)
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
    assert r"broken/clean/alpha the file ends <early>\x1b[31m" in failures
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


def test_no_runs_are_a_page_a_header_and_an_empty_list(comparison: BatchComparison) -> None:
    none = BatchComparison(())
    assert json.loads(none.json()) == {"version": 2, "runs": []}
    assert none.csv() == comparison.csv().partition("\n")[0] + "\n"
    assert list(csv.DictReader(io.StringIO(none.csv()))) == []
    page = Page(none.html())
    assert "Comparison of 0 runs" in page.text
    assert page.headings == Page(comparison.html()).headings
    assert "Absent: no run is finished." in page.text
    assert "row" not in page.values("scope")
    assert none.text().strip() == ""
