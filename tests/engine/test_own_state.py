"""Networks with a state dict, or a loading, of their own: opened with every weight of the file, or refused by name."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from calibrate import open_model, retrofit
from calibrate.errors import ModelError
from tests.builders.networks import convolutional, warmed_up

DATA = [(torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(i)) + i % 3, i % 3) for i in range(30)]
X = torch.stack([x for x, _ in DATA[:4]])
State = Mapping[str, Any]


class Own(nn.Module):
    """A network whose state dict is what ``give`` makes of torch's, and which loads what ``take`` makes of one."""

    def __init__(self, give: Callable[[State], Any] = dict, take: Callable[[State], State] = dict, strict: bool = True):
        super().__init__()
        self.body = convolutional()
        self.give, self.take, self.strict = give, take, strict

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        return self.give(super().state_dict(*args, **kwargs))

    def load_state_dict(self, state_dict: State, strict: bool = True, assign: bool = False) -> Any:
        return super().load_state_dict(self.take(state_dict), strict and self.strict, assign)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Narrow(nn.Module):
    """Its state dict takes no arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.body = convolutional()

    def state_dict(self) -> Any:  # type: ignore[override]
        return super().state_dict()

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Extra(Own):
    """It has extra state, which is no tensor."""

    def get_extra_state(self) -> Any:
        return {"a": 1}

    def set_extra_state(self, state: Any) -> None:
        assert state == {"a": 1}


def raises(_: State) -> Any:
    raise LookupError("no\nsuch store")


def without_norms(state: State) -> dict[str, Any]:
    return {name: tensor for name, tensor in state.items() if "body.1." not in name}


def under(state: State) -> dict[str, Any]:
    return {f"net.{name}": tensor for name, tensor in state.items()}


def stripped(state: State) -> dict[str, Any]:
    return {name.removeprefix("net."): tensor for name, tensor in state.items()}


OPEN: dict[str, Callable[[], nn.Module]] = {
    "plain": Own,
    "renames": lambda: Own(under, stripped),
    "copies": lambda: Own(lambda state: {name: tensor.detach().clone() for name, tensor in state.items()}),
    "extra state": Extra,
}
REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "state dict raises": (lambda: Own(raises), "state_dict raised LookupError: no such store; let its"),
    "state dict without arguments": (Narrow, "state_dict raised TypeError: .*keep_vars"),
    "leaves out": (
        lambda: Own(without_norms, strict=False),
        r"leaves out 4 of its \d+ parameters and running statistics, such as body\.1\.",
    ),
    "nested": (lambda: Own(lambda state: {"epoch": 3, "net": state}), "leaves out"),
    "no mapping": (lambda: Own(lambda state: list(state.values())), "leaves out"),
    "arrays": (lambda: Own(lambda state: {name: tensor.detach().numpy() for name, tensor in state.items()}), "leaves"),
    "loading raises": (lambda: Own(take=raises), "cannot load its weights: LookupError: no such store; let its"),
    "names that do not load": (lambda: Own(under), "cannot load its weights: RuntimeError: .*Missing key"),
    "loads nothing": (lambda: Own(take=lambda _: {}, strict=False), r"holds other values for body\.0\.weight"),
    "loads a part": (lambda: Own(take=without_norms, strict=False), r"holds other values for body\.1\.weight"),
}


def written(folder: Path) -> nn.Module:
    """A network whose weights, as torch names them, lie in ``w.pth``."""
    net = Own()
    net.body = warmed_up(convolutional(), 5)
    torch.save(nn.Module.state_dict(net), folder / "w.pth")
    return net.eval()


@pytest.mark.parametrize("case", OPEN)
def test_a_faithful_state_dict_of_its_own_opens_and_is_tuned(case: str, tmp_path: Path) -> None:
    net = written(tmp_path)
    opened = open_model(tmp_path / "w.pth", model=OPEN[case]())
    assert torch.equal(opened.model(X), net(X))
    step = {"kind": "reestimate"} if case == "renames" else {"kind": "set_alpha", "alpha": 0.5}
    outcome = retrofit(opened.model, [step], data=DATA)
    outcome.save(tmp_path / "out", formats=["safetensors"])
    stored = load_file(tmp_path / "out" / "tuned.safetensors")
    added = set() if case == "renames" else {f"body.{i}.alpha" for i in (1, 4)}
    assert stored.keys() == opened.model.state_dict().keys() - {"_extra_state"} | added
    tuned = open_model(tmp_path / "out" / "tuned.safetensors", model=OPEN[case]())
    assert not torch.equal(tuned.model(X), net(X))


@pytest.mark.parametrize("case", REFUSED)
def test_another_is_refused_in_a_sentence(case: str, tmp_path: Path) -> None:
    make, said = REFUSED[case]
    written(tmp_path)
    with pytest.raises(ModelError, match=said) as caught:
        open_model(tmp_path / "w.pth", model=make())
    assert "\n" not in str(caught.value)
    assert "what torch.nn.Module's do" in str(caught.value)


@pytest.mark.parametrize("case", ["state dict raises", "leaves out", "arrays"])
def test_it_is_refused_before_any_work(case: str) -> None:
    make, said = REFUSED[case]
    with pytest.raises(ModelError, match=said):
        retrofit(make(), [{"kind": "set_alpha", "alpha": 0.5}], data=DATA)


class Siamese(nn.Module):
    """One encoder under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
        self.b = self.a
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head((self.a(x) - self.b(x.flip(-1)) / 2).mean((2, 3)))


NAMES: dict[str, Callable[[str], bool]] = {
    "both": lambda _: True,
    "the first": lambda name: not name.startswith("b."),
    "the second": lambda name: not name.startswith("a."),
    "now one, now the other": lambda name: name not in ("a.0.weight", "b.1.weight", "b.1.running_mean"),
}


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("stored", NAMES)
def test_a_tied_module_opens_whichever_of_its_names_the_file_has(stored: str, prefix: str, tmp_path: Path) -> None:
    net = warmed_up(Siamese())
    state = {prefix + name: tensor.clone() for name, tensor in net.state_dict().items() if NAMES[stored](name)}
    torch.save(state, tmp_path / "w.pth")
    opened = open_model(tmp_path / "w.pth", model=Siamese())
    assert opened.findings == ()
    assert opened.model.a is opened.model.b
    assert torch.equal(opened.model(X), net(X))
    retrofit(opened.model, [{"kind": "set_alpha", "alpha": 0.5}], data=DATA).save(tmp_path, formats=["safetensors"])
    tuned = open_model(tmp_path / "tuned.safetensors", model=Siamese())
    assert tuned.model.a is tuned.model.b
    assert float(tuned.model.a[1].alpha) == 0.5


def test_tied_modules_of_different_values_are_refused(tmp_path: Path) -> None:
    state = {name: tensor.clone() for name, tensor in warmed_up(Siamese()).state_dict().items()}
    state["b.1.running_mean"] += 1
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"different values for a\.1\.running_mean and b\.1\.running_mean"):
        open_model(tmp_path / "w.pth", model=Siamese())
