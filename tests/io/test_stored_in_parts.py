"""Weights stored in parts are what torch's own modules compute in evaluation, bit for bit."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from calibrate import open_model
from calibrate.errors import ModelError
from calibrate.surgery import copied

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.nn.utils import spectral_norm, weight_norm

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")


def network() -> nn.Sequential:
    """Square weights too, whose shapes do not tell by which dimension they are normalised."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ConvTranspose2d(4, 4, 3),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        nn.Linear(4, 4),
    )


def pruned(model: nn.Sequential) -> None:
    prune.l1_unstructured(model[0], "weight", 0.5)
    prune.random_structured(model[2], "weight", 0.5, dim=1)
    prune.random_unstructured(model[4], "bias", 0.5)


def each(wrap: Callable[..., nn.Module], *dims: int | None) -> Callable[[nn.Sequential], None]:
    """Wrap the three layers, by the dimensions of these where they are given."""

    def wrap_all(model: nn.Sequential) -> None:
        for number, place in enumerate((0, 2, 4)):
            wrap(model[place], **({"dim": dims[number]} if dims else {}))

    return wrap_all


WAYS: dict[str, tuple[Callable[[nn.Sequential], None], str]] = {
    "pruned": (pruned, "pruned"),
    "weight norm": (each(weight_norm), "weight norm"),
    "weight norm by others": (each(weight_norm, 1, None, 1), "weight norm"),
    "spectral norm": (each(spectral_norm), "spectral norm"),
    "spectral norm by others": (each(spectral_norm, 1, 0, 1), "spectral norm"),
    "parametrised weight norm": (each(parametrizations.weight_norm), "weight norm"),
    "parametrised weight norm by others": (each(parametrizations.weight_norm, 2, 1, None), "weight norm"),
    "parametrised spectral norm": (each(parametrizations.spectral_norm), "spectral norm"),
}


def trained(wrap: Callable[[nn.Sequential], None], seed: int = 0) -> nn.Sequential:
    """A wrapped network after some steps, so that singular vectors and lengths are not those of the start."""
    torch.manual_seed(seed)
    model = network()
    wrap(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(4):
        optimizer.zero_grad()
        model(torch.randn(8, 3, 6, 6)).square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, 6, 6))  # torch's hooks compute the weights here
    return model


@pytest.mark.parametrize("prefix", ["", "module.model."])
@pytest.mark.parametrize("way", WAYS)
def test_the_plain_weight_is_torch_s_own(way: str, prefix: str, tmp_path: Path) -> None:
    wrap, kind = WAYS[way]
    model = trained(wrap)
    torch.save({prefix + name: tensor for name, tensor in model.state_dict().items()}, tmp_path / "w.pth")
    opened = open_model(tmp_path / "w.pth", model=network())
    for place in (0, 2, 4):
        assert torch.equal(opened.model[place].weight, model[place].weight)  # type: ignore[index]
    x = torch.randn(3, 3, 6, 6)
    assert torch.equal(opened.model(x), model(x))
    assert [finding.code for finding in opened.findings] == ["weights-made-whole"]
    assert f"({kind})" in opened.findings[0].message


@pytest.mark.parametrize("way", WAYS)
def test_a_network_that_stores_them_in_parts_itself_takes_the_parts(way: str, tmp_path: Path) -> None:
    wrap, _ = WAYS[way]
    model, other = trained(wrap), trained(wrap, seed=1)
    torch.save({f"net.{name}": tensor for name, tensor in model.state_dict().items()}, tmp_path / "w.pth")
    opened = open_model(tmp_path / "w.pth", model=other)
    assert opened.findings == ()
    assert torch.equal(opened.model[0].weight, model[0].weight)  # type: ignore[index]
    x = torch.randn(3, 3, 6, 6)
    assert torch.equal(copied(opened.model)(x), model(x))
    if not way.startswith("parametrised"):
        assert not torch.equal(other[0].weight, model[0].weight)


def test_a_parametrisation_that_only_its_class_can_compute_is_refused(tmp_path: Path) -> None:
    model = network()
    parametrizations.orthogonal(model[4])
    torch.save(model.state_dict(), tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"1 missing .*4\.weight.*parametrisation that only its own class"):
        open_model(tmp_path / "w.pth", model=network())


def test_parts_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    state: dict[str, Tensor] = {
        **network().state_dict(),
        "4.weight_v": torch.ones(4, 4),
        "4.weight_g": torch.ones(3, 1),
    }
    del state["4.weight"]
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"1 missing .*4\.weight.*4\.weight_v"):
        open_model(tmp_path / "w.pth", model=network())


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_observers_of_quantisation_aware_training_are_left_out_with_a_warning(tmp_path: Path) -> None:
    plain = network()
    aware = network().train()
    aware.qconfig = torch.ao.quantization.get_default_qat_qconfig("fbgemm")  # type: ignore[assignment]
    torch.ao.quantization.prepare_qat(aware, inplace=True)
    aware(torch.randn(8, 3, 6, 6))
    torch.save(aware.state_dict(), tmp_path / "w.pth")
    opened = open_model(tmp_path / "w.pth", model=plain)
    assert all(torch.equal(tensor, aware.state_dict()[name]) for name, tensor in opened.model.state_dict().items())
    [finding] = opened.findings
    assert (finding.code, finding.severity) == ("quantisation-aware", "warning")
    extra = len(aware.state_dict()) - len(plain.state_dict())
    assert f"{extra} entries" in finding.message
