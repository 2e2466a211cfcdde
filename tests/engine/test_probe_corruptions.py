"""The step ``corruptions``: the clean row is the measurement's, and nothing but the images and the seed decides."""

import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from calibrate import Outcome, Recipe, retrofit
from calibrate.data import open_data, split
from calibrate.data.c_style import corrupt
from calibrate.engine import carry_out
from calibrate.errors import DataError, UnavailableError
from calibrate.steps import Corruptions, NotApplicable, ProbeResult
from tests.builders.images import PIXELS, batch, images, network
from tests.builders.runs import Memory, codes, planned

MEASURE = {"kind": "measure", "resamples": 100}
FEW = {"kind": "corruptions", "names": ["contrast", "gaussian_noise"], "severities": [5, 2], "resamples": 100}
TUNING = ({"kind": "set_alpha", "alpha": 0.3}, {"kind": "temperature"})


def ran(*steps: dict[str, Any], data: Any = None, batch_size: int = 64, seed: int = 0) -> Outcome:
    recipe = Recipe(steps=steps, seed=seed)
    return retrofit(network(), recipe, data=data or images(), preprocessing=PIXELS, batch_size=batch_size)


def probed(outcome: Outcome) -> Corruptions:
    (found,) = outcome.summary.of(ProbeResult)
    assert isinstance(found, Corruptions)
    return found


@pytest.mark.parametrize("tuning", [(), TUNING], ids=["as it came", "tuned"])
def test_the_clean_row_is_the_measurement(tuning: tuple[dict[str, Any], ...]) -> None:
    outcome = ran(*tuning, FEW, MEASURE)
    clean, measurement = probed(outcome).means[0], outcome.summary.measurement
    assert measurement is not None
    scored = {"T": clean.original} | ({"alpha+T": clean.tuned} if tuning else {})
    for arm, scores in scored.items():
        metrics = {item.arm: item for item in measurement.arms}[arm].metrics  # type: ignore[index]
        assert scores is not None
        assert (scores.top1, scores.nll) == (metrics["top1"].value, metrics["nll"].value)
    if tuning:
        baseline = measurement.difference("alpha+T", "T").metrics
        assert clean.nll_change is not None
        assert clean.nll_change.value == pytest.approx(baseline["nll"].value)
        assert (clean.nll_change.low, clean.nll_change.high) == pytest.approx(
            (baseline["nll"].low, baseline["nll"].high)
        )


def test_scores_are_those_of_the_corrupted_holdout_half() -> None:
    found = probed(ran(FEW))
    assert [(item.corruption, item.severity) for item in found.scores] == [
        ("contrast", 5), ("contrast", 2), ("gaussian_noise", 5), ("gaussian_noise", 2)
    ]  # fmt: skip
    rows = split(np.array([label for _, label in images()]), 0).holdout
    corrupted = tuple((corrupt(images()[row][0], "contrast", 2, seed=0), images()[row][1]) for row in rows)
    x, y = batch(corrupted)
    with torch.inference_mode():
        logits = network()(x).double()
    assert found.scores[1].original.top1 == float((logits.argmax(1) == y).double().mean())
    nll = nn.functional.cross_entropy(logits / found.temperatures[0], y)
    assert found.scores[1].original.nll == pytest.approx(float(nll), rel=1e-5)


def test_neither_batches_nor_numpys_generator_decide() -> None:
    first = probed(ran(FEW))
    np.random.seed(5)
    before = np.random.get_state()
    again = probed(ran(FEW, batch_size=7))
    assert np.array_equal(before[1], np.random.get_state()[1])
    for one, other in zip(first.scores, again.scores, strict=True):
        assert one.original.top1 == other.original.top1
        assert one.original.nll == pytest.approx(other.original.nll, rel=1e-5)
    assert probed(ran(FEW, data=list(images()))) == first
    assert probed(ran(FEW, seed=1)).scores != first.scores


def test_samples_are_drawn_from_the_holdout_half() -> None:
    assert probed(ran({**FEW, "samples": 10})).images == 10
    with pytest.raises(DataError, match="wanted 25 samples, the holdout half has 24; lower `samples` in the step corr"):
        ran({**FEW, "samples": 25})


def test_resumed_after_any_number_of_passes_it_ends_the_same() -> None:
    recipe = Recipe(steps=[*TUNING, {**FEW, "severities": [2]}, MEASURE])

    def carried(memory: Memory | None) -> Outcome:
        source = open_data(images(), preprocessing=PIXELS)
        checked = planned(network(), recipe, source, batch_size=16, trials=memory)
        return carry_out(network(), checked, "", {})

    whole = carried(None)
    memory = Memory({}, 0)
    carried(memory)
    assert len(memory.after) == 1 + 2 * (2 + 2), "the form; two networks on both halves, and on two corruptions of one"
    for finished in range(len(memory.after) + 1):
        assert carried(Memory(memory.after, finished)).summary.digest == whole.summary.digest


def test_a_change_of_robustness_is_a_finding() -> None:
    contrast = {**FEW, "names": ["contrast"], "severities": [4]}
    better = ran({"kind": "set_alpha", "alpha": 0.8}, contrast)
    back = Recipe(steps=[{"kind": "set_alpha", "alpha": 0.0}, contrast])
    worse = retrofit(better.model, back, data=images(), preprocessing=PIXELS)
    for outcome, expected in ((better, ["more-robust"]), (worse, ["less-robust"]), (ran(contrast), [])):
        assert [code for code in codes(outcome.summary) if code.endswith("-robust")] == expected


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ([(torch.zeros(3, 32, 32), index % 4) for index in range(16)], "floating point"),
        (images(16, side=24), "24 × 24 pixels"),
    ],
)
def test_not_applicable_is_an_answer(data: Any, reason: str) -> None:
    summary = ran(FEW, MEASURE, data=data).summary
    (found,) = summary.of(ProbeResult)
    assert isinstance(found, NotApplicable)
    assert reason in found.reason
    assert summary.measurement is not None


def test_the_extra_is_named_before_anything_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "imagecorruptions"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "imagecorruptions", None)
    with pytest.raises(UnavailableError, match=r"pip install 'afternorm\[corruptions\]'"):
        planned(network(), Recipe(steps=[FEW]), images(), preprocessing=PIXELS)
