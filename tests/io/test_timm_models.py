"""timm's networks by name: its own modules, its own preprocessing, never its weights."""

import socket
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from calibrate.errors import ModelError, UnavailableError, UsageError
from calibrate.io import build, build_named, default_preprocessing

timm = pytest.importorskip("timm")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize("name", ["test_resnet", "resnet18.a1_in1k", "mobilenetv3_small_050"])
def test_a_timm_network_is_timms_in_eval_mode(name: str) -> None:
    for door in (build, build_named):
        with torch.device("meta"):
            model = door(f"timm/{name}", {"num_classes": 7})
            theirs = timm.create_model(name, num_classes=7)
        assert type(model) is type(theirs)
        assert {k: v.shape for k, v in model.state_dict().items()} == {
            k: v.shape for k, v in theirs.state_dict().items()
        }
        assert not any(module.training for module in model.modules())


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("timm/resnett18", "timm/resnet18"),
        ("timm/ResNet18", "timm/resnet18"),
        ("timm/", "timm.list_models()"),
        ("timm/hf-hub:timm/resnet18.a1_in1k", "a hub address is no architecture"),
        ("timm/hf_hub:someone/something", "a hub address is no architecture"),
        ("timm/local-dir:/etc", "a hub address is no architecture"),
    ],
)
def test_an_unknown_name_gets_a_suggestion_and_no_download(name: str, hint: str) -> None:
    for ask in (build, default_preprocessing):
        with pytest.raises(ModelError) as caught:
            ask(name, {})
        assert repr(name) in str(caught.value)
        assert hint in str(caught.value)


@pytest.mark.parametrize("argument", ["pretrained", "checkpoint_path", "cache_dir"])
def test_arguments_that_fetch_weights_are_refused(argument: str) -> None:
    with pytest.raises(UsageError, match=f"'{argument}' would have timm fetch weights"):
        build("timm/test_resnet", {argument: "/etc/passwd"})


def test_bad_arguments_and_tags_are_named() -> None:
    with pytest.raises(ModelError, match=r"timm/test_resnet.*TypeError: .*'nonsense'"):
        build("timm/test_resnet", {"nonsense": 3})
    with pytest.raises(ModelError, match=r"timm/resnet18\.nonsense.*Invalid pretrained tag"):
        build("timm/resnet18.nonsense", {})


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    for ask in (build, default_preprocessing):
        with pytest.raises(UnavailableError, match=r'pip install "afternorm\[timm\]"'):
            ask("timm/resnet18", {})


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18.tv_in1k", "inception_v3", "vit_tiny_patch16_224"])
def test_preprocessing_equals_timms_own(name: str) -> None:
    """On noise, against the transform that timm evaluates with, spelt out with PIL and numpy."""
    ours = default_preprocessing(f"timm/{name}", {})
    assert ours is not None
    config = timm.data.resolve_data_config({}, pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
    theirs = timm.data.create_transform(**config, is_training=False)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8))
    kernel = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[ours.interpolation]
    assert ours.resize is not None
    assert ours.crop is not None
    border = round((ours.resize - ours.crop) / 2)
    box = (border, border, border + ours.crop, border + ours.crop)
    pixels = np.asarray(image.resize((ours.resize, ours.resize), kernel).crop(box), np.float64) / 255
    expected = ((pixels - ours.mean) / ours.std).transpose(2, 0, 1)
    np.testing.assert_allclose(theirs(image).numpy(), expected, atol=1e-5)


def test_what_cannot_be_said_as_a_square_crop_is_left_to_the_user() -> None:
    assert default_preprocessing("timm/resnet18", {"in_chans": 1}) is None
    configs = {name: timm.get_pretrained_cfg(name) for name in timm.list_models()}
    squashed = next(name for name, config in configs.items() if config and config.crop_mode == "squash")
    assert default_preprocessing(f"timm/{squashed}", {}) is None


def test_the_image_size_of_the_arguments_decides() -> None:
    ours = default_preprocessing("timm/vit_tiny_patch16_224", {"img_size": 96})
    assert ours is not None
    assert (ours.crop, ours.resize) == (96, 106)
