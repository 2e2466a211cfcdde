"""Pages of fine-tunings and comparisons: every number in every format, bold where it should be, nothing unescaped."""

import re
from functools import cache
from html import unescape
from typing import Any

import numpy as np
import pytest

from calibrate.engine import fine_tune
from calibrate.page.figure import Figure, Panel
from calibrate.recipe import FineTuning
from calibrate.report import compared_arms_page, fine_tuned_page
from calibrate.report.draw import svg as drawn
from calibrate.report.fine_tuning_figures import SHOWN, arm_weights, shown
from calibrate.result import ArmResult, ComparedArms, FineTuned, LayerDifference, LayerHistogram, PairedTest
from tests.builders.fine_tuning import maps, model_of


@cache
def fine_tuned() -> FineTuned:
    phases: list[dict[str, Any]] = [{"epochs": 2, "trainable": "head"}, {"epochs": 2}]
    document = {"phases": phases, "batch_size": 8, "histograms": "step", "validation": 0.2}
    return fine_tune(model_of(4), FineTuning.model_validate(document), data=maps(names=["<b>", "*x*", "c", "d"])).result


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


#: 3 of 40 weights lie elsewhere.
LAYER = LayerDifference(
    name="<conv>",
    low=-1.0,
    high=1.0,
    weights=40,
    counts=(2, -3, 1, 0),
    variances=(0.5, 0.625, 0.25),
    baseline_variances=(0.5, 0.5, 0.75),
)


def weighed(*layers: LayerDifference, **recipe: Any) -> ComparedArms:
    """The comparison with layers in its second arm, whose recipe has these fields."""
    result = compared()
    changed = result.arms[1].recipe.model_copy(update=recipe)
    arm = result.arms[1].model_copy(update={"layers": layers, "recipe": changed})
    return result.model_copy(update={"arms": (result.arms[0], arm)})


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


def test_what_arms_do_to_the_weights_is_told_in_each_format_and_drawn_once() -> None:
    page = compared_arms_page(weighed(LAYER))
    html = page.html()
    for text in (page.text(), page.markdown().replace("\\", ""), unescape(re.sub(r"<[^>]*>", " ", html))):
        told = " ".join(unescape(text).split())
        assert "b_c: <conv> 7.5 %, -3.8e-01 (+2.5e-01)." in told
        assert "Absent" not in told
    assert html.count("<svg ") == 1
    assert html == compared_arms_page(weighed(LAYER)).html()
    assert "<conv>" not in html
    assert "svg" not in page.markdown()


def steps(svg: str, style: str) -> list[float]:
    """How far down each step of a stairway in that style lies, from left to right."""
    (path,) = re.findall(rf'd="([^"]*)" clip-path="[^"]*" style="{style}', svg)
    return [float(y) for _, y in re.findall(r"[ML] (\S+) (\S+)", path)][1:-1:2]


def test_the_figure_has_a_bar_for_each_bin_and_a_step_for_each_record() -> None:
    """Heights in the figure are a straight line's of what they show: one for the counts, one for both variances."""
    svg = drawn(arm_weights(weighed(LAYER)), "arm-weights")
    variances = steps(svg, "fill: none; stroke: #d55e00") + steps(svg, "fill: none; stroke: #8a8a8a")
    for heights, shown_there in ((steps(svg, "fill: #0072b2"), LAYER.counts), (variances, (0.125, -0.375, 0, 0.25))):
        slope, start = np.polyfit(shown_there, heights, 1)
        assert slope < -1  # up in the figure, and far enough to be seen
        assert heights == pytest.approx([start + slope * value for value in shown_there], abs=1e-3)
    two = drawn(arm_weights(weighed(LAYER, LAYER.model_copy(update={"name": "fc"}))), "arm-weights")
    assert two.count("fill: #0072b2") == 2


def test_arms_that_keep_no_histograms_have_no_figure_and_those_that_cannot_be_compared_are_named() -> None:
    silent = compared_arms_page(weighed(histograms="none"))
    assert [section.title for section in silent.sections] == ["Arms", "Every score"]
    page = compared_arms_page(weighed())
    assert "<svg" not in page.html()
    assert "Absent: b_c, where no layer starts with a's weights" in page.text()


def test_layers_are_part_of_the_digest_and_may_be_absent() -> None:
    result, without = weighed(LAYER), weighed()
    moved = weighed(LAYER.model_copy(update={"counts": (2, -3, 0, 1)}))
    assert len({result.digest, without.digest, moved.digest}) == 3
    assert ComparedArms.model_validate_json(result.model_dump_json()) == result
    older = without.model_dump(mode="json")
    for arm in older["arms"]:
        del arm["layers"]
    assert ComparedArms.model_validate(older) == without


def test_the_label_of_a_figure_is_text() -> None:
    svg = drawn(Figure('of "<a>" & b', ((Panel(()),),), 2.0, 2.0), "name")
    assert 'aria-label="of &quot;&lt;a&gt;&quot; &amp; b"' in svg
