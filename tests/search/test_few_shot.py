"""Learning by gradient: the steps are Adam's down the loss with its pull, and the choice is the early stop's."""

import copy
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from calibrate.errors import ModelError, UsageError
from calibrate.nn import ExampleWeighed
from calibrate.search import (
    Learnable,
    LearnedEpoch,
    affine_tensors,
    check_channels,
    choose,
    fit_temperature,
    learn,
    learnable_affine,
    learnable_alpha,
    place_,
)
from calibrate.steps import LearnAlpha, TuneAffine
from calibrate.surgery import find_sites, select, weigh_examples_
from tests.builders.networks import Tied, convolutional, grouped, warmed_up

PULL, LR, T = 0.7, 0.05, 1.3


def weighing(model: nn.Module, alpha: float = 0.2) -> nn.Module:
    return weigh_examples_(model, find_sites(model), alpha)


def data(classes: int = 3, n: int = 12, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 1, 8, 8, generator=generator).to(dtype), torch.arange(n) % classes


def alphas_of(model: nn.Module) -> list[ExampleWeighed]:
    return [module for module in model.modules() if isinstance(module, ExampleWeighed)]


def set_alpha_(per: str) -> Callable[[nn.Module, np.ndarray], None]:
    def set_(model: nn.Module, theta: np.ndarray) -> None:
        alpha, place = 1 / (1 + np.exp(-theta)), 0
        for layer in alphas_of(model):
            count = layer.num_features if per == "channel" else 1
            own = torch.from_numpy(alpha[place : place + count].copy())
            layer.alpha = own if per == "channel" else own[0]
            place += count

    return set_


def set_affine_(model: nn.Module, w: np.ndarray) -> None:
    place = 0
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.GroupNorm | ExampleWeighed):
            for tensor in (module.weight, module.bias):
                tensor.data = torch.from_numpy(w[place : place + len(tensor)].copy())
                place += len(tensor)
    assert place == len(w)


def mean_pull(w: np.ndarray, start: np.ndarray) -> float:
    return PULL * float(np.mean((w - start) ** 2))


def sum_pull(w: np.ndarray, start: np.ndarray) -> float:
    return PULL / 2 * float(np.sum((w - start) ** 2))


def by_layer(model: nn.Module) -> Learnable:
    return learnable_alpha(find_sites(model), LearnAlpha(pull=PULL))


def by_channel(model: nn.Module) -> Learnable:
    return learnable_alpha(find_sites(model), LearnAlpha(per="channel", pull=PULL))


def affine(model: nn.Module) -> Learnable:
    return learnable_affine(affine_tensors(model, ["*"]), TuneAffine(pull=PULL))


def sharing() -> nn.Module:
    """Two layers with one γ, and statistics and β of their own."""
    model = convolutional()
    model[3] = nn.Conv2d(4, 4, 3)
    model[4] = nn.BatchNorm2d(4)
    model[8] = nn.Linear(4, 3)
    model[4].weight = model[1].weight
    return model


def test_layers_that_share_gamma_learn_it_together() -> None:
    """As a network learns whose two γ are one number by construction: by the sum of their gradients."""
    model = warmed_up(sharing()).double()
    x, y = data()
    what = learnable_affine(affine_tensors(model, ["*"]), TuneAffine(pull=0.0))
    names = list(what.entries(what.start))
    assert names == ["1.weight", "1.bias", "4.bias"]
    (epoch,) = learn(model, what, lambda number: [(x, y)], epochs=1, lr=LR, temperature=1.0)
    F.cross_entropy(model(x), y).backward()
    optimizer = torch.optim.Adam([model.get_parameter(name) for name in names], lr=LR)
    optimizer.step()
    torch.testing.assert_close(epoch.vector, torch.cat([model.get_parameter(name).detach() for name in names]))


