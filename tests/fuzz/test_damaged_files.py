"""A damaged file opens, or is refused in a paragraph: in this process, by a command, by REST.

``python -m tests.benchmarks.fuzz`` does the first 2,000 of every kind, of which these are the beginning.
"""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from calibrate.demo import DemoInputs
from tests.builders.commands import NETWORK, SHAPE, Ran, demo_options
from tests.builders.fuzzing.judging import alarm, damaged, judged
from tests.builders.fuzzing.kinds import Kind, kinds
from tests.service.api.running import Running, run
from tests.service.worker.server import Server

EACH = 10
CHECKPOINTS = ("torch zip", "torch before 1.6, pickle", "safetensors", "tuned file")
DATA = ("npz", "zip of images", "tar of images", "png", "jpeg", "csv of images")
DOCUMENTS = ("class list", "class map", "preprocessing", "recipe", "fine-tuning", "comparison", "manifest", "reference")
#: What no option of a command names, or no command takes as one file.
OTHERS = (
    *("unfinished re-estimation", "unfinished fine-tuning", "finished pass", "record of a run", "summary of a run"),
    "idx of MNIST",
)
NAMES = (*CHECKPOINTS, *DATA, *DOCUMENTS, *OTHERS)


@dataclass
class Damage:
    """Damaged files of all kinds, written where their kind's others are."""

    folder: Path
    known: dict[str, Kind]

    def write(self, name: str, index: int) -> Path:
        ending, content = damaged(self.known[name], index)
        place = self.folder / name.replace(" ", "-")
        place.mkdir(exist_ok=True)
        path = place / f"{index}{ending}"
        path.write_bytes(content)
        return path

    def data(self, name: str, index: int) -> Path:
        """A path that ``--data`` takes; a damaged image is in a folder of a class, beside sound ones."""
        path = self.write(name, index)
        if name not in ("png", "jpeg"):
            return path
        (root := path.with_suffix("")).mkdir()
        for label in range(10):
            (root / str(label)).mkdir()
            for number in range(2):
                os.link(self.folder / "csv-of-images" / "0" / "0.png", root / str(label) / f"{number}.png")
        os.link(path, root / "3" / f"damaged{path.suffix}")
        return root


@pytest.fixture(scope="module")
def damage(tmp_path_factory: pytest.TempPathFactory) -> Damage:
    folder = tmp_path_factory.mktemp("fuzz")
    return Damage(folder, kinds(folder))


def test_the_kinds_are_these(damage: Damage) -> None:
    assert damage.known.keys() == set(NAMES)
    assert EACH * len(NAMES) >= 200


@pytest.mark.parametrize("name", NAMES)
def test_an_honest_file_is_no_fault(name: str, damage: Damage) -> None:
    kind = damage.known[name]
    ended = []
    for index, (ending, content) in enumerate(kind.seeds):
        path = damage.write(name, index).with_name(f"honest-{index}{ending}")
        path.write_bytes(content)
        ended.append(judged(kind.opens, path))
    assert [judgement for judgement in ended if judgement.is_fault] == []
    assert any(judgement.word == "opened" for judgement in ended)


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_opens_or_is_refused_in_a_paragraph(
    name: str, damage: Damage, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = {index: judged(damage.known[name].opens, damage.write(name, index)) for index in range(EACH)}
    assert {index: judgement for index, judgement in ended.items() if judgement.is_fault} == {}
    assert capfd.readouterr() == ("", "")


def by_command(name: str, damage: Damage, inputs: DemoInputs, index: int) -> list[object]:
    """A command that reads the damaged file."""
    model = ("--model", inputs.checkpoint, *NETWORK)
    digits = ("--data", inputs.digits, *SHAPE, "--device", "cpu")
    images = ("--data", damage.folder / "manifest" / "digits.zip")
    if name in DATA:
        return ["evaluate", *demo_options(inputs, damage.data(name, index)), "--device", "cpu"]
    path = damage.write(name, index)
    match name:
        case "tuned file":
            return ["inspect", "--model", path]
        case "class list":
            return ["evaluate", *model, *images, *SHAPE, "--classes", path, "--dry-run"]
        case "class map":
            return ["evaluate", *model, *images, *SHAPE, "--class-map", path, "--dry-run"]
        case "preprocessing":
            return ["evaluate", *model, *images, "--preprocessing", path]
        case "recipe":
            return ["calibrate", *model, *digits, "--recipe", path, "--dry-run"]
        case "fine-tuning" | "comparison":
            command = {"fine-tuning": "finetune", "comparison": "compare"}[name]
            return [command, path, *model, *digits, "--dry-run"]
        case "manifest":
            return ["batch", path, "--dry-run"]
        case "reference":
            return ["probe", *model, *digits, "--recipe", "field_shift", "--reference", path, "--dry-run"]
    return ["inspect", "--model", path, *NETWORK]


@pytest.mark.parametrize("name", [*CHECKPOINTS, *DATA, *DOCUMENTS])
def test_a_command_says_it_in_a_paragraph(
    name: str,
    damage: Damage,
    demo_inputs: DemoInputs,
    afternorm: Callable[..., Ran],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = by_command(name, damage, demo_inputs, EACH)
    with alarm(30):
        ran = afternorm(*arguments)
    assert ran.code in (0, 1, 2, 4, 5)
    assert "Traceback" not in ran.err
    assert "Warning" not in ran.err
    assert (ran.out == "") == (ran.code != 0)
    assert not ran.code or ran.err.startswith("error: ")
    assert [path for path in tmp_path.rglob("*") if ran.code and path.is_file()] == []


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Running]:
    with run(tmp_path / "data") as running:
        yield running


@pytest.mark.parametrize("name", ["recipe", "preprocessing", "class map"])
def test_damaged_documents_are_no_fault_of_the_server(name: str, damage: Damage, api: Running) -> None:
    """Within the JSON of a request, whole or as a text in it."""
    model, dataset = api.model(), api.dataset()
    upload = api.upload(b"weights")
    place, field, body = {
        "recipe": ("jobs", "recipe", {"kind": "calibrate", "model": model, "dataset": dataset}),
        "preprocessing": ("models", "preprocessing", {"upload": upload, "architecture": "cifar/resnet8"}),
        "class map": ("datasets", "class_map", {"upload": upload}),
    }[name]
    for index in range(3 * EACH):
        content = damage.write(name, index).read_text(encoding="utf-8", errors="replace")
        around, _, behind = json.dumps({**body, field: "HERE"}).partition('"HERE"')
        for inner in (content, json.dumps(content)):
            answer = api.client.post(f"/v1/{place}", content=(around + inner + behind).encode(errors="replace"))
            assert answer.status_code < 500, (index, answer.text)
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.slow
def test_damaged_uploads_are_checked_and_refused_or_ready(damage: Damage, tmp_path: Path) -> None:
    server = Server(tmp_path, memory_bytes=8 * 2**30)
    try:
        for name in (*CHECKPOINTS, *DATA):
            if name in ("png", "jpeg", "csv of images"):
                continue  # only archives are uploaded
            path = damage.write(name, EACH)
            row = server.check_model(path) if name in CHECKPOINTS else server.check_dataset(path)
            assert row.state in ("ready", "refused"), name
            if row.state == "refused":
                assert row.problem["code"] in ("model", "data", "unsafe-input", "usage"), (name, row.problem)
                assert str(tmp_path) not in row.problem["detail"]
    finally:
        server.executor.close()
