"""The form of passes: chosen by a rule, the same numbers up to rounding, settled by a run's first attempt."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calibrate import retrofit
from calibrate.data import Source, open_data
from calibrate.engine import carry_out
from calibrate.engine.opening.process import ALONE
from calibrate.engine.passes.prediction import predict, predict_each
from calibrate.engine.passes.setting import LARGEST_ON_CPU, MOST_EXAMPLES, PassForm, Setting, best_form, form_key
from calibrate.errors import ModelError, UsageError
from calibrate.io import build
from calibrate.recipe import PRESETS, Recipe
from calibrate.result import silent
from calibrate.surgery import find_sites, largest_bytes, weigh_examples_
from tests.builders.runs import Memory, planned
from tests.builders.threads import threads

CPU = torch.device("cpu")
#: Small networks of several makes: strided, grouped, with shuffled channels, with branches, of sequences, of rows.
MAKES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "resnet": (lambda: build("cifar/resnet20", {}), (3, 32, 32)),
    "mobilenet": (lambda: build("torchvision/mobilenet_v3_small", {"num_classes": 5}), (3, 64, 64)),
    "shufflenet": (lambda: build("torchvision/shufflenet_v2_x0_5", {"num_classes": 5}), (3, 64, 64)),
    "branches": (lambda: build("timm/dla34", {"num_classes": 5}), (3, 64, 64)),
    "sequences": (lambda: series(), (3, 20)),
    "rows": (lambda: nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4)), (6,)),
}


def trained_on_noise(model: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """``model`` with γ and β drawn at random, and the statistics of noise, in evaluation mode."""
    random = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None
            with torch.no_grad():
                module.weight.copy_(torch.rand(module.weight.shape, generator=random) + 0.5)
                module.bias.copy_(torch.rand(module.bias.shape, generator=random) - 0.5)
    with torch.no_grad():
        model.train()(torch.randn(16, *shape, generator=random))
    return model.eval()


def series() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(3, 8, 3), nn.BatchNorm1d(8), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 4)
    )


class Views(nn.Module):
    """Looks at its maps as rows by `view`, which memory that lies channels last does not allow."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Linear(4 * 36, 3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(x).view(len(x), -1))
        return logits


