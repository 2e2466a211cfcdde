"""The work of a job: the names of files are safe for the child, whatever clients call them."""

import importlib.machinery
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from sqlalchemy import Row, update

from calibrate.demo import DemoInputs
from calibrate.recipe import PRESETS, Outputs, Recipe
from calibrate.request import ExportRequest, RunRequest
from service.db.tables import datasets
from service.jobs import attempts
from service.jobs.attempts import Claim
from service.kit.file_source import FileName
from service.settings import Settings
from service.worker.assignment import Assignment, DatasetCheck
from service.worker.executor import Work
from service.worker.job_assignment import WEIGHTS, _checkpoint_name, _plain, assign
from tests.service.server_data import ServerData

MEASURE = PRESETS["measure"].model_dump(mode="json")
NAME: TypeAdapter[str] = TypeAdapter(FileName)


@given(st.text(max_size=300) | st.sampled_from(["torch.py", "../../x.so", "json.pyc", ".pth", "a/b\\c.npz", "é.zip"]))
def test_a_checkpoint_s_name_is_a_file_name_and_not_a_module_s(name: str) -> None:
    made = NAME.validate_python(_checkpoint_name(name))
    assert not made.endswith(tuple(importlib.machinery.all_suffixes()))
    NAME.validate_python(_plain(name))


@pytest.mark.parametrize("name", ["digits.npz", "val.tar.gz", "my-set_2.zip", "R56.pth"])
def test_a_good_name_stays(name: str) -> None:
    assert _plain(name) == name


def assigned(server_data: ServerData, kind: str, **columns: Any) -> Work:
    job = server_data.job(kind, **columns)
    claim = Claim(job, 1, "one")
    row: Row[tuple[object]] = server_data.row(job)
    with server_data.database.read() as connection:
        inputs = attempts.load_inputs(connection, row)
    return assign(claim, row, inputs, {"ab" * 32: "cd" * 32}, server_data.blobs, Settings(timeout_seconds=50))


def test_a_check_gets_the_upload_and_a_job_the_converted_weights(tmp_path: Path, demo_inputs: DemoInputs) -> None:
    server_data = ServerData(tmp_path)
    upload = server_data.model(demo_inputs.checkpoint)
    check = assigned(server_data, "check", model=upload, slot="gpu")
    assert set(check.files) == {demo_inputs.checkpoint.name, f"{'ab' * 32}.trial"}
    assert check.slot == "cpu"
    weights = server_data.blob(demo_inputs.digits)
    ready = server_data.model(demo_inputs.checkpoint, "ready", weights=weights)
    dataset = server_data.dataset(demo_inputs.digits)
    work = assigned(server_data, "evaluate", model=ready, dataset=dataset, recipe=MEASURE)
    assert work.files[WEIGHTS] == server_data.blobs.path(weights)
    assert work.files["digits.npz"] == server_data.blobs.path(server_data.blob(demo_inputs.digits))
    assert work.timeout_seconds == 50


def test_two_datasets_of_one_name_are_two_files_and_one_dataset_is_one(tmp_path: Path, demo_inputs: DemoInputs) -> None:
    server_data = ServerData(tmp_path)
    other = tmp_path / "other" / demo_inputs.digits.name
    other.parent.mkdir()
    shutil.copyfile(demo_inputs.scanned, other)
    data = {"model": server_data.demo_model(demo_inputs), "dataset": server_data.dataset(demo_inputs.digits)}
    trained_on = server_data.dataset(other)
    recipe = PRESETS["precise_bn"].model_dump(mode="json")
    work = assigned(server_data, "calibrate", **data, training_dataset=trained_on, recipe=recipe)
    request = Assignment.model_validate(work.document).request
    assert isinstance(request, RunRequest)
    assert request.training_data is not None
    assert (request.data, request.training_data) == ("digits.npz", "other-digits.npz")
    assert work.files[request.training_data] == server_data.blobs.path(server_data.row(trained_on).blob)
    assert work.files[request.data] == server_data.blobs.path(server_data.row(data["dataset"]).blob)
    work = assigned(server_data, "calibrate", **data, training_dataset=data["dataset"], recipe=recipe)
    assert (work.document["request"]["training_data"], len(work.files)) == ("digits.npz", 3)


def test_part_and_broken_images_of_a_dataset_are_asked_for(tmp_path: Path, demo_inputs: DemoInputs) -> None:
    server_data = ServerData(tmp_path)
    model = server_data.demo_model(demo_inputs)
    data, trained_on = (server_data.dataset(path) for path in (demo_inputs.digits, demo_inputs.scanned))
    with server_data.database.write() as connection:
        for identity, split, most in ((data, "val", 3), (trained_on, None, 2)):
            change = update(datasets).where(datasets.c.id == identity)
            connection.execute(change.values(split=split, skip_broken=most))
    check = Assignment.model_validate(assigned(server_data, "check", dataset=data).document).request
    assert isinstance(check, DatasetCheck)
    assert (check.split, check.skip_broken) == ("val", 3)
    recipe = PRESETS["precise_bn"].model_dump(mode="json")
    work = assigned(server_data, "calibrate", model=model, dataset=data, training_dataset=trained_on, recipe=recipe)
    request = Assignment.model_validate(work.document).request
    assert isinstance(request, RunRequest)
    assert (request.split, request.skip_broken) == ("val", 3)
    assert (request.training_split, request.training_skip_broken) == (None, 2)
    export = Assignment.model_validate(assigned(server_data, "export", model=model, dataset=data).document).request
    assert isinstance(export, ExportRequest)
    assert (export.split, export.skip_broken) == ("val", 3)


def test_only_jobs_that_tune_write_a_network(tmp_path: Path, demo_inputs: DemoInputs) -> None:
    server_data = ServerData(tmp_path)
    data = {"model": server_data.demo_model(demo_inputs), "dataset": server_data.dataset(demo_inputs.digits)}
    outputs = Outputs(formats=("onnx",)).model_dump(mode="json")
    keep = Recipe(steps=[{"kind": "adapt", "method": {"kind": "tent"}}]).model_dump(mode="json")
    written = {
        (kind, recipe["steps"][0]["kind"]): assigned(
            server_data, kind, **data, recipe=recipe, outputs=outputs
        ).document["request"]["outputs"]["formats"]
        for kind, recipe in (
            ("calibrate", MEASURE),
            ("evaluate", MEASURE),
            ("probe", PRESETS["probe"].model_dump(mode="json")),
            ("adapt", PRESETS["adaptation"].model_dump(mode="json")),
            ("adapt", keep),
        )
    }
    assert [kind for kind, formats in written.items() if formats] == [("calibrate", "measure"), ("adapt", "adapt")]


def test_an_export_job_asks_for_the_form_of_its_outputs(tmp_path: Path, demo_inputs: DemoInputs) -> None:
    server_data = ServerData(tmp_path)
    outputs = Outputs(opset=16, dynamic=True).model_dump(mode="json")
    work = assigned(server_data, "export", model=server_data.demo_model(demo_inputs), outputs=outputs)
    asked = work.document["request"]
    assert (asked["opset"], asked["ir_version"], asked["dynamic"]) == (16, None, True)
    assert "formats" not in asked
