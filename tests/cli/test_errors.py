"""Every mistake gets one paragraph with the value, the rule and the next move, its exit code, and writes nothing."""

import pickle
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from calibrate.demo import DemoInputs
from calibrate.demo.inputs import fresh_network
from tests.builders.commands import Ran
from tests.builders.hostile_checkpoints import Calls
from tests.builders.hostile_pickles import STAND_INS, archive, bare, code, structures


@dataclass
class Workshop:
    """A folder to make bad files in, and the demo's good ones."""

    folder: Path
    inputs: DemoInputs

    def calibrate(self, **changed: Any) -> list[str]:
        """The arguments of a good run, with some options changed or, where None, left out."""
        options: dict[str, Any] = {
            "model": self.inputs.checkpoint,
            "architecture": "cifar/resnet8",
            "architecture_args": "{in_channels: 1}",
            "data": self.inputs.digits,
            "preprocessing": "{channels: 1, mean: [0.3], std: [0.4]}",
            "out": self.folder / "out",
            **changed,
        }
        return [
            "calibrate",
            *(
                text
                for name, value in options.items()
                if value is not None
                for text in (f"--{name.replace('_', '-')}", str(value))
            ),
        ]

    def file(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def image(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
        return path


@pytest.fixture
def workshop(tmp_path: Path, demo_inputs: DemoInputs) -> Workshop:
    return Workshop(tmp_path, demo_inputs)


def truncated(workshop: Workshop) -> list[str]:
    content = workshop.inputs.checkpoint.read_bytes()
    return workshop.calibrate(model=workshop.file("half.safetensors", content[: len(content) // 2]))


def truncated_pickle(workshop: Workshop) -> list[str]:
    torch.save(fresh_network().state_dict(), workshop.folder / "whole.pth")
    content = (workshop.folder / "whole.pth").read_bytes()
    return workshop.calibrate(model=workshop.file("half.pth", content[: len(content) // 2]))


def pickle_with_code(workshop: Workshop) -> list[str]:
    return workshop.calibrate(
        model=workshop.file("code.pth", pickle.dumps({"state_dict": Calls(eval, "open('executed', 'w')")}, protocol=2))
    )


def code_in_a_trainers_record(workshop: Workshop) -> list[str]:
    archive(workshop.folder / "record.pth", STAND_INS["argparse.Namespace"](code(Path("canary"))["os.system"]))
    return workshop.calibrate(model=workshop.folder / "record.pth")


def network_without_end(workshop: Workshop) -> list[str]:
    bare(workshop.folder / "endless.pth", structures()["doubled modules"])
    return workshop.calibrate(model=workshop.folder / "endless.pth")


def zip_with_a_way_out(workshop: Workshop) -> list[str]:
    path = workshop.folder / "out-of-here.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../escaped/1.png", workshop.image("a.png").read_bytes())
    return workshop.calibrate(data=path)


def text_called_jpg(workshop: Workshop) -> list[str]:
    for label in range(10):
        for number in range(4):
            workshop.image(f"data/{label}/{number}.png")
    workshop.file("data/3/not-an-image.jpg", b"hello")
    return workshop.calibrate(data=workshop.folder / "data")


def unknown_class_folder(workshop: Workshop) -> list[str]:
    workshop.image("data/cat/1.png")
    workshop.image("data/dgo/1.png")
    names = workshop.file("names.txt", "\n".join(["cat", "dog", *(f"other{i}" for i in range(8))]).encode())
    return workshop.calibrate(data=workshop.folder / "data", classes=names)


def unlabelled(workshop: Workshop) -> list[str]:
    workshop.image("data/1.png")
    return workshop.calibrate(data=workshop.folder / "data", recipe="alpha")


def vision_transformer(workshop: Workshop) -> list[str]:
    arguments = "{image_size: 32, patch_size: 16, num_layers: 1, num_heads: 1, hidden_dim: 8, mlp_dim: 8}"
    factory = "torchvision.models.vision_transformer:VisionTransformer"
    from torchvision.models.vision_transformer import VisionTransformer

    model = VisionTransformer(32, 16, 1, 1, 8, 8)
    torch.save(model.state_dict(), workshop.folder / "vit.pth")
    given = {"architecture": factory, "architecture_args": arguments, "recipe": "alpha"}
    return workshop.calibrate(model=workshop.folder / "vit.pth", **given)


def directory_as_file(workshop: Workshop) -> list[str]:
    return workshop.calibrate(out=workshop.file("taken", b""))


def bad_recipe(workshop: Workshop) -> list[str]:
    return workshop.calibrate(recipe=workshop.file("recipe.yaml", b"steps: [{kind: set_alpha, alpha: 1.5}]"))


MISTAKES: list[tuple[str, Callable[[Workshop], Sequence[str]], int, list[str]]] = [
    ("wrong architecture", lambda b: b.calibrate(architecture="cifar/resnet14"), 1, ["layer1.1", "cifar/resnet8"]),
    ("unknown architecture", lambda b: b.calibrate(architecture="torchvision/resnet5O"), 1, ["resnet5O", "resnet50"]),
    ("no architecture", lambda b: b.calibrate(architecture=None), 2, ["--architecture"]),
    ("truncated safetensors", truncated, 1, ["half.safetensors"]),
    ("truncated pickle", truncated_pickle, 1, ["half.pth"]),
    ("pickle with code", pickle_with_code, 4, ["code.pth", "eval"]),
    ("code in a trainer's record", code_in_a_trainers_record, 4, ["record.pth", "os.system"]),
    ("network without end", network_without_end, 1, ["endless.pth", "without end"]),
    ("no such checkpoint", lambda b: b.calibrate(model="nowhere.pth"), 1, ["nowhere.pth"]),
    ("alpha out of range", lambda b: b.calibrate(alpha="1.5"), 2, ["1.5", "less than or equal to 1"]),
    ("recipe out of range", bad_recipe, 2, ["recipe.yaml", "steps[0].alpha", "1.5", "afternorm schema recipe"]),
    ("unknown recipe", lambda b: b.calibrate(recipe="alpah"), 2, ["alpah", "presets"]),
    ("zip with ../", zip_with_a_way_out, 4, ["../escaped/1.png"]),
    ("text called .jpg", text_called_jpg, 1, ["3/not-an-image.jpg"]),
    ("unknown class folder", unknown_class_folder, 1, ["dgo", "dog"]),
    ("no batch normalisation", vision_transformer, 1, ["no batch normalisation", "temperature"]),
    ("no labels", unlabelled, 2, ["no labels", "search_alpha, temperature, measure", "estimation_shift"]),
    ("no training data", lambda b: b.calibrate(recipe="precise_bn"), 2, ["on: training", "--training-data"]),
    ("no such data", lambda b: b.calibrate(data="nowhere"), 1, ["nowhere"]),
    ("images without preprocessing", lambda b: b.calibrate(preprocessing=None), 1, ["preprocessing"]),
    ("bad preprocessing", lambda b: b.calibrate(preprocessing="{crop: -1}"), 2, ["crop", "-1"]),
    ("colour for a grey network", lambda b: b.calibrate(preprocessing="{}"), 1, ["shape", "channels"]),
    ("out is a file", directory_as_file, 2, ["taken"]),
    ("unknown format", lambda b: b.calibrate(formats="onyx"), 2, ["formats", "onyx"]),
    ("unknown device", lambda b: b.calibrate(device="warp"), 5, ["warp", "auto"]),
    ("bad arguments", lambda b: b.calibrate(architecture_args="[1"), 2, ["--architecture-args", "[1"]),
    ("unknown argument", lambda b: b.calibrate(architecture_args="{in_chanels: 1}"), 1, ["in_chanels"]),
    ("negative seed", lambda b: b.calibrate(seed="-3"), 2, ["seed", "-3"]),
    ("misspelt option", lambda b: [*b.calibrate(), "--preprocesing", "x"], 2, ["--preprocesing", "--preprocessing"]),
    ("misspelt command", lambda b: ["calibarte"], 2, ["calibarte", "calibrate"]),
]


@pytest.mark.parametrize(("make", "code", "said"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES])
def test_a_mistake_is_explained_and_writes_nothing(
    make: Callable[[Workshop], list[str]],
    code: int,
    said: list[str],
    workshop: Workshop,
    afternorm: Callable[..., Ran],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(workshop.folder)
    arguments = make(workshop)
    before = {path: path.stat().st_mtime_ns for path in workshop.folder.rglob("*")}
    ran = afternorm(*arguments)
    assert ran.code == code, ran.err
    assert ran.out == ""
    assert "Traceback" not in ran.err
    for text in said:
        assert text in ran.err
    assert {path: path.stat().st_mtime_ns for path in workshop.folder.rglob("*")} == before


def test_a_missing_runtime_names_the_two_extras(
    workshop: Workshop, afternorm: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    ran = afternorm(*workshop.calibrate())
    assert ran.code == 5
    assert "afternorm[cpu]" in ran.err
    assert "afternorm[gpu]" in ran.err
