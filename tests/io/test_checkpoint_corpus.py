"""Honest checkpoints open in the layouts of many tools, with the tensors they hold; other files are refused by name."""

from pathlib import Path

import pytest
from torch import nn

from calibrate.demo import ARCHITECTURE, ARCHITECTURE_ARGS
from calibrate.engine import open_model
from calibrate.errors import AfternormError
from tests.builders.layouts import LAYOUTS, REFUSED, Layout, Written, opening

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


def opened(path: Path) -> nn.Module:
    return open_model(path, ARCHITECTURE, ARCHITECTURE_ARGS).model


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_an_honest_checkpoint_opens_with_equal_tensors(layout: Layout, tmp_path: Path) -> None:
    written, taken, reason = opening(layout, tmp_path, opened)
    assert not reason
    assert taken == next(iter(written.holds))


@pytest.mark.parametrize("name", SEVERAL)
def test_each_network_in_a_file_can_be_chosen_by_its_place(name: str, tmp_path: Path) -> None:
    written = LAYOUTS[name](tmp_path)
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