@pytest.mark.parametrize("network", [convolutional, Tied])
@pytest.mark.parametrize(
    ("learnable", "weighed", "set_", "penalty"),
    [
        (by_layer, True, set_alpha_("layer"), mean_pull),
        (by_channel, True, set_alpha_("channel"), mean_pull),
        (affine, False, set_affine_, sum_pull),
        (affine, True, set_affine_, sum_pull),
    ],
)
def test_the_steps_are_adam_s_down_the_loss_and_its_pull(
    network: Callable[[], nn.Module],
    learnable: Callable[[nn.Module], Learnable],
    weighed: bool,
    set_: Callable[[nn.Module, np.ndarray], None],
    penalty: Callable[[np.ndarray, np.ndarray], float],
) -> None:
    """Against Adam in numpy, on gradients by central differences in float64, over three batches."""
    model = warmed_up(network()).double()
    if weighed:
        model = weighing(model)
    x, y = data()
    batches = list(zip(x.split(5), y.split(5), strict=True))
    what = learnable(model)
    (epoch,) = learn(model, what, lambda number: batches, epochs=1, lr=LR, temperature=T)

    other = copy.deepcopy(model)
    start = what.start.numpy()
    w, first, second, losses = start.copy(), np.zeros_like(start), np.zeros_like(start), []

    def cross_entropy(at: np.ndarray, batch: tuple[Tensor, Tensor]) -> float:
        set_(other, at)
        with torch.no_grad():
            return float(F.cross_entropy(other(batch[0]) / T, batch[1]))

    for number, batch in enumerate(batches, 1):
        losses.append(cross_entropy(w, batch) * len(batch[1]))
        gradient = np.empty_like(w)
        for place in range(len(w)):
            nudge = np.zeros_like(w)
            nudge[place] = 1e-5
            above, below = (cross_entropy(at, batch) + penalty(at, start) for at in (w + nudge, w - nudge))
            gradient[place] = (above - below) / 2e-5
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        w = w - LR * (first / (1 - 0.9**number)) / (np.sqrt(second / (1 - 0.999**number)) + 1e-8)
    np.testing.assert_allclose(epoch.vector.numpy(), w, rtol=1e-3, atol=1e-5)
    assert epoch.cross_entropy == pytest.approx(sum(losses) / len(y), rel=1e-6)


@pytest.mark.parametrize("fails", [False, True])
def test_the_network_is_given_back_as_it_was(fails: bool) -> None:
    model = warmed_up(weighing(convolutional()))
    model[4].train()
    model[0].weight.requires_grad_(False)
    before = copy.deepcopy(model)
    x, y = data(dtype=torch.float32)

    def batches(number: int) -> Iterator[tuple[Tensor, Tensor]]:
        yield x, y
        if fails:
            raise OSError("the disk is gone")

    epochs = learn(model, by_layer(model), batches, epochs=2, lr=LR, temperature=T)
    if fails:
        with pytest.raises(OSError, match="disk is gone"):
            list(epochs)
    else:
        assert len(list(epochs)) == 2
    assert [module.training for module in model.modules()] == [module.training for module in before.modules()]
    for new, old in zip(model.parameters(), before.parameters(), strict=True):
        assert torch.equal(new, old)
        assert new.requires_grad == old.requires_grad
        assert new.grad is None
    for layer, old in zip(alphas_of(model), alphas_of(before), strict=True):
        assert torch.equal(layer.alpha, old.alpha)
        assert not layer.alpha.requires_grad


def test_alpha_starts_inside_its_range_and_keeps_its_shape() -> None:
    model = weighing(convolutional(), 0.0)
    alphas_of(model)[1].alpha = torch.linspace(0, 1, 8)
    for per, shapes in (("layer", [(), ()]), ("channel", [(4,), (8,)])):
        what = learnable_alpha(find_sites(model), LearnAlpha(per=per))
        entries = what.entries(what.start)
        assert [tuple(alpha.shape) for alpha in entries.values()] == shapes
        first, second = entries.values()
        torch.testing.assert_close(first, torch.full(shapes[0], 0.01))
        expected = torch.linspace(0, 1, 8).clamp(0.01, 0.99)
        torch.testing.assert_close(second, expected if per == "channel" else torch.tensor(0.5))
        assert what.penalty(what.start) == 0


