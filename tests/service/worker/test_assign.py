"""Assigning: the names under which a child sees files are harmless, whatever clients call them."""

import importlib.machinery
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from sqlalchemy import Row

from calibrate.demo import DemoInputs
from service.jobs import attempts
from service.jobs.attempts import Claim
from service.kit.file_source import FileName
from service.settings import Settings
from service.worker.executor import Work
from service.worker.job_assignment import WEIGHTS, _checkpoint_name, _plain, assign
from tests.service.house import House

NAME: TypeAdapter[str] = TypeAdapter(FileName)


@given(st.text(max_size=300) | st.sampled_from(["torch.py", "../../x.so", "json.pyc", ".pth", "a/b\\c.npz", "é.zip"]))
def test_a_checkpoint_s_name_is_a_file_name_and_not_a_module_s(name: str) -> None:
    made = NAME.validate_python(_checkpoint_name(name))
    assert not made.endswith(tuple(importlib.machinery.all_suffixes()))
    NAME.validate_python(_plain(name))


@pytest.mark.parametrize("name", ["digits.npz", "val.tar.gz", "my-set_2.zip", "R56.pth"])
def test_a_good_name_stays(name: str) -> None:
    assert _plain(name) == name


def assigned(house: House, kind: str, **columns: str) -> Work:
    job = house.job(kind, **columns)
    claim = Claim(job, 1, "one")
    row: Row[tuple[object]] = house.row(job)
    with house.database.read() as connection:
        model, dataset = attempts.materials(connection, row)
    return assign(claim, row, model, dataset, {"ab" * 32: "cd" * 32}, house.blobs, Settings(timeout_seconds=50))


def test_a_check_gets_the_upload_and_a_job_the_converted_weights(tmp_path: Path, demo_inputs: DemoInputs) -> None:
    house = House(tmp_path)
    upload = house.model(demo_inputs.checkpoint)
    check = assigned(house, "check", model=upload, slot="gpu")
    assert set(check.files) == {demo_inputs.checkpoint.name, f"{'ab' * 32}.trial"}
    assert check.slot == "cpu"
    weights = house.blob(demo_inputs.digits)
    ready = house.model(demo_inputs.checkpoint, "ready", weights=weights)
    work = assigned(house, "evaluate", model=ready, dataset=house.dataset(demo_inputs.digits))
    assert work.files[WEIGHTS] == house.blobs.path(weights)
    assert work.files["digits.npz"] == house.blobs.path(house.blob(demo_inputs.digits))
    assert work.timeout_seconds == 50
