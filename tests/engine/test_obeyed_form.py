"""A run that is taken up again is made as it was begun: through the door that commands, batches and jobs share."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from calibrate.data import open_data
from calibrate.demo import ARCHITECTURE, ARCHITECTURE_ARGS, PREPROCESSING, DemoInputs
from calibrate.engine import FolderTrials, carry_out_run, open_run
from calibrate.engine.opening.checkpoint import open_model
from calibrate.engine.passes.prediction import predict
from calibrate.engine.passes.setting import PassForm, Setting, best_form, form_key, settle_form_
from calibrate.io import build
from calibrate.recipe import PRESETS, Outputs, RunSettings
from calibrate.request import RunRequest
from calibrate.result import Summary, silent
from tests.builders.runs import Memory
from tests.builders.threads import threads

CPU = torch.device("cpu")


def carried_out(inputs: DemoInputs, trials: Path | None, **changes: Any) -> Summary:
    request = RunRequest(
        model=inputs.checkpoint,
        architecture=ARCHITECTURE,
        architecture_args=ARCHITECTURE_ARGS,
        preprocessing=PREPROCESSING,
        data=str(inputs.scanned),
        recipe=PRESETS["adabn"],
        outputs=Outputs(formats=()),
    ).model_copy(update=changes)
    return carry_out_run(open_run(request, None, trials=trials)).delivery.summary


def files_of(folder: Path) -> set[Path]:
    return set(folder.rglob("*.safetensors"))


def test_on_another_number_of_cores_the_bits_are_those_of_the_first_attempt(
    demo_inputs: DemoInputs, tmp_path: Path
) -> None:
    with threads(2):
        whole = carried_out(demo_inputs, tmp_path / "whole")
    (kept,) = (tmp_path / "whole").iterdir()
    assert whole.environment.threads == 2
    by_age = sorted(files_of(kept), key=lambda path: path.stat().st_mtime_ns)
    for finished in (1, 2):  # killed after the choice, and after a pass
        folder = tmp_path / str(finished) / kept.name
        folder.mkdir(parents=True)
        for path in by_age[:finished]:
            shutil.copy(path, folder)
        with threads(1):
            again = carried_out(demo_inputs, folder.parent)
        assert again.digest == whole.digest
        assert {path.name for path in files_of(folder)} == {path.name for path in by_age}


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": RunSettings(batch_size=7)},
        {"settings": RunSettings(threads=1)},
        {"settings": RunSettings(autocast="bfloat16")},
        {"architecture_args": {**ARCHITECTURE_ARGS, "num_classes": 10}},
        {"preprocessing": PREPROCESSING.model_copy(update={"std": (0.3,)})},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_passes_made_otherwise_are_made_again(changes: dict[str, Any], demo_inputs: DemoInputs, tmp_path: Path) -> None:
    with threads(1):
        first = carried_out(demo_inputs, tmp_path)
        before = len(files_of(tmp_path))
        other = carried_out(demo_inputs, tmp_path, **changes)
        assert len(files_of(tmp_path)) == 2 * before
        assert carried_out(demo_inputs, tmp_path).digest == first.digest
        assert len(files_of(tmp_path)) == 2 * before
    asked = changes.get("settings", RunSettings())
    assert other.environment.batch_size == (asked.batch_size or first.environment.batch_size)
    assert other.environment.autocast == asked.autocast
    if asked.autocast:
        assert other.measurement != first.measurement


def test_each_network_and_each_data_has_its_own_form_in_one_folder(tmp_path: Path) -> None:
    model = build("cifar/resnet20", {}).eval()
    small, large = torch.zeros(2, 3, 32, 32), torch.zeros(2, 3, 256, 256)
    sources = [open_data([(x, 0) for x in inputs], preprocessing=None) for inputs in (small, large)]
    trials = FolderTrials(tmp_path, "all alike")
    for source, inputs in zip(sources, (small, large), strict=True):
        assert settle_form_(model, source, inputs, CPU, None, trials) == best_form(model, inputs, CPU)
    other = build("cifar/resnet20", {}).eval()
    assert len({form_key(one, source) for one in (model, other) for source in sources}) == 4


def test_what_another_version_kept_is_chosen_anew(demo_inputs: DemoInputs) -> None:
    model = open_model(demo_inputs.checkpoint, ARCHITECTURE, ARCHITECTURE_ARGS).model
    source = open_data(demo_inputs.scanned, preprocessing=PREPROCESSING)
    (first,) = source.batches(np.arange(2), 2)
    strange = Memory({form_key(model, source): torch.ones(1, 9)}, 1)
    strange.keep = lambda *_: None  # type: ignore[method-assign]
    assert settle_form_(model, source, first.inputs, CPU, None, strange) == best_form(model, first.inputs, CPU)


class ReadsItsWeight(nn.Module):
    """Its convolution's weight is read a second time, by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.norm(self.convolution(x)) + nn.functional.conv2d(x, self.convolution.weight)
        return y.mean((2, 3))


def test_a_form_that_no_longer_fits_a_tuned_network_is_left_for_that_one() -> None:
    """With the statistics that it came with, folding changed nothing; with others it would."""
    model = ReadsItsWeight().eval()
    model.norm.eps = 0.0
    x = torch.randn(6, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    source = open_data([(row, 0) for row in x], preprocessing=None)
    form = best_form(model, x[:2], CPU)
    assert form.folds
    assert model.norm.running_var is not None
    model.norm.running_var.fill_(4.0)
    logits = predict(model, source, np.arange(6), Setting(form, CPU, silent), "pass")
    with torch.inference_mode():
        torch.testing.assert_close(logits, model(x))
    folding = Setting(PassForm(2, 1, folds=True), CPU, silent)
    assert folding.fast(model, x) is model
