"""Delivering: whole files or none, and no network file that fails its proof."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from calibrate import Outcome, Outputs, Recipe, Summary, deliver, retrofit
from calibrate.engine import check_outputs
from calibrate.errors import UsageError
from calibrate.steps import Measure, SetAlpha, Temperature
from tests.builders.examples import examples, trained

RECIPE = Recipe(steps=[SetAlpha(alpha=0.2), Temperature()])


class Untraceable(nn.Module):
    """Right in torch, impossible to trace."""

    def __init__(self) -> None:
        super().__init__()
        self.body = trained()

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) if float(x.sum()) != 12345 else self.body(-x)


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    return retrofit(trained(), RECIPE, data=examples())


def test_everything_asked_for_is_written(outcome: Outcome, tmp_path: Path) -> None:
    delivery = deliver(outcome, trained(), tmp_path / "new" / "out", Outputs(latency_runs=2))
    assert {path.name for path in delivery.files} == {
        "tuned.safetensors", "tuned.onnx", "tuned.reference.json",
        "report.txt", "report.html", "report.md", "summary.json",
    }  # fmt: skip
    assert {path.name for path in (tmp_path / "new" / "out").iterdir()} == {path.name for path in delivery.files}
    assert Summary.model_validate_json((tmp_path / "new/out/summary.json").read_text()) == delivery.summary
    onnx = next(item for item in delivery.summary.artifacts if item.format == "onnx")
    assert [item.batch_size for item in onnx.latency] == [1, 8]
    assert max(item.relative_error for item in onnx.parity) <= 2e-5


def test_no_latency_is_measured_where_none_is_asked_for(outcome: Outcome, tmp_path: Path) -> None:
    delivery = deliver(outcome, trained(), tmp_path, Outputs(formats=("onnx",), latency_runs=0))
    assert delivery.summary.artifacts[0].latency == ()


class Versioned(nn.Sequential):
    """Loads only state dicts that say of which version they are, like torchvision's MNASNet."""

    _version = 2

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, metadata: dict[str, Any], *others: Any) -> None:
        assert metadata.get("version") == 2
        super()._load_from_state_dict(state, prefix, metadata, *others)


def test_a_network_that_asks_for_its_version_is_proven(tmp_path: Path) -> None:
    model = Versioned(trained())
    delivery = deliver(retrofit(model, RECIPE, data=examples()), model, tmp_path, Outputs(formats=("safetensors",)))
    assert [item.name for item in delivery.summary.artifacts] == ["tuned.safetensors"]


def test_a_network_that_cannot_be_exported_loses_only_that_file(tmp_path: Path) -> None:
    model = Untraceable()
    delivery = deliver(retrofit(model, RECIPE, data=examples()), model, tmp_path, Outputs())
    assert not (tmp_path / "tuned.onnx").exists()
    with safe_open(tmp_path / "tuned.safetensors", "pt") as file:
        assert delivery.summary.digest in file.metadata()["afternorm"]
    assert len(delivery.problems) == 1
    assert "not-written" in [
        finding["code"] for finding in json.loads((tmp_path / "summary.json").read_text())["findings"]
    ]


def test_an_unwritable_folder_is_explained_before_and_after(outcome: Outcome, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        check_outputs(taken, Outputs())
    with pytest.raises(UsageError, match="cannot be written to"):
        deliver(outcome, trained(), taken / "below", Outputs(formats=("safetensors",)))
    assert taken.read_text() == "mine"


def test_files_of_an_earlier_run_are_replaced_whole(outcome: Outcome, tmp_path: Path) -> None:
    (tmp_path / "tuned.safetensors").write_text("old")
    deliver(outcome, trained(), tmp_path, Outputs(formats=("safetensors",)))
    assert (tmp_path / "tuned.safetensors").stat().st_size > 1000
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_examples_kept_for_proofs_are_of_the_network_s_precision() -> None:
    kept = retrofit(trained().double(), RECIPE, data=examples()).examples
    assert kept.dtype == torch.float64
    assert len(kept) == 45


def test_thumbnails_are_in_the_html_alone(tmp_path: Path) -> None:
    outcome = retrofit(trained(), Recipe(steps=[SetAlpha(alpha=0.6), Measure(resamples=100)]), data=examples())
    deliver(outcome, trained(), tmp_path, Outputs(formats=()))
    assert outcome.summary.measurement is not None
    assert outcome.summary.measurement.changes is not None
    shown = (tmp_path / "report.html").read_text().count("data:image/png;base64,")
    assert shown == len(outcome.summary.measurement.changes.examples) > 0
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".html" and "base64" in path.read_text()]