def test_bfloat16_learns_what_it_cannot_hold() -> None:
    model = warmed_up(convolutional()).bfloat16()
    what = affine(model)
    x, y = data(dtype=torch.bfloat16)
    (epoch,) = learn(model, what, lambda number: [(x, y)], epochs=1, lr=1e-4, temperature=1.0)
    assert what.start.dtype == epoch.vector.dtype == torch.float32
    assert not torch.equal(epoch.vector, what.start)
    held = what.entries(epoch.vector)
    assert {tensor.dtype for tensor in held.values()} == {torch.bfloat16}
    place_(model, held)
    assert all(torch.equal(model.get_parameter(name), tensor) for name, tensor in held.items())


def test_gamma_and_beta_are_found_once_and_by_pattern() -> None:
    assert list(affine_tensors(Tied(), ["*"])) == ["norm.weight", "norm.bias"]
    assert list(affine_tensors(convolutional(), ["4"])) == ["4.weight", "4.bias"]
    assert list(affine_tensors(grouped(), ["1"])) == ["1.weight", "1.bias"]
    for bare in (nn.Linear(2, 2), nn.BatchNorm1d(2, affine=False), nn.BatchNorm1d(2, track_running_stats=False)):
        with pytest.raises(ModelError, match="no γ and β to tune"):
            affine_tensors(bare, ["*"])


def test_a_group_norm_has_one_alpha() -> None:
    sites = select(find_sites(grouped()), ["*"])
    check_channels(sites, LearnAlpha())
    with pytest.raises(UsageError, match="the layer 1 is a GroupNorm"):
        check_channels(sites, LearnAlpha(per="channel"))


LABELS = torch.arange(90) % 3


def logits(quality: float) -> Tensor:
    """Logits that tell the class the better the higher ``quality`` is, at any temperature."""
    noise = torch.randn(90, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return quality * F.one_hot(LABELS, 3) + noise


def chosen(
    qualities: list[float], start: float = 1.0, patience: int = 2, margin: float = 1.0
) -> tuple[list[int], object]:
    seen: list[int] = []

    def epochs() -> Iterator[LearnedEpoch]:
        for number, quality in enumerate(qualities, 1):
            seen.append(number)
            yield LearnedEpoch(torch.tensor([quality]), 0.5)

    def after(epoch: LearnedEpoch) -> Tensor:
        return logits(float(epoch.vector))

    return seen, choose(epochs(), after, logits(start), LABELS, patience=patience, margin=margin)


def test_it_ends_when_patience_does_and_keeps_the_best() -> None:
    seen, found = chosen([1.5, 3.0, 2.0, 2.5, 9.0])
    assert seen == [1, 2, 3, 4]
    assert (found.best, found.kept, len(found.epochs), found.diverged) == (2, 2, 4, False)
    assert found.held_back == pytest.approx(
        [float(fit_temperature(logits(q), LABELS).nll.mean()) for q in (1, 1.5, 3, 2, 2.5)]
    )
    assert found.gain.mean == pytest.approx(found.held_back[0] - found.held_back[2])


def test_learning_may_begin_below_its_start() -> None:
    seen, found = chosen([0.2, 0.5, 0.8, 3.0])
    assert len(seen) == 4
    assert found.kept == 4


def test_the_start_stays_where_no_epoch_or_none_convincing_beats_it() -> None:
    seen, found = chosen([0.5, 0.2, 0.1, 0.1])
    assert len(seen) == 3
    assert (found.best, found.kept, found.gain.mean) == (0, 0, 0.0)
    _, found = chosen([1.01], margin=0.0)
    assert (found.best, found.kept) == (1, 1)
    _, found = chosen([1.01], margin=10.0)
    assert (found.best, found.kept) == (1, 0)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_numbers_that_are_none_end_it(broken: float) -> None:
    seen, found = chosen([3.0, broken, 9.0])
    assert seen == [1, 2]
    assert (found.kept, len(found.epochs), len(found.held_back), found.diverged) == (1, 1, 2, True)
