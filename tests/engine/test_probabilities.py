"""Networks that put out probabilities: found on examples, their logits taken, said, written, and opened again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calibrate import open_model, retrofit
from calibrate.data import split
from calibrate.surgery import logits_taken, take_logits_
from calibrate.surgery.probabilities import HOOKS, LeftOut
from tests.builders.networks import convolutional, vectors, warmed_up
from tests.builders.runs import codes, messages

K = 3
DATA = [(torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(i)) + i % K, i % K) for i in range(60)]


class Ended(nn.Module):
    """A network with 9 times the logits of the plain one, whose end is ``end``; ``act`` is there, called or not."""

    def __init__(self, end: Callable[[Any, Tensor], Tensor], act: nn.Module | None = None) -> None:
        super().__init__()
        self.body = convolutional()
        self.act = nn.Identity() if act is None else act
        self.end = end

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self, 9 * self.body(x))


class Shared(nn.Module):
    """Its softmax is called twice: within, and at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.act = convolutional(), nn.Softmax(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(9 * self.act(self.body(x)))


def function(end: Callable[[Tensor], Tensor]) -> nn.Module:
    return Ended(lambda _, z: end(z))


def module(act: nn.Module, after: Callable[[Tensor], Tensor] = lambda p: p) -> nn.Module:
    return Ended(lambda net, z: after(net.act(z)), act)


def one_by_one(z: Tensor) -> Tensor:
    return torch.cat([one.sigmoid() for one in z.split(1, 1)], 1).float()


def of_two(z: Tensor) -> Tensor:
    return torch.stack([z[:, 0].sigmoid(), 1 - z[:, 0].sigmoid()], 1)


#: A network, what made its probabilities, and the module that can be left out.
ENDS: dict[str, tuple[Callable[[], nn.Module], str, str | None]] = {
    "softmax module": (lambda: module(nn.Softmax(1)), "softmax", "act"),
    "softmax in a sequence": (lambda: nn.Sequential(convolutional(), nn.Softmax(-1)), "softmax", "1"),
    "softmax function": (lambda: function(lambda z: torch.softmax(z, 1)), "softmax", None),
    "exponential of log-softmax": (lambda: function(lambda z: z.log_softmax(1).exp()), "softmax", None),
    "softmax called twice": (Shared, "softmax", None),
    "softmax, then a view": (lambda: module(nn.Softmax(1), lambda p: p[:, :, None].squeeze(2)), "softmax", "act"),
    "softmax, clamped": (lambda: module(nn.Softmax(1), lambda p: p.clamp(1e-7, 1)), "softmax", None),
    "sigmoid module": (lambda: module(nn.Sigmoid()), "sigmoid", "act"),
    "sigmoid function": (lambda: function(lambda z: torch.sigmoid(z / 9)), "sigmoid", None),
    "sigmoids joined": (lambda: function(one_by_one), "sigmoid", None),
    "p and 1 - p": (lambda: function(of_two), "softmax", None),
}


@pytest.fixture(params=ENDS)
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, str, str | None]:
    make, link, left_out = ENDS[request.param]
    return warmed_up(make()), link, left_out


def inputs() -> Tensor:
    return torch.stack([x for x, _ in DATA])


def test_the_logits_are_those_that_make_the_probabilities(case: tuple[nn.Module, str, str | None]) -> None:
    net, link, left_out = case
    state = {name: value.clone() for name, value in net.state_dict().items()}
    p = net(inputs()).detach().double()
    taken = take_logits_(net, inputs())
    assert taken is not None
    assert (taken.link, taken.module) == (link, left_out)
    assert logits_taken(net) == taken
    z = net(inputs()).detach().double()
    again = z.softmax(1) if link == "softmax" else z.sigmoid()
    torch.testing.assert_close(again, p, rtol=0, atol=2e-6)
    assert net.state_dict().keys() == state.keys()


def test_a_network_in_training_mode_is_looked_at_in_evaluation_mode(case: tuple[nn.Module, str, str | None]) -> None:
    net, link, left_out = case
    net.train()
    next(module for module in net.modules() if isinstance(module, nn.BatchNorm2d)).eval()  # each has its own mode
    state = {name: value.clone() for name, value in net.state_dict().items()}
    modes = {name: module.training for name, module in net.named_modules()}
    sizes: list[int] = []
    net.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    taken = take_logits_(net, inputs())
    assert taken is not None
    assert (taken.link, taken.module) == (link, left_out)
    assert sum(sizes) <= 2 * len(DATA) + 3
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert all(module.training == modes[name] for name, module in net.named_modules() if name != left_out)


@pytest.mark.parametrize("body", [convolutional, vectors])
@pytest.mark.parametrize("end", [nn.Softmax(1), nn.Sigmoid()])
def test_the_mode_of_the_network_changes_nothing(body: Callable[[], nn.Module], end: nn.Module) -> None:
    net = warmed_up(nn.Sequential(body(), end))
    wanted = retrofit(net, [{"kind": "temperature"}], data=DATA)
    outcome = retrofit(net.train(), [{"kind": "temperature"}], data=DATA)
    assert outcome.summary.findings == wanted.summary.findings
    state = outcome.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in wanted.model.state_dict().items())


