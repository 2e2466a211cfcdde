"""Networks by name: what is built, and what is said about what cannot be."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn

from calibrate.errors import ModelError
from calibrate.io import build, build_named, default_preprocessing
from calibrate.io.torchvision_architectures import torchvision_models
from calibrate.recipe import Preprocessing


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's module in the current directory, which is not on the path."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "users_networks.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Linear):\n"
        "    @classmethod\n"
        "    def wide(cls, width=3):\n"
        "        import users_parts\n"
        "        return cls(2, users_parts.double(width))\n"
        "number = 3\n"
        "def strange():\n"
        "    return 'no network'\n"
        "def leaving():\n"
        "    raise SystemExit(2)\n"
    )
    (tmp_path / "users_parts.py").write_text("def double(width):\n    return 2 * width\n")
    yield tmp_path
    for name in ("users_networks", "users_parts"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "shufflenet_v2_x0_5"])
def test_a_torchvision_network_is_torchvisions_in_eval_mode(name: str) -> None:
    model = build(f"torchvision/{name}", {"num_classes": 7})
    theirs = torchvision.models.get_model(name, weights=None, num_classes=7)
    assert type(model) is type(theirs)
    assert {k: v.shape for k, v in model.state_dict().items()} == {k: v.shape for k, v in theirs.state_dict().items()}
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_inception_builds_without_a_warning(name: str) -> None:
    with torch.device("meta"):
        assert build(f"torchvision/{name}", {"aux_logits": False}).aux_logits is False


def test_a_cifar_network_takes_its_arguments() -> None:
    model = build("cifar/resnet8", {"num_classes": 5, "in_channels": 1})
    assert model(torch.zeros(2, 1, 8, 8)).shape == (2, 5)
    assert not model.training


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("torchvision/resnet_50", "torchvision/resnet50"),
        ("resnet50", "torchvision/resnet50"),
        ("resnet56", "cifar/resnet56"),
        ("timm/efficientnet_litte0", "timm/efficientnet_lite0"),
        ("torchvision/maskrcnn_resnet50_fpn", "package.module:factory"),
        ("torchvision/ResNet18_Weights", "torchvision/resnet18"),
        ("cifar/vgg", "cifar/resnet<depth>"),
        ("", "torchvision/<name>"),
        ("../etc/passwd", "torchvision/<name>"),
    ],
)
def test_an_unknown_name_gets_a_suggestion(name: str, hint: str) -> None:
    for ask in (build, default_preprocessing):
        with pytest.raises(ModelError) as caught:
            ask(name, {})
        assert repr(name) in str(caught.value)
        assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("name", "args", "complaint"),
    [
        ("torchvision/resnet18", {"classes": 3}, "TypeError: .*'classes'"),
        ("torchvision/resnet18", {"pretrained": True}, "TypeError: .*'pretrained'"),
        ("torchvision/resnet18", {"weights": "DEFAULT"}, "TypeError: .*'weights'"),
        ("torchvision/resnet18", {"num_classes": -1}, "RuntimeError"),
        ("cifar/resnet20", {"depth": 8}, "TypeError: .*'depth'"),
        ("cifar/resnet20", {"num_classes": "ten"}, "TypeError"),
    ],
)
def test_bad_arguments_are_named(name: str, args: dict, complaint: str) -> None:
    with pytest.raises(ModelError, match=complaint) as caught:
        build(name, args)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_a_factory_in_the_current_directory_is_found_and_the_path_given_back(networks: Path) -> None:
    before = list(sys.path)
    model = build("users_networks:Net.wide", {"width": 4})
    assert model.out_features == 8
    assert not model.training
    assert sys.path == before


@pytest.mark.parametrize(
    ("name", "args", "complaint"),
    [
        ("users_nothing:Net", {}, "ModuleNotFoundError: No module named 'users_nothing'"),
        ("users_networks:Nat", {}, "AttributeError: .*'Nat'"),
        ("users_networks:number", {}, "is a int, which cannot be called"),
        ("users_networks:strange", {}, "returned a str"),
        ("users_networks:leaving", {}, "SystemExit: 2"),
        ("users_networks:Net.wide", {"with": 4}, "TypeError: .*'with'"),
    ],
)
def test_a_factory_that_fails_is_explained_and_the_path_given_back(
    networks: Path, name: str, args: dict, complaint: str
) -> None:
    before = list(sys.path)
    with pytest.raises(ModelError, match=complaint) as caught:
        build(name, args)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sys.path == before


def test_a_module_that_does_not_compile_is_explained(networks: Path) -> None:
    (networks / "users_typo.py").write_text("def (:\n")
    with pytest.raises(ModelError, match="cannot be imported: SyntaxError"):
        build("users_typo:net", {})


def test_named_families_never_reach_the_users_code(networks: Path) -> None:
    with pytest.raises(ModelError, match="not known"):
        build_named("users_networks:Net.wide", {})
    assert "users_networks" not in sys.modules


def test_a_factory_of_a_published_package() -> None:
    model = build("efficientnet_lite_pytorch:EfficientNet.from_name", {"model_name": "efficientnet-lite0"})
    assert isinstance(model, nn.Module)


@pytest.mark.parametrize("name", ["resnet50", "efficientnet_b3", "vit_h_14", "regnet_y_400mf"])
def test_torchvision_preprocessing_equals_its_preset(name: str) -> None:
    """On noise, spelt out with PIL and numpy."""
    ours = default_preprocessing(f"torchvision/{name}", {})
    preset = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (600, 600, 3), np.uint8))
    kernel = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[ours.interpolation]
    border = round((ours.resize - ours.crop) / 2)
    box = (border, border, border + ours.crop, border + ours.crop)
    pixels = np.asarray(image.resize((ours.resize, ours.resize), kernel).crop(box), np.float64) / 255
    expected = ((pixels - ours.mean) / ours.std).transpose(2, 0, 1)
    np.testing.assert_allclose(preset(image).numpy(), expected, atol=1e-6)


def test_every_torchvision_model_has_a_preprocessing() -> None:
    assert all(isinstance(default_preprocessing(f"torchvision/{m}", {}), Preprocessing) for m in torchvision_models())


def test_inception_gets_the_same_input_either_way() -> None:
    """``transform_input`` turns ImageNet's normalisation into that of mean and deviation 0.5."""
    x = torch.rand(2, 3, 4, 4)
    with torch.device("meta"):
        model = build("torchvision/inception_v3", {"transform_input": True})

    def normalised(args: dict) -> torch.Tensor:
        preprocessing = default_preprocessing("torchvision/inception_v3", args)
        mean, std = (torch.tensor(v)[:, None, None] for v in (preprocessing.mean, preprocessing.std))
        return (x - mean) / std

    torch.testing.assert_close(model._transform_input(normalised({"transform_input": True})), normalised({}))


def test_nothing_is_assumed_of_factories_and_odd_channels() -> None:
    assert default_preprocessing("package.module:factory", {}) is None
    assert default_preprocessing("cifar/resnet20", {"in_channels": 1}) is None
    assert default_preprocessing("cifar/resnet20", {}) == Preprocessing(resize=32, crop=32)
