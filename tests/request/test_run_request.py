"""A request survives JSON whole, and is closed."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from calibrate.recipe import PRESETS, Outputs, Preprocessing, RunSettings
from calibrate.request import ExportRequest, Requirement, RunRequest

WHOLE: dict[str, Any] = {
    "model": Path("r8.pth"),
    "architecture": "cifar/resnet8",
    "architecture_args": {"in_channels": 1, "nested": {"a": [1, None]}},
    "weights": "state_dict_ema",
    "classes": ("cat", "dog"),
    "class_map": {"tabby": "cat", "wolf": 1, "7": "dog"},
    "preprocessing": Preprocessing(crop=8, channels=1, mean=(0.1,), std=(1 / 3,)),
    "data": "https://host/d.zip?token=a&b=ü",
}


@pytest.mark.parametrize("changed", [{}, {"classes": Path("names.txt"), "class_map": Path("map.csv")}])
@pytest.mark.parametrize("recipe", PRESETS)
def test_a_run_s_request_survives_json(changed: dict[str, Any], recipe: str) -> None:
    request = RunRequest(
        **(WHOLE | changed),
        training_data="seen.npz",
        recipe=PRESETS[recipe],
        outputs=Outputs(formats=("onnx",), latency_runs=3),
        settings=RunSettings(batch_size=7, device="cuda:1", threads=2),
    )
    again = RunRequest.model_validate_json(request.model_dump_json())
    assert again == request
    assert again.recipe.digest == request.recipe.digest
    assert (type(again.classes), type(again.class_map)) == (type(request.classes), type(request.class_map))


def test_an_export_s_request_survives_json() -> None:
    request = ExportRequest(**WHOLE, threads=2)
    assert ExportRequest.model_validate_json(request.model_dump_json()) == request
    bare = ExportRequest(model=Path("tuned.safetensors"))
    assert ExportRequest.model_validate_json(bare.model_dump_json()) == bare


def test_a_request_is_frozen_and_closed() -> None:
    request = RunRequest(model=Path("m"), data="d", recipe=PRESETS["alpha"])
    with pytest.raises(ValidationError):
        request.data = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="trainning_data"):
        RunRequest.model_validate({**request.model_dump(), "trainning_data": "d"})


@pytest.mark.parametrize(
    ("requirement", "met"),
    [(Requirement.IMPROVED, ["improved"]), (Requirement.NOT_WORSE, ["improved", "no evidence"])],
)
def test_a_requirement_is_met_by_these_verdicts_alone(requirement: Requirement, met: list[str]) -> None:
    verdicts = ("improved", "no evidence", "worse", None)
    assert [verdict for verdict in verdicts if requirement.is_met_by(verdict)] == met
