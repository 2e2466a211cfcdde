"""Pages of fine-tunings and comparisons: every number in every format, bold where it should be, nothing unescaped."""

import re
from functools import cache
from html import unescape
from typing import Any

import pytest

from calibrate.engine import fine_tune
from calibrate.recipe import FineTuning
from calibrate.report import compared_arms_page, fine_tuned_page
from calibrate.report.weights_plot import SHOWN, shown
from calibrate.result import ArmResult, ComparedArms, FineTuned, LayerHistogram, PairedTest
from tests.engine.test_fine_tune import examples, model_of


@cache
def fine_tuned() -> FineTuned:
    phases: list[dict[str, Any]] = [{"epochs": 2, "trainable": "head"}, {"epochs": 2}]
    document = {"phases": phases, "batch_size": 8, "histograms": "step", "validation": 0.2}
    return fine_tune(
        model_of(4), FineTuning.model_validate(document), data=examples(names=["<b>", "*x*", "c", "d"])
    ).result


def compared(p: float = 0.01) -> ComparedArms:
    one = fine_tuned()

    def arm(name: str, *top1: float) -> ArmResult:
        test = PairedTest(mean=0.015, t=9.0, p=p, significant=p < 0.05)
        return ArmResult(
            name=name,
            recipe=one.recipe,
            scores={"top1": top1, "nll": (0.5, 0.7)},
            means={"top1": sum(top1) / 2, "nll": 0.6},
            deviations={"top1": 0.01, "nll": 0.1},
            tests={}
            if name == "a"
            else {"top1": test, "nll": test.model_copy(update={"significant": False, "t": None})},
            results=("x", "y"),
        )

    return ComparedArms(
        baseline="a",
        level=0.05,
        seeds=(11, 22),
        arms=(arm("a", 0.5, 0.6), arm("b_c", 0.52, 0.61)),
        model=one.model,
        data=one.data,
        environment=one.environment,
        seconds=3.0,
    )


def test_the_course_and_the_scores_are_in_every_format() -> None:
    result, page = fine_tuned(), fine_tuned_page(fine_tuned())
    words = re.sub(r"<[^>]*>", " ", page.html())
    for text in (page.text(), page.markdown(), unescape(words)):
        for epoch in result.epochs:
            assert f"{epoch.loss:.4f}" in text
        for scores in result.measurement.arms:
            assert f"{100 * scores.metrics['top1'].value:.2f}" in text
        assert result.digest in text
    kept = result.epochs[result.best]
    assert kept.top1 is not None
    assert f"<strong>{100 * kept.top1:.2f}</strong>" in page.html()


def test_the_html_stands_alone_and_is_the_same_each_time() -> None:
    html = fine_tuned_page(fine_tuned()).html()
    assert html == fine_tuned_page(fine_tuned()).html()
    assert html.count("<svg ") == 2
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert "<script" not in html
    assert not re.search(r"(src|href)=\"(?!#|data:image/png)", html)


@pytest.mark.parametrize(("p", "bold"), [(0.01, True), (0.2, False)])
def test_what_is_significant_stands_out_in_each_format_and_nothing_else(p: float, bold: bool) -> None:
    page = compared_arms_page(compared(p))
    assert ("**56.50 ± 1.00**" in page.markdown()) == bold
    assert ("56.50 *" in page.text()) == bold
    assert ("<strong>56.50</strong>" in page.html()) == bold
    assert page.markdown().count("**") == 2 * bold
    assert page.html().count("<strong>") == bold
    assert "b\\_c" in page.markdown()
    assert "0.6100" not in page.text()
    assert f"{p:.3f}" in page.text()


def test_layers_are_drawn_from_the_first_to_the_last() -> None:
    layers = tuple(
        LayerHistogram(name=str(n), low=-1, high=1, counts=((1,),), variances=(0.5, 0.75, 0.25)) for n in range(30)
    )
    drawn = [layer.name for layer in shown(layers)]
    assert (len(drawn), drawn[0], drawn[-1]) == (SHOWN, "0", "29")
    assert [layer.name for layer in shown(layers[:3])] == ["0", "1", "2"]
    assert layers[0].variance_differences == (0.25, -0.5)