@pytest.mark.parametrize("end", ["softmax module", "softmax function", "sigmoid function"])
def test_scores_are_of_the_probabilities_and_files_open_again(end: str, tmp_path: Path) -> None:
    make, link, left_out = ENDS[end]
    net = warmed_up(make())
    steps = [{"kind": "set_alpha", "alpha": 0.2}, {"kind": "temperature"}, {"kind": "measure", "resamples": 100}]
    outcome = retrofit(net, steps, data=DATA)
    measured, labels = outcome.summary.measurement, np.array([y for _, y in DATA])
    assert measured is not None
    rows = np.sort(split(labels, 0).holdout)
    with torch.inference_mode():
        p = net(inputs()[rows]).double().numpy()
    odds = p if link == "softmax" else p / (1 - p)
    nll = -np.log((odds / odds.sum(1, keepdims=True))[np.arange(len(rows)), labels[rows]]).mean()
    assert measured.arm("original").metrics["nll"].value == pytest.approx(nll, abs=1e-4)
    (said,) = messages(outcome.summary, "outputs-probabilities")
    assert link in said
    assert "ONNX" in said

    outcome.save(tmp_path)
    reopened = open_model(tmp_path / "tuned.safetensors", model=warmed_up(make(), 1))
    with torch.inference_mode():
        wanted = outcome.model(inputs())
        assert torch.equal(reopened.model(inputs()), wanted)
    assert reopened.provenance is not None
    assert (reopened.provenance.link, reopened.provenance.link_module) == (link, left_out)

    import onnxruntime

    session = onnxruntime.InferenceSession(str(tmp_path / "tuned.onnx"))
    (served,) = session.run(None, {session.get_inputs()[0].name: inputs().numpy()})
    np.testing.assert_allclose(served, wanted, rtol=1e-3, atol=1e-3)

    again = retrofit(reopened.model, [{"kind": "temperature"}], data=DATA)  # a tuned network is tuned once more
    assert "outputs-probabilities" not in codes(again.summary)
    again.save(tmp_path / "again", formats=["safetensors"])
    third = open_model(tmp_path / "again" / "tuned.safetensors", model=make())
    with torch.inference_mode():
        assert torch.equal(third.model(inputs()), again.model(inputs()))


def test_a_temperature_folds_into_the_last_layer_where_the_module_is_left_out() -> None:
    outcome = retrofit(warmed_up(ENDS["softmax in a sequence"][0]()), [{"kind": "temperature"}], data=DATA)
    assert outcome.summary.changes.temperature_folded_into == "0.8"
    assert any(isinstance(module, LeftOut) for module in outcome.model.modules())


def test_a_recipe_that_looks_at_no_logits_leaves_the_probabilities() -> None:
    net = warmed_up(ENDS["softmax function"][0]())
    outcome = retrofit(net, [{"kind": "reestimate"}], data=DATA)
    assert "outputs-probabilities" not in codes(outcome.summary)
    torch.testing.assert_close(outcome.model(inputs()).sum(1), torch.ones(len(DATA)))


NO_PROBABILITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "logits": lambda z: z,
    "log-probabilities": lambda z: z.log_softmax(1),
    "rectified": torch.relu,
    "the same for all": lambda z: 0 * z + torch.arange(1.0, 4.0),
    "sums that differ": lambda z: z.softmax(1) * (1 + z[:, :1].sigmoid()),
    "zeros": torch.zeros_like,
}


@pytest.mark.parametrize("end", NO_PROBABILITIES)
def test_logits_are_left_as_they_are(end: str) -> None:
    net = warmed_up(function(NO_PROBABILITIES[end]))
    expected = net(inputs())
    assert take_logits_(net, inputs()) is None
    assert torch.equal(net(inputs()), expected)


@pytest.mark.parametrize("total", [100, 2, 0.3])
def test_probabilities_of_another_total_are_told_by_their_sum(total: float) -> None:
    net = warmed_up(function(lambda z: total * z.softmax(1)))
    p = net(inputs()).detach()
    outcome = retrofit(net, [{"kind": "temperature"}], data=DATA)
    (said,) = messages(outcome.summary, "outputs-probabilities")
    assert f"sum up to {total:g} over the classes" in said
    assert take_logits_(net, inputs()) is not None
    torch.testing.assert_close(net(inputs()).detach().double().softmax(1), p.double() / total, rtol=0, atol=2e-6)


def test_what_may_be_probabilities_and_is_not_proven_to_be_is_said() -> None:
    net = warmed_up(function(lambda z: 1 / (1 + (-z / 9).exp())))
    outcome = retrofit(net, [{"kind": "temperature"}], data=DATA)
    (said,) = messages(outcome.summary, "outputs-in-unit-interval")
    assert "factory" in said


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_logarithm_is_finite_in_every_precision(dtype: torch.dtype) -> None:
    net = nn.Sequential(nn.Linear(2, 3, dtype=dtype))
    for link, p in (("softmax", [[1.0, 0.0, 0.0]]), ("sigmoid", [[1.0, 0.0, 0.5]])):
        z = HOOKS[link](net, (), torch.tensor(p, dtype=dtype))  # type: ignore[index]
        assert z.isfinite().all()
        assert z.dtype == dtype


def test_a_saturated_sigmoid_gives_the_largest_logit_that_its_precision_tells() -> None:
    z = torch.tensor([[30.0, 12.0, -3.0], [-40.0, 1.0, 2.0]])
    network = _Sigmoid()
    take_logits_(network, z)
    logits = network(z)
    assert torch.allclose(logits[0, 1:], z[0, 1:], rtol=0, atol=0.1)
    assert 16 < float(logits[0, 0]) < 18
    assert float(logits[1, 0]) == pytest.approx(-40, rel=1e-5)


class _Sigmoid(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x)
