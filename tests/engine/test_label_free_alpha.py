"""α without labels: chosen where the inputs are shifted, left alone where they are not, blind to the labels."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from calibrate import Outcome, Recipe, retrofit
from calibrate.data import Augmented, open_data, split
from calibrate.errors import DataError, UsageError
from calibrate.nn import ExampleWeighedBatchNorm
from calibrate.recipe import Preprocessing
from calibrate.search import agreement, entropy, probabilities, spread
from calibrate.steps import LabelFreeAlpha, LabelFreeSearch, Measure, Temperature
from calibrate.surgery import find_sites, weigh_examples_
from tests.builders.examples import examples, misplaced
from tests.builders.networks import Mixed, Tied, convolutional, fit_, warmed_up
from tests.builders.runs import codes
from tests.builders.states import assert_same_bits, assert_untouched, snapshot

CRITERIA = ("entropy", "agreement", "estimation_shift")
GREY = Preprocessing(channels=1, mean=(0.5,), std=(0.25,))


def stripes(n: int, shift: float, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Grey images of rows, columns or a chequerboard in noise, each brighter or darker by about ``shift``."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    rows, columns = np.indices((8, 8)) % 2 * 2 - 1
    patterns = np.stack([rows, columns, rows * columns])[labels]
    images = 128 + 10 * patterns + 10 * random.standard_normal((n, 8, 8)) + shift * random.standard_normal((n, 1, 1))
    return images.clip(0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    """A network that has learned stripes of one brightness."""
    torch.manual_seed(0)
    model = convolutional(3)
    x, y = stripes(180, 0.0, seed=1)
    inputs = (torch.from_numpy(x)[:, None] / 255 - 0.5) / 0.25
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    return fit_(model, inputs, torch.from_numpy(y), epochs=6, batch_size=30, optimizer=optimizer)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Images of many brightnesses, without labels and as one class, and images like those of the training."""
    there = tmp_path_factory.mktemp("stripes")
    shifted, labels = stripes(240, 40.0, seed=2)
    like, _ = stripes(240, 0.0, seed=3)
    arrays = {
        "bare": {"x": shifted},
        "one": {"x": shifted, "y": np.zeros_like(labels)},
        "labelled": {"x": shifted, "y": labels},
        "like": {"x": like},
    }
    for name, held in arrays.items():
        np.savez(there / f"{name}.npz", **held)
    return {name: there / f"{name}.npz" for name in arrays}


def run(model: nn.Module, data: Any, *more: Any, **fields: Any) -> Outcome:
    return retrofit(model, Recipe(seed=7, steps=[LabelFreeAlpha(**fields), *more]), data=data, preprocessing=GREY)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_images_of_other_brightness_call_for_alpha_and_get_it(
    criterion: str, trained: nn.Module, places: dict[str, Path]
) -> None:
    before = snapshot(trained)
    outcome = run(trained, places["labelled"], Temperature(), Measure(), criterion=criterion)
    assert_untouched(trained, before)
    (search,) = outcome.summary.of(LabelFreeSearch)
    measurement = outcome.summary.measurement
    assert measurement is not None
    assert search.criterion == criterion
    assert search.chosen == search.best > 0
    assert [site.alpha for site in outcome.summary.changes.sites] == pytest.approx([search.chosen] * 2, rel=1e-6)
    plain, tuned = (measurement.arm(arm).metrics["top1"].value for arm in ("original", "alpha"))
    assert tuned > plain + 0.02
    assert outcome.summary.verdict == "improved"


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_labels_are_not_used(criterion: str, trained: nn.Module, places: dict[str, Path]) -> None:
    bare, one = (run(trained, places[name], criterion=criterion, samples=50) for name in ("bare", "one"))
    assert bare.summary.of(LabelFreeSearch) == one.summary.of(LabelFreeSearch)
    assert bare.summary.of(LabelFreeSearch)[0].n == 50
    assert_same_bits(bare.model, one.model)
    again = run(trained, places["bare"], criterion=criterion, samples=50)
    assert again.summary.digest == bare.summary.digest


@pytest.mark.parametrize("criterion", CRITERIA)
def test_where_nothing_is_convincing_the_network_stays_as_it_came(
    criterion: str, trained: nn.Module, places: dict[str, Path]
) -> None:
    outcome = run(trained, places["like"], criterion=criterion, margin=10.0)
    assert outcome.summary.of(LabelFreeSearch)[0].chosen == 0
    assert [site.alpha for site in outcome.summary.changes.sites] == [None, None]
    assert outcome.model.state_dict().keys() == trained.state_dict().keys()
    x = torch.randn(5, 1, 8, 8)
    assert torch.equal(outcome.model(x), trained(x))


def calibration(path: Path) -> tuple[Tensor, Tensor]:
    """The inputs of the calibration half, and the same augmented."""
    source = open_data(path, preprocessing=GREY)
    rows = split(source.labels, 7).calibration
    return tuple(next(iter(one.batches(rows, len(rows)))).inputs for one in (source, Augmented(source, 7)))  # type: ignore[return-value]


