"""A network of lazy modules gets its sizes from the file, and none from being run."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin

from calibrate import open_model, retrofit
from calibrate.errors import ModelError
from calibrate.surgery import find_sites

pytestmark = pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning")


class Never(nn.Module):
    """Fails where the network is run."""

    def forward(self, x: Tensor) -> Tensor:
        if not x.is_meta and x.numel() == 0:
            raise AssertionError
        return x


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.LazyConv2d(8, 3, groups=2),
        nn.LazyBatchNorm2d(),
        Never(),
        nn.LazyConvTranspose2d(6, 2, groups=2, bias=False),
        nn.LazyBatchNorm2d(affine=False),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(4), nn.LazyBatchNorm1d()),
    )


def trained() -> nn.Sequential:
    torch.manual_seed(0)
    model = network()
    for _ in range(3):
        model(torch.randn(8, 4, 9, 9))
    return model.eval()


@pytest.mark.parametrize("prefix", ["", "model.net.", "module."])
def test_sizes_come_from_the_file(prefix: str, tmp_path: Path) -> None:
    model = trained()
    torch.save({"state_dict": {prefix + name: t for name, t in model.state_dict().items()}}, tmp_path / "w.pth")
    opened = open_model(tmp_path / "w.pth", model=network())
    assert str(opened.model) == str(model)
    assert [type(module) for module in opened.model.modules()] == [type(module) for module in model.modules()]
    assert not any(isinstance(module, LazyModuleMixin) for module in opened.model.modules())
    x = torch.randn(2, 4, 9, 9)
    assert torch.equal(opened.model(x), model(x))
    assert [site.channels for site in find_sites(opened.model)] == [8, 6, 4]


def test_what_the_file_lacks_or_has_of_another_size_is_named(tmp_path: Path) -> None:
    state = trained().state_dict()
    torch.save({name: tensor for name, tensor in state.items() if not name.startswith("5.2")}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"2 missing from the file: 5\.2\.weight, 5\.2\.bias"):
        open_model(tmp_path / "w.pth", model=network())
    torch.save({**state, "0.weight": torch.ones(7, 2, 3, 3), "5.2.weight": torch.ones(4)}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"of another shape.*0\.weight \(float32 \(7, 2, 3, 3\) in the file, float32"):
        open_model(tmp_path / "w.pth", model=network())


class LazyScale(LazyModuleMixin, nn.Module):
    """A lazy module of a user's own."""

    cls_to_become = None

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.UninitializedParameter()

    def initialize_parameters(self, x: Tensor) -> None:  # type: ignore[override]
        if self.has_uninitialized_params():  # type: ignore[misc]
            self.scale.materialize((x.shape[1],))
            nn.init.ones_(self.scale)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale[:, None, None]


def test_a_lazy_module_of_the_user_s_own_takes_the_stored_shape(tmp_path: Path) -> None:
    torch.save({"net.0.scale": torch.tensor([1.0, 2.0])}, tmp_path / "w.pth")
    opened = open_model(tmp_path / "w.pth", model=nn.Sequential(LazyScale()))
    assert torch.equal(opened.model(torch.ones(1, 2, 1, 1)).flatten(), torch.tensor([1.0, 2.0]))


def test_a_lazy_network_without_weights_is_refused_in_a_sentence() -> None:
    examples = [(torch.full((4, 9, 9), float(i % 2)), i % 2) for i in range(12)]
    with pytest.raises(ModelError, match=r"lazy modules whose sizes are not known .*Run it once on an example"):
        retrofit(network(), [{"kind": "temperature"}], data=examples)
