"""The diagnosis of streams: its measures by their definitions, and what it says of streams that are known."""

import copy
import math
from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calibrate.diagnose import diagnose_stream, estimation_shift
from calibrate.diagnose.advice import SMALL_BATCH, TENT_BATCH, advise
from calibrate.diagnose.stream import REACH, between_two_groups, label_correlation
from calibrate.stats import IterableBatches
from calibrate.steps import StreamDiagnosis, StreamMeasures
from calibrate.surgery import find_sites, keeping_statistics
from tests.builders.networks import Mixed, Tied, convolutional, grouped, warmed_up

K = 4


def labels(order: str, n: int = 400, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    if order == "sorted":
        return torch.arange(K).repeat_interleave(n // K)
    if order == "runs":  # of 5 images each
        return torch.randint(K, (n // 5,), generator=generator).repeat_interleave(5)
    return torch.randint(K, (n,), generator=generator)


def noisy_logits(of: Tensor, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(1000 + seed)
    return 4 * nn.functional.one_hot(of, K) + torch.randn(len(of), K, generator=generator) * torch.arange(1, K + 1)


@pytest.mark.parametrize("order", ["sorted", "runs", "shuffled"])
@pytest.mark.parametrize("n", [8, 40])
def test_correlation_is_its_definition(order: str, n: int) -> None:
    values = noisy_logits(labels(order, n)).double().numpy()
    centred = values - values.mean(1, keepdims=True)
    standard = (centred - centred.mean(0)) / centred.std(0)
    near = [
        standard[i, k] * standard[j, k]
        for i, j in combinations(range(len(values)), 2)
        if j - i <= REACH
        for k in range(K)
    ]
    assert label_correlation(torch.from_numpy(values))[0] == pytest.approx(np.mean(near))


def test_correlation_is_blind_to_scale_and_to_what_all_classes_share() -> None:
    logits = noisy_logits(labels("runs")).double()
    moved = 3 * logits + torch.arange(K) + torch.linspace(0, 9, len(logits), dtype=torch.float64)[:, None]
    assert label_correlation(moved) == pytest.approx(label_correlation(logits))


def test_shuffled_labels_rarely_exceed_chance_and_runs_do() -> None:
    exceeding = [0, 0]
    for seed in range(30):
        for which, order in enumerate(("shuffled", "runs")):
            correlation, by_chance = label_correlation(noisy_logits(labels(order, seed=seed), seed), seed)
            exceeding[which] += correlation > by_chance
    assert exceeding[0] <= 3
    assert exceeding[1] == 30


@pytest.mark.parametrize(
    "logits",
    [torch.ones(1, K), torch.eye(K)[[2, 2, 2]], torch.linspace(-2, 2, 6)[:, None]],
    ids=["one image", "one answer", "one class"],
)
def test_one_image_one_answer_and_one_class_say_nothing(logits: Tensor) -> None:
    assert label_correlation(logits) == (0.0, 0.0)


def test_two_groups_explain_what_the_best_split_does() -> None:
    values = np.random.default_rng(0).normal(size=(90, 3)) * [1, 2, 3]
    values[:40, 1] += 9
    best = 0.0
    for column in values.T:
        for threshold in column:
            low, high = column[column <= threshold], column[column > threshold]
            if len(high):
                within = len(low) * low.var() + len(high) * high.var()
                best = max(best, 1 - within / len(column) / column.var())
    assert between_two_groups(torch.from_numpy(values)) == pytest.approx(best)


def test_known_shapes_of_distributions() -> None:
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(20_000, 1, generator=generator)
    assert between_two_groups(normal) == pytest.approx(2 / math.pi, abs=0.03)
    assert between_two_groups(torch.rand(20_000, 1, generator=generator)) == pytest.approx(0.75, abs=0.02)
    apart = normal + 20 * (torch.arange(20_000)[:, None] % 2)
    assert between_two_groups(apart) > 0.98
    with_outliers = normal.clone()
    with_outliers[:100] = 1e6
    assert between_two_groups(with_outliers) == pytest.approx(2 / math.pi, abs=0.05)
    assert between_two_groups(torch.ones(100, 2)) == 0


def source() -> nn.Sequential:
    """PredictionChanges the class whose pixels are bright; its BatchNorm knows clean images."""
    model = nn.Sequential(nn.BatchNorm2d(K), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(K, K, bias=False)).eval()
    with torch.no_grad():
        model[3].weight.copy_(20 * torch.eye(K))
        clean = images(labels("shuffled", 2000))
        model[0].running_mean.copy_(clean.mean((0, 2, 3)))
        model[0].running_var.copy_(clean.var((0, 2, 3)))
    return model


def images(of: Tensor, seed: int = 0) -> Tensor:
    noise = torch.randn(len(of), K, 4, 4, generator=torch.Generator().manual_seed(seed))
    return noise + nn.functional.one_hot(of, K)[:, :, None, None]


def corrupted(x: Tensor) -> Tensor:
    return 4 * x + 5


def diagnose(x: Tensor, size: int) -> tuple[set[str], str | None]:
    found = diagnose_stream(source(), x.split(size))
    return {warning.code for warning in found.warnings}, found.recommended and found.recommended.kind


@pytest.mark.parametrize(
    ("order", "strong", "size", "warnings", "recommended"),
    [
        ("shuffled", False, 100, {"mild-shift"}, None),
        ("shuffled", False, 1, {"mild-shift", "batch-too-small"}, None),
        ("shuffled", True, 100, set(), "tent"),
        ("shuffled", True, 40, set(), "prediction_time_bn"),
        ("shuffled", True, 8, {"batch-too-small"}, "bn_alpha"),
        ("shuffled", True, 1, {"batch-too-small"}, "iew"),
        ("sorted", False, 100, {"labels-correlated"}, "lame"),
        ("sorted", True, 100, {"labels-correlated"}, "lame"),
        ("runs", True, 40, {"labels-correlated"}, "lame"),
        ("runs", False, 1, {"labels-correlated", "batch-too-small"}, "iew"),
    ],
)
def test_streams_are_told_apart(
    order: str, strong: bool, size: int, warnings: set[str], recommended: str | None
) -> None:
    x = images(labels(order))
    assert diagnose(corrupted(x) if strong else x, size) == (warnings, recommended)


def test_mixed_domains_are_told_in_any_order() -> None:
    x = images(labels("shuffled"))
    every_second = torch.where((torch.arange(400) % 2 == 0)[:, None, None, None], x, corrupted(x))
    one_after_the_other = torch.cat([x[:200], corrupted(x[200:])])
    for stream in (every_second, one_after_the_other):
        assert diagnose(stream, 100) == ({"mixed-domains"}, "iew")


def test_a_stream_of_one_class_so_far_counts_as_correlated() -> None:
    assert diagnose(images(torch.zeros(200, dtype=torch.long)), 50) == ({"labels-correlated"}, "iew")


@pytest.mark.parametrize("build", [convolutional, Tied, Mixed])
def test_the_network_stays_and_one_pass_is_made(build: type[nn.Module]) -> None:
    model = warmed_up(build()).train()
    if isinstance(model, Mixed):
        model.batch_only = nn.Identity()
    state, modes = copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]
    x = torch.randn(30, 1, 8, 8)
    passes = []
    counting = model.register_forward_hook(lambda *_: passes.append(1))
    found = diagnose_stream(model, x.split(10))
    counting.remove()
    assert len(passes) == 3
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    with pytest.raises(RuntimeError):
        diagnose_stream(model, [torch.randn(4, 9, 8, 8)])
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert found == diagnose_stream(model, x.split(10))
    assert found.measures.mixture is None  # too few images
    shifts = estimation_shift(model, IterableBatches([x], None), keeping_statistics(find_sites(model)))
    sizes = [math.hypot(shift.mean_in_deviations, shift.deviation_in_deviations) for shift in shifts]
    assert found.measures.shift == pytest.approx(np.median(sizes), rel=1e-6)


def test_the_seed_is_that_of_the_shuffles() -> None:
    by_chance = [
        diagnose_stream(source(), images(labels("shuffled")).split(100), seed).measures.correlation_by_chance
        for seed in (0, 0, 1)
    ]
    assert by_chance[0] == by_chance[1] != by_chance[2]


def test_a_network_without_batch_norm_is_left_or_corrected() -> None:
    found = diagnose_stream(warmed_up(grouped()), torch.randn(120, 1, 8, 8).split(40))
    assert (found.measures.shift, found.measures.mixture) == (None, None)
    assert found.recommended is None or found.recommended.kind == "lame"


def measures(**changed: float | None) -> StreamMeasures:
    plain = {"images": 1000, "batch_size": 200, "correlation": 0.0, "correlation_by_chance": 0.01, "one_class": 0.2}
    return StreamMeasures.model_validate({**plain, "mixture": 0.6, "shift": 1.0, **changed})


def test_lame_is_for_correlation_beyond_doubt_and_one_domain() -> None:
    for changed, expected in [
        ({"correlation": 0.5}, "lame"),
        ({"correlation": 0.5, "shift": None, "mixture": None}, "lame"),
        ({"correlation": 0.1}, "iew"),
        ({"correlation": 0.5, "correlation_by_chance": 0.6}, "tent"),
        ({"correlation": 0.5, "mixture": 0.9}, "iew"),
        ({"one_class": 0.95}, "iew"),
    ]:
        advice = advise(measures(**changed))
        assert advice.recommended is not None
        assert advice.recommended.kind == expected, changed


def test_the_largest_batch_that_is_small_is_just_below_the_bound() -> None:
    kinds = []
    for size in (SMALL_BATCH - 1, SMALL_BATCH, TENT_BATCH - 1, TENT_BATCH):
        advice = advise(measures(batch_size=size))
        assert advice.recommended is not None
        kinds.append(advice.recommended.kind)
    assert kinds == ["bn_alpha", "prediction_time_bn", "prediction_time_bn", "tent"]


def test_chance_is_no_correlation_however_large() -> None:
    few = advise(measures(images=12, correlation=0.3, correlation_by_chance=0.4))
    assert [warning.code for warning in few.warnings] == []


def test_no_batch_norm_and_no_correlation_leave_nothing_to_do() -> None:
    advice = advise(measures(shift=None, mixture=None))
    assert (advice.recommended, advice.warnings) == (None, ())
    assert "nothing to adapt" in advice.reason


def test_is_json_and_back() -> None:
    for size in (1, 8, 40, 200):
        found = advise(measures(batch_size=size))
        assert StreamDiagnosis.model_validate_json(found.model_dump_json()) == found