@pytest.mark.parametrize("criterion", ["entropy", "agreement"])
def test_the_points_are_those_of_the_weighed_network_s_answers_at_one_spread(
    criterion: str, trained: nn.Module, places: dict[str, Path]
) -> None:
    (search,) = run(trained, places["one"], criterion=criterion, samples=None).summary.of(LabelFreeSearch)
    views = calibration(places["one"])
    with torch.inference_mode():
        first = spread(trained(views[0]))
        for point in search.points:
            weighed = weighed_by(trained, point.alpha)
            logits = [weighed(view) for view in views]
            p, q = (probabilities(z, first / spread(logits[0])) for z in logits)
            expected = entropy(p) if criterion == "entropy" else agreement(p, q)
            assert point.value == pytest.approx(float(expected.mean()), abs=1e-5)


def weighed_by(model: nn.Module, alpha: float) -> nn.Module:
    other = copy.deepcopy(model)
    return weigh_examples_(other, find_sites(other), alpha)


def test_the_estimation_shift_is_that_of_the_last_layer_over_parts_of_the_examples(
    trained: nn.Module, places: dict[str, Path]
) -> None:
    (search,) = run(trained, places["one"], criterion="estimation_shift", samples=None).summary.of(LabelFreeSearch)
    x = calibration(places["one"])[0]
    parts = np.array_split(np.random.Generator(np.random.PCG64(7)).permutation(len(x)), 10)
    for point in search.points:
        weighed: Any = weighed_by(trained, point.alpha)
        last, squares = weighed[4], []
        assert isinstance(last, ExampleWeighedBatchNorm)
        with torch.inference_mode():
            inputs = weighed[:4](x).double().numpy()
        rm, rv = last.running_mean.double().numpy(), last.running_var.double().numpy()  # type: ignore[union-attr]
        for rows in parts:
            m, v = inputs[rows].mean((0, 2, 3)), inputs[rows].var((0, 2, 3))
            off = (rm - m) ** 2 + (np.sqrt(rv) - np.sqrt(v)) ** 2
            squares.append((off / (v + last.eps)).mean())
        assert point.value == pytest.approx(np.mean(squares), rel=1e-5)


@pytest.mark.parametrize(("criterion", "views"), [("entropy", 1), ("agreement", 2), ("estimation_shift", 1)])
def test_every_pass_is_counted(criterion: str, views: int, trained: nn.Module, places: dict[str, Path]) -> None:
    summary = run(trained, places["bare"], criterion=criterion, samples=60).summary
    (search,) = summary.of(LabelFreeSearch)
    assert search.passes == pytest.approx(views * len(search.points) * 60 / 120)
    assert summary.timings.passes == pytest.approx(search.passes)


def test_group_norm_sets_out_from_1(places: dict[str, Path]) -> None:
    outcome = retrofit(misplaced(), Recipe(steps=[LabelFreeAlpha(maximum=0.4)]), data=examples())
    (search,) = outcome.summary.of(LabelFreeSearch)
    alphas = [point.alpha for point in search.points]
    assert alphas == sorted(alphas, reverse=True)
    assert (alphas[0], alphas[-1]) == (1, pytest.approx(0.6))
    assert 0.6 <= search.chosen < 1
    assert [site.alpha for site in outcome.summary.changes.sites] == pytest.approx([search.chosen] * 2, rel=1e-6)


@pytest.mark.parametrize("build", [Tied, Mixed])
@pytest.mark.parametrize("criterion", ["entropy", "estimation_shift"])
def test_awkward_networks_are_searched_and_left_untouched(build: type[nn.Module], criterion: str) -> None:
    model = warmed_up(build())
    before = snapshot(model)
    recipe = Recipe(steps=[LabelFreeAlpha(criterion=criterion, maximum=1.0, margin=0.0)])
    summary = retrofit(model, recipe, data=[(x, 0) for x, _ in examples(24)]).summary
    assert_untouched(model, before)
    assert all(np.isfinite([point.value for point in summary.of(LabelFreeSearch)[0].points]))
    assert codes(summary).count("alpha-capped") == (build is Mixed)


def test_only_the_matching_sites_are_weighed(trained: nn.Module, places: dict[str, Path]) -> None:
    outcome = run(trained, places["bare"], sites=("1",), margin=0.0)
    first, second = (site.alpha for site in outcome.summary.changes.sites)
    assert first == pytest.approx(outcome.summary.of(LabelFreeSearch)[0].chosen, rel=1e-6)
    assert second is None


def test_what_cannot_be_is_said_before_anything_is_done(trained: nn.Module) -> None:
    heard: list[Any] = []
    for fields, error, words in (
        ({"criterion": "agreement"}, DataError, "cannot be augmented.*floating point network input"),
        ({"sites": ("bn7",)}, UsageError, "bn7"),
    ):
        with pytest.raises(error, match=words):
            retrofit(trained, Recipe(steps=[LabelFreeAlpha(**fields)]), data=examples(), progress=heard.append)
    assert not heard
