"""The step ``corruptions``: the clean row is the measurement's, and nothing but the images and the seed decides."""

import itertools
import sys
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from calibrate import Outcome, Preprocessing, Recipe, retrofit
from calibrate.data import open_data, split
from calibrate.data.c_style import corrupt
from calibrate.data.preprocess import scale
from calibrate.engine import carry_out, plan
from calibrate.errors import DataError, UnavailableError
from calibrate.result import silent
from calibrate.steps import Corruptions, NotApplicable, ProbeResult
from tests.engine.test_trials import Memory

PIXELS = Preprocessing()
MEASURE = {"kind": "measure", "resamples": 100}
FEW = {"kind": "corruptions", "names": ["contrast", "gaussian_noise"], "severities": [5, 2], "resamples": 100}
TUNING = ({"kind": "set_alpha", "alpha": 0.3}, {"kind": "temperature"})
Example = tuple[NDArray[np.uint8], int]


@cache
def images(n: int = 48, side: int = 32) -> tuple[Example, ...]:
    """Blurred colours in four rows, of which the brightest is the class."""
    generator = np.random.default_rng(0)
    made = []
    for label in itertools.islice(itertools.cycle(range(4)), n):
        rows = np.zeros((4, 4, 3))
        rows[label] = 60
        noisy = np.clip(rows + generator.normal(100, 35, rows.shape), 0, 255).astype(np.uint8)
        made.append((np.array(Image.fromarray(noisy).resize((side, side), Image.Resampling.BICUBIC)), label))
    return tuple(made)


def batch(examples: tuple[Example, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.stack([torch.from_numpy(image).permute(2, 0, 1) for image, _ in examples])
    return scale(x, PIXELS), torch.tensor([label for _, label in examples])


@cache
def network() -> nn.Module:
    """A network that has learned the images."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 4),
    )  # fmt: skip
    x, y = batch(images())
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(25):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    return model.eval()


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
        checked = plan(
            network(), recipe, data=source, preprocessing=None, classes=None, batch_size=16, device="cpu",
            progress=silent,
        )  # fmt: skip
        return carry_out(network(), checked, "", {}, memory)

    whole = carried(None)
    memory = Memory({}, 0)
    carried(memory)
    assert len(memory.after) == 2 * (2 + 2), "two networks on both halves, and on two corruptions of one"
    for finished in range(len(memory.after) + 1):
        assert carried(Memory(memory.after, finished)).summary.digest == whole.summary.digest


def test_a_change_of_robustness_is_a_finding() -> None:
    contrast = {**FEW, "names": ["contrast"], "severities": [4]}
    better = ran({"kind": "set_alpha", "alpha": 0.8}, contrast)
    back = Recipe(steps=[{"kind": "set_alpha", "alpha": 0.0}, contrast])
    worse = retrofit(better.model, back, data=images(), preprocessing=PIXELS)
    for outcome, expected in ((better, ["more-robust"]), (worse, ["less-robust"]), (ran(contrast), [])):
        codes = [item.code for item in outcome.summary.findings]
        assert [code for code in codes if code.endswith("-robust")] == expected


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
        plan(
            network(), Recipe(steps=[FEW]), data=images(), preprocessing=PIXELS, classes=None, batch_size=16,
            device="cpu", progress=silent,
        )  # fmt: skip
