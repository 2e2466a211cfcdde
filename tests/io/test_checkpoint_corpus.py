"""Honest checkpoints open in the layouts of many tools, with the tensors they hold; other files are refused by name."""

from pathlib import Path

import pytest
from torch import nn

from calibrate.demo import ARCHITECTURE, ARCHITECTURE_ARGS
from calibrate.engine import open_model
from calibrate.errors import AfternormError
from tests.builders.layouts import LAYOUTS, REFUSED, Layout, Written, opening

#: Layouts that are not read yet.
NOT_YET: frozenset[str] = frozenset(
    {
        "torch: state dict, pickle protocol 4",
        "torch: numpy values beside it, pickle protocol 5",
        "torch: script that keeps everything",
        "torch: best weights of early stopping",
        "torch: whole network",
        "torch: whole DataParallel network, before 1.6",
        "torch: whole network in a dictionary",
        "safetensors: two networks",
        "torch.compile of each block",
        "FSDP: full state dict",
        "activation checkpointing",
        "distributed checkpoint, consolidated",
        "apex",
        "AveragedModel",
        "AveragedModel pickled beside weights",
        "ema-pytorch alone",
        "DINO: student and teacher",
        "MoCo: query and key",
        "distillation",
        "pruned",
        "pruned by channels",
        "weight_norm",
        "weight_norm, parametrised",
        "spectral_norm",
        "spectral_norm, parametrised",
        "aware of quantisation",
        "torchvision: references",
        "timm: train.py",
        "mmengine: runner",
        "mmcls 0.x",
        "detectron2: .pth",
        "detectron2: .pkl of arrays",
        "ultralytics: training",
        "ultralytics: stripped",
        "YOLOv5: classification",
        "Swin: yacs configuration",
        "DeiT",
        "Lightning 1.2",
        "Lightning 2",
        "Lightning: loss and metrics in the module",
        "Lightning: hydra template",
        "Lightning: omegaconf",
        "Lightning: WeightAveraging",
        "Lightning: EMA in a callback",
        "Lightning: DDP and torch.compile",
        "Lightning Fabric",
        "fastai: learn.save",
        "transformers: pytorch_model.bin",
        "composer",
        "composer: EMA",
        "catalyst",
        "skorch",
        "fairseq",
    }
)
#: Layouts with several networks.
SEVERAL = (
    "safetensors: two networks",
    "SWA of Izmailov et al.",
    "AveragedModel pickled beside weights",
    "ema-pytorch beside weights",
    "BasicSR",
    "DINO: student and teacher",
    "MoCo: query and key",
    "torchvision: references",
    "timm: train.py",
    "mmengine: EMAHook",
    "YOLOv5: classification",
    "DeiT",
    "Lightning: WeightAveraging",
    "Lightning: EMA in a callback",
    "ignite: EMAHandler",
)
#: Of these, the layouts of which one cannot be chosen yet.
NOT_CHOSEN_YET: frozenset[str] = frozenset(SEVERAL)


def opened(path: Path) -> nn.Module:
    return open_model(path, ARCHITECTURE, ARCHITECTURE_ARGS).model


def expected(names: frozenset[str], *among: str) -> list[object]:
    """A parameter for each layout ``among`` all; those in ``names`` must fail."""
    return [
        pytest.param(LAYOUTS[name], id=name, marks=[pytest.mark.xfail(strict=True)] if name in names else [])
        for name in among
    ]


@pytest.mark.parametrize("layout", expected(NOT_YET, *LAYOUTS))
def test_an_honest_checkpoint_opens_with_equal_tensors(layout: Layout, tmp_path: Path) -> None:
    written, taken, reason = opening(layout, tmp_path, opened)
    assert not reason
    assert taken == next(iter(written.holds))


@pytest.mark.parametrize("layout", expected(NOT_CHOSEN_YET, *SEVERAL))
def test_each_network_in_a_file_can_be_chosen_by_its_place(layout: Layout, tmp_path: Path) -> None:
    written = layout(tmp_path)
    assert len(written.holds) > 1
    for place, state in written.holds.items():
        model = open_model(written.path, ARCHITECTURE, ARCHITECTURE_ARGS, weights=place).model
        assert Written(written.path, {place: state}, written.tolerance).taken(model) == place


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_without_its_weights_is_refused_by_a_sentence(name: str, tmp_path: Path) -> None:
    write, word = REFUSED[name]
    with pytest.raises(AfternormError) as caught:
        opened(write(tmp_path))
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_corpus_is_of_sixty_layouts_and_more() -> None:
    assert len(LAYOUTS) >= 60
    assert LAYOUTS.keys() >= NOT_YET | NOT_CHOSEN_YET
