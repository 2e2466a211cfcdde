"""The client against a live server: its operations, and errors that the server returns."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from calibrate import Outputs, Recipe, Summary
from calibrate.cli import main
from calibrate.demo import DemoInputs
from calibrate.demo.digits import PREPROCESSING
from calibrate.errors import UnavailableError
from service.client import Client, RemoteError
from service.jobs.resources import Event, JobSettings

pytestmark = pytest.mark.slow

RECIPE = Recipe(steps=[{"kind": "search_alpha", "curve": False}, {"kind": "temperature"}, {"kind": "measure"}])


@pytest.fixture
def client(server: str) -> Iterator[Client]:
    with Client(server) as client:
        yield client


def test_a_job_s_numbers_and_files_are_the_command_line_s(
    client: Client, demo_inputs: DemoInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = client.add_model(
        demo_inputs.checkpoint,
        architecture="cifar/resnet8",
        architecture_args={"in_channels": 1},
        preprocessing=PREPROCESSING,
    )
    dataset = client.add_dataset(demo_inputs.scanned)
    assert (model.state, dataset.state) == ("ready", "ready")
    updates: list[Event] = []
    job = client.wait(
        client.submit(
            model=model.id,
            dataset=dataset.id,
            recipe=RECIPE,
            outputs=Outputs(latency_runs=0),
            settings=JobSettings(batch_size=32, threads=1),
        ),
        listen=updates.append,
    )
    assert (job.state, job.verdict) == ("succeeded", "improved")
    assert [event.id for event in updates] == sorted({event.id for event in updates})
    assert {"state", "progress", "trial", "artifact"} == {event.type for event in updates}
    fetched = {path.name: path for path in client.fetch(job, tmp_path / "served")}
    ours = tmp_path / "ours"
    arguments = [
        "--model", demo_inputs.checkpoint, "--architecture", "cifar/resnet8", "--architecture-args", "{in_channels: 1}",
        "--data", demo_inputs.scanned.name, "--preprocessing", PREPROCESSING.model_dump_json(), "--out", ours,
        "--recipe", RECIPE.model_dump_json(), "--latency-runs", 0, "--batch-size", 32, "--threads", 1,
    ]  # fmt: skip
    monkeypatch.chdir(demo_inputs.scanned.parent)  # the data are named in the summary as they were in the arguments
    monkeypatch.setattr("sys.argv", ["afternorm", "calibrate", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    assert set(fetched) == {path.name for path in ours.iterdir()}
    served, own = (Summary.model_validate_json((f / "summary.json").read_bytes()) for f in (tmp_path / "served", ours))
    assert served.digest == own.digest
    assert [item.sha256 for item in served.artifacts] == [item.sha256 for item in own.artifacts]
    assert served.measurement == own.measurement


@pytest.mark.parametrize("auto", [False, True])
def test_a_job_tells_of_inputs_that_do_not_fit_and_auto_takes_what_does(
    auto: bool, client: Client, demo_inputs: DemoInputs, tmp_path: Path
) -> None:
    model = client.add_model(
        demo_inputs.checkpoint,
        architecture="cifar/resnet8",
        architecture_args={"in_channels": 1},
        preprocessing={"channels": 1, "mean": [0.0], "std": [1 / 255], "auto": auto},
    )
    dataset = client.add_dataset(demo_inputs.digits)
    steps = [{"kind": "input_fit"}, {"kind": "measure"}]
    job = client.wait(client.submit(kind="probe", model=model.id, dataset=dataset.id, recipe=Recipe(steps=steps)))
    assert job.state == "succeeded"
    files = {path.name: path for path in client.fetch(job, tmp_path)}
    summary = Summary.model_validate_json(files["summary.json"].read_bytes())
    codes = {finding.code for finding in summary.findings}
    assert codes & {"input-misfit", "preprocessing-taken"} == {"preprocessing-taken" if auto else "input-misfit"}
    assert summary.input_fit is not None
    assert summary.input_fit.taken == auto
    assert summary.measurement is not None
    assert (summary.measurement.arm("original").metrics["top1"].value > 0.9) == auto


def test_submitting_twice_with_one_key_returns_one_job(client: Client, demo_inputs: DemoInputs) -> None:
    model = client.add_model(
        demo_inputs.checkpoint, architecture="cifar/resnet8", architecture_args={"in_channels": 1}, name="twice"
    )
    dataset = client.add_dataset(demo_inputs.digits)
    one, other = (
        client.submit(kind="evaluate", model=model.id, dataset=dataset.id, idempotency_key="k1") for _ in range(2)
    )
    assert one.id == other.id
    assert client.cancel(one.id).state in ("cancelling", "cancelled")
    assert client.wait(one).state == "cancelled"
    assert model.id in {known.id for known in client.models()}
    with pytest.raises(RemoteError, match=one.id) as refused:
        client.delete_model(model.id)
    assert refused.value.problem.code == "in-use"
    client.delete_job(one.id)
    assert one.id not in {job.id for job in client.jobs()}
    client.delete_dataset(dataset.id)


def test_training_data_are_named_by_the_client_and_by_the_command(
    client: Client,
    server: str,
    demo_inputs: DemoInputs,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = client.add_model(demo_inputs.checkpoint, architecture="cifar/resnet8", architecture_args={"in_channels": 1})
    dataset, trained_on = client.add_dataset(demo_inputs.scanned), client.add_dataset(demo_inputs.digits)
    job = client.submit(model=model.id, dataset=dataset.id, training_dataset=trained_on.id, recipe="precise_bn")
    assert job.training_dataset == trained_on.id
    arguments = ["--model", model.id, "--dataset", dataset.id, "--training-dataset", trained_on.id, "--url", server]
    monkeypatch.setattr("sys.argv", ["afternorm", "jobs", "submit", *arguments, "--recipe", "precise_bn"])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    other = client.job(capsys.readouterr().out.strip())
    assert (other.training_dataset, other.recipe_digest) == (trained_on.id, job.recipe_digest)
    for each in (job, other):
        client.cancel(each.id)


def test_a_file_that_is_no_checkpoint_is_refused_with_its_reason(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    file.write_bytes(b"\x80\x04cposix\nsystem\n(S'touch /tmp/hacked'\ntR.")
    with pytest.raises(RemoteError) as refused:
        client.add_model(file, architecture="cifar/resnet8")
    assert refused.value.exit_code == 4
    assert "posix" in str(refused.value)


def test_an_unreachable_server_is_reported(tmp_path: Path) -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(UnavailableError, match="afternorm serve"):
        client.job("job_1")


def test_uploads_of_many_clients_do_not_meet(client: Client, server: str, tmp_path: Path) -> None:
    blobs = {}

    def send(number: int) -> None:
        file = tmp_path / f"{number}.bin"
        file.write_bytes(bytes([number]) * 100_000)
        with Client(server) as own:
            blobs[number] = own.upload(file).blob

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(blobs.values())) == 8