class LooksAtItsStatistics(nn.Module):
    """Uses what its BatchNorm stores, which a folded one has no more."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        assert self.norm.running_mean is not None
        return self.norm(self.convolution(x)).mean((2, 3)) + self.norm.running_mean


def source_of(shape: tuple[int, ...], n: int = 12) -> Source:
    x = torch.randn(n, *shape, generator=torch.Generator().manual_seed(1))
    return open_data([(row, i % 3) for i, row in enumerate(x)], preprocessing=None)


def passed(model: nn.Module, source: Source, form: PassForm, **extra: Any) -> Tensor:
    return predict(model, source, np.arange(len(source)), Setting(form, CPU, silent, **extra), "pass")


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("alpha", [None, 0.3])
def test_a_fast_form_gives_the_numbers_of_float64(make: str, alpha: float | None) -> None:
    build_, shape = MAKES[make]
    model = trained_on_noise(build_(), shape)
    if alpha is not None:
        model = weigh_examples_(model, [site for site in find_sites(model) if not site.obstacle], alpha)
    source = source_of(shape)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.inference_mode():
        (batch,) = source.batches(np.arange(len(source)), len(source))
        wanted = copy.deepcopy(model).double()(batch.inputs.double())
    form = best_form(model, batch.inputs[:2], CPU)
    assert (form.channels_last, form.folds) == (len(shape) == 3, len(shape) > 1)
    for size in (1, 5, form.batch_size):
        logits = passed(model, source, PassForm(size, 1, form.channels_last, form.folds))
        torch.testing.assert_close(logits.double(), wanted, rtol=2e-5, atol=2e-5 * float(wanted.abs().max()))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.is_contiguous() for parameter in model.parameters()), "the network's own memory stays"


@pytest.mark.parametrize(
    ("model", "expected"),
    [(Views(), (False, True)), (LooksAtItsStatistics(), (True, False))],
    ids=["views", "looks at its statistics"],
)
def test_a_network_that_cannot_take_a_form_is_left_without_it(model: nn.Module, expected: tuple[bool, bool]) -> None:
    model = trained_on_noise(model, (3, 8, 8))
    source = source_of((3, 8, 8))
    form = best_form(model, torch.randn(2, 3, 8, 8), CPU)
    assert (form.channels_last, form.folds) == expected
    plain = passed(model, source, PassForm(form.batch_size, 1))
    torch.testing.assert_close(passed(model, source, form), plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_keeps_its_form(dtype: torch.dtype) -> None:
    form = best_form(trained_on_noise(series(), (3, 20)).to(dtype), torch.randn(2, 3, 20, dtype=dtype), CPU)
    assert not form.channels_last
    assert not form.folds


def test_the_batch_keeps_the_largest_tensor_small() -> None:
    def network(channels: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, channels, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 2))

    assert LARGEST_ON_CPU < ALONE, "of a tensor as large as that the memory is given back, and zeroed anew"
    for channels, expected in ((1, MOST_EXAMPLES), (16, 16), (17, 16), (64, 4), (2048, 1)):
        assert best_form(network(channels), torch.zeros(2, 1, 128, 128), CPU).batch_size == expected
    assert best_form(network(2048), torch.zeros(2, 1, 128, 128), CPU, 7).batch_size == 7
    on_gpu = best_form(network(2048), torch.zeros(2, 1, 128, 128), torch.device("cuda"))
    assert on_gpu.batch_size == 8


def test_a_large_weight_is_no_activation() -> None:
    model = nn.Sequential(nn.Linear(8, 50_000), nn.ReLU(), nn.Linear(50_000, 300))
    assert largest_bytes(model, torch.zeros(2, 8)) == 2 * 50_000 * 4


def test_the_numbers_that_are_not_finite_stay_what_they_are() -> None:
    model = trained_on_noise(build("cifar/resnet20", {}), (3, 32, 32))
    layer: Any = model.get_submodule("bn1")
    layer.running_var[3] = torch.nan
    source = source_of((3, 32, 32))
    assert passed(model, source, PassForm(4, 1, True, True)).isnan().all()
    assert not best_form(model, torch.randn(2, 3, 32, 32), CPU).folds, "what cannot be compared is left alone"


def test_side_by_side_each_network_is_as_alone() -> None:
    models = [trained_on_noise(build("cifar/resnet20", {}), (3, 32, 32)) for _ in range(2)]
    models.append(copy.deepcopy(models[0]).double())
    source, form = source_of((3, 32, 32)), PassForm(5, 1, True, True)
    together = predict_each(models, source, np.arange(12), Setting(form, CPU, silent), "pass")
    for model, logits in zip(models, together, strict=True):
        assert torch.equal(passed(model, source, form), logits)
    assert together[2].dtype == torch.float64


def test_autocast_computes_in_less_and_puts_out_what_the_network_is_of() -> None:
    model, source = trained_on_noise(build("cifar/resnet20", {}), (3, 32, 32)), source_of((3, 32, 32))
    usual, coarse = (passed(model, source, PassForm(4, 1), autocast=kind) for kind in (None, "bfloat16"))
    assert coarse.dtype == torch.float32
    difference = float((coarse - usual).abs().max() / usual.abs().max())
    assert 1e-4 < difference < 0.1


def test_inputs_that_a_network_does_not_take_are_named_also_where_it_folds() -> None:
    model = trained_on_noise(build("cifar/resnet20", {}), (3, 32, 32))
    with pytest.raises(ModelError, match=r"cannot take inputs of shape \(4, 5, 32, 32\)"):
        passed(model, source_of((5, 32, 32)), PassForm(4, 1, channels_last=True, folds=True))


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, "8"])
def test_a_batch_size_that_is_none_is_refused(batch_size: Any) -> None:
    with pytest.raises(UsageError, match=r"batch_size is .*1 at least"):
        retrofit(trained_on_noise(series(), (3, 20)), "alpha", data=source_of((3, 20)), batch_size=batch_size)


@pytest.mark.parametrize("recipe", [PRESETS["alpha"], PRESETS["adabn"]], ids=["alpha", "adabn"])
def test_what_the_first_attempt_settled_is_obeyed_where_another_would_be_chosen(recipe: Recipe) -> None:
    """The first ran on two threads, with batches of 3, and was killed after some trials; here there is one thread."""
    model = trained_on_noise(build("cifar/resnet20", {"num_classes": 3}), (3, 16, 16))
    data = source_of((3, 16, 16), 80)
    settled = PassForm(3, 2, channels_last=False, folds=True)
    first = Memory({}, 0)
    settled_row = {form_key(model, data): settled.to_row()}
    with threads(1):
        whole = carry_out(model, planned(model, recipe, data, trials=Memory(settled_row, 1)), "", {})
    assert (whole.summary.environment.batch_size, whole.summary.environment.threads) == (3, 2)
    with threads(1):
        carry_out(model, planned(model, recipe, data, trials=Noted(first, settled_row)), "", {})
    kept = settled_row | first.after
    for finished in (1, 2, len(kept)):
        with threads(1):
            again = carry_out(model, planned(model, recipe, data, trials=Memory(kept, finished)), "", {})
            assert torch.get_num_threads() == 2
        assert again.summary.digest == whole.summary.digest
        state = whole.model.state_dict()
        assert all(torch.equal(tensor, state[name]) for name, tensor in again.model.state_dict().items())


class Noted:
    """Trials that begin with ``known``, and note in ``memory`` what is new."""

    def __init__(self, memory: Memory, known: dict[str, Tensor]) -> None:
        self._memory, self._known = memory, known

    def recall(self, key: str) -> Tensor | None:
        return self._known.get(key)

    def keep(self, key: str, stage: str, logits: Tensor) -> None:
        self._memory.keep(key, stage, logits)
