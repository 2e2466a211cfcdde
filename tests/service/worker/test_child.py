"""The real child: its results equal those of the command line, bit for bit; its errors name what is wrong."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from calibrate.batch.child import REQUEST, release, start
from calibrate.demo import ARCHITECTURE, ARCHITECTURE_ARGS, PREPROCESSING, DemoInputs
from calibrate.errors import DataError
from calibrate.recipe import PRESETS, Outputs, Recipe, RunSettings
from calibrate.request import RunRequest
from calibrate.result import Summary
from calibrate.steps import (
    IEW,
    Auto,
    Candidate,
    FieldShift,
    Leaderboard,
    Probe,
    ProbeAdaptation,
    ProbeResult,
    Reestimate,
    Reestimation,
    Stream,
    Tent,
    TuneAffine,
)
from service.worker.assignment import DatasetCheck
from service.worker.child.check import check_dataset
from tests.builders.commands import Ran
from tests.service.server_data import QUICK
from tests.service.worker.server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.executor.close()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, demo_inputs: DemoInputs) -> Path:
    """A folder as a user of the command line has it."""
    folder = tmp_path_factory.mktemp("inputs")
    shutil.copyfile(demo_inputs.checkpoint, folder / "digits.safetensors")
    shutil.copyfile(demo_inputs.scanned, folder / "digits.npz")
    return folder


def test_a_job_equals_the_command_line(
    server: Server, inputs: Path, afternorm: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    server_data = server.server_data
    model = server.check_model(inputs / "digits.safetensors", preprocessing=PREPROCESSING.model_dump(mode="json"))
    dataset = server.check_dataset(inputs / "digits.npz")
    assert (model.state, model.facts["outputs"], model.facts["tuned"]) == ("ready", None, False)
    assert (dataset.state, dataset.facts["n"], dataset.facts["classes"]) == ("ready", 899, 10)
    outputs = {"formats": ["safetensors"], "latency_runs": 0}
    job = server_data.quick_job(model.id, dataset.id, outputs=outputs)
    export = server_data.job("export", model=model.id, dataset=dataset.id)
    server.run(job, export)
    assert server_data.row(job).problem is server_data.row(export).problem is None
    assert set(server_data.artifacts(export)) == {"model.onnx"}
    assert len(server_data.trials(job)) > 5

    monkeypatch.chdir(inputs)
    ran = afternorm(
        "calibrate",
        *("--model", "digits.safetensors", "--architecture", ARCHITECTURE),
        *("--architecture-args", json.dumps(ARCHITECTURE_ARGS), "--preprocessing", PREPROCESSING.model_dump_json()),
        *("--data", "digits.npz", "--recipe", QUICK.model_dump_json(), "--threads", 1, "--device", "cpu"),
        *("--formats", "safetensors"),
    )
    assert ran.code == 0, ran.err
    theirs = Summary.model_validate_json((inputs / "out" / "summary.json").read_bytes())
    ours = Summary.model_validate(server_data.summary(job))
    assert ours.digest == theirs.digest
    assert ours.artifacts == theirs.artifacts
    assert server_data.row(job).verdict == theirs.verdict
    artifacts = server_data.artifacts(job)
    assert set(artifacts) == {path.name for path in (inputs / "out").iterdir()}
    assert artifacts["tuned.safetensors"] == (inputs / "out" / "tuned.safetensors").read_bytes()
    shutil.rmtree(inputs / "out")


def test_a_request_gives_the_same_from_the_command_line_a_batch_and_a_job(
    server: Server,
    inputs: Path,
    demo_inputs: DemoInputs,
    afternorm: Callable[..., Ran],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The command line, the child of a batch, and the child of a worker; with statistics of training data."""
    server_data = server.server_data
    shutil.copyfile(demo_inputs.digits, inputs / "seen.npz")
    request = RunRequest(
        model=inputs / "digits.safetensors",
        architecture=ARCHITECTURE,
        architecture_args=ARCHITECTURE_ARGS,
        preprocessing=PREPROCESSING,
        data="digits.npz",
        training_data="seen.npz",
        recipe=STATISTICS,
        outputs=Outputs(formats=("safetensors",)),
        settings=RunSettings(threads=1, device="cpu"),
    )
    monkeypatch.chdir(inputs)
    ran = afternorm(
        "calibrate",
        *("--model", request.model, "--architecture", ARCHITECTURE),
        *("--architecture-args", json.dumps(ARCHITECTURE_ARGS), "--preprocessing", PREPROCESSING.model_dump_json()),
        *("--data", "digits.npz", "--training-data", "seen.npz", "--recipe", STATISTICS.model_dump_json()),
        *("--threads", 1, "--device", "cpu", "--formats", "safetensors", "--out", "of-the-command"),
    )
    assert ran.code == 0, ran.err
    of_the_batch = Path("of-the-batch")
    of_the_batch.mkdir()
    assert release(start(request, of_the_batch, of_the_batch / "log.txt")) == 0
    job = server_data.quick_job(
        server_data.demo_model(demo_inputs),
        server_data.dataset(inputs / "digits.npz"),
        STATISTICS,
        training_dataset=server_data.dataset(inputs / "seen.npz"),
        outputs=request.outputs.model_dump(mode="json"),
    )
    server.run(job)
    assert server_data.row(job).problem is None
    results = [
        {path.name: path.read_bytes() for path in Path("of-the-command").iterdir()},
        {path.name: path.read_bytes() for path in of_the_batch.iterdir() if path.is_file()},
        server_data.artifacts(job),
    ]
    assert {*results[1]} - {"log.txt", REQUEST} == {*results[0]} == {*results[2]}
    summaries = [Summary.model_validate_json(files["summary.json"]) for files in results]
    assert len({summary.digest for summary in summaries}) == 1
    assert len({files["tuned.safetensors"] for files in results}) == 1
    assert summaries[0].data.training is not None
    assert summaries[0].data.training.n == len(np.load("seen.npz")["y"])
    assert summaries[0].of(Reestimation)[0].on == "training"


def test_a_job_that_cannot_be_opened_is_reported_by_its_fields(
    server: Server, inputs: Path, demo_inputs: DemoInputs
) -> None:
    """Submitting refuses the first; but what is queued may be older than the rule."""
    server_data = server.server_data
    data = server_data.demo_model(demo_inputs), server_data.dataset(inputs / "digits.npz")
    without = server_data.quick_job(*data, STATISTICS)
    useless = server_data.quick_job(*data, training_dataset=data[1])
    server.run(without, useless)
    problems = [server_data.row(job).problem for job in (without, useless)]
    assert [problem["code"] for problem in problems] == ["usage", "usage"]
    assert "pass them with `training_dataset`" in problems[0]["detail"]
    assert "leave `training_dataset` out" in problems[1]["detail"]
    assert not any("--" in problem["detail"] for problem in problems)


def test_a_model_is_registered_with_the_weights_that_were_asked_for(
    server: Server, demo_inputs: DemoInputs, tmp_path: Path
) -> None:
    """The choice is made once, when the upload is converted; jobs open what was taken."""
    average = load_file(demo_inputs.checkpoint)
    last = {f"model.{name}": tensor + 1 for name, tensor in average.items()}
    torch.save({"state_dict": {**last, "loss.weight": torch.ones(10)}, "state_dict_ema": average}, tmp_path / "w.ckpt")
    first, chosen, refused = (
        server.check_model(tmp_path / "w.ckpt", **({} if weights is None else {"asked_weights": weights}))
        for weights in (None, "ema", "swa")
    )
    assert (first.facts["weights"], first.facts["other_weights"]) == ("state_dict.model", ["state_dict_ema"])
    assert [finding["code"] for finding in first.facts["findings"]] == ["weights-taken", "entries-left-out"]
    assert (chosen.facts["weights"], chosen.facts["other_weights"]) == ("state_dict_ema", ["state_dict.model"])
    for model, state in ((first, {name: tensor + 1 for name, tensor in average.items()}), (chosen, average)):
        converted = load_file(server.server_data.blobs.path(model.weights))
        assert converted.keys() == state.keys()
        assert all(torch.equal(converted[name], tensor) for name, tensor in state.items())
    assert refused.state == "refused"
    assert "the model's `weights` swa is not in" in refused.problem["detail"]
    assert "state_dict.model, state_dict_ema" in refused.problem["detail"]


STATISTICS = PRESETS["precise_bn"]
SEARCH = Auto(
    candidates=(
        Candidate(name="re-estimated", steps=(Reestimate(),)),
        Candidate(name="γ and β", steps=(TuneAffine(epochs=1),)),
    )
)
CARRIED_OUT = {
    "calibrate": Recipe(steps=(SEARCH,)),
    "probe": PRESETS["probe"],
    "adapt": Recipe(steps=(ProbeAdaptation(methods=(IEW(), Tent()), streams=(Stream(batch_size=50),), seeds=1),)),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", CARRIED_OUT)
def test_jobs_that_probe_or_search_equal_the_command_line(
    kind: str, server: Server, inputs: Path, afternorm: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    server_data, recipe = server.server_data, CARRIED_OUT[kind]
    model = server.check_model(inputs / "digits.safetensors", preprocessing=PREPROCESSING.model_dump(mode="json"))
    dataset = server.check_dataset(inputs / "digits.npz")
    job = server_data.job(kind, model=model.id, dataset=dataset.id, recipe=recipe.model_dump(mode="json"))
    server.run(job)
    assert server_data.row(job).problem is None
    monkeypatch.chdir(inputs)
    ran = afternorm(
        *(kind, "--recipe", recipe.model_dump_json()),
        *("--model", "digits.safetensors", "--architecture", ARCHITECTURE),
        *("--architecture-args", json.dumps(ARCHITECTURE_ARGS), "--preprocessing", PREPROCESSING.model_dump_json()),
        *("--data", "digits.npz", "--threads", 1, "--device", "cpu", "--out", kind),
        *(("--formats", "") if kind == "calibrate" else ()),
    )
    assert ran.code == 0, ran.err
    theirs = Summary.model_validate_json((inputs / kind / "summary.json").read_bytes())
    ours = Summary.model_validate(server_data.summary(job))
    assert ours.digest == theirs.digest
    assert [probe.kind for probe in ours.of(ProbeResult)] == [
        step.kind for step in recipe.steps if isinstance(step, Probe)
    ]
    assert (ours.last(Leaderboard) is not None) == (kind == "calibrate")
    assert set(server_data.artifacts(job)) == {path.name for path in (inputs / kind).iterdir()}


@pytest.mark.slow
def test_a_job_adapts_and_writes_a_network_only_where_it_keeps_one(server: Server, inputs: Path) -> None:
    server_data = server.server_data
    model = server.check_model(inputs / "digits.safetensors", preprocessing=PREPROCESSING.model_dump(mode="json"))
    dataset = server.check_dataset(inputs / "digits.npz")
    outputs = Outputs(formats=("safetensors",)).model_dump(mode="json")
    stream = {"batch_size": 200}
    compare = {"kind": "adaptation", "methods": [{"kind": "tent"}], "streams": [stream], "seeds": 1, "max_samples": 200}
    keep = {"kind": "adapt", "method": {"kind": "tent"}, "stream": stream}
    jobs = [
        server_data.job(
            "adapt",
            model=model.id,
            dataset=dataset.id,
            recipe=Recipe(steps=steps).model_dump(mode="json"),
            outputs=outputs,
        )
        for steps in ([compare], [keep, {"kind": "temperature"}, {"kind": "measure", "resamples": 200}])
    ]
    server.run(*jobs)
    assert [server_data.row(job).problem for job in jobs] == [None, None]
    compared, kept = (set(server_data.artifacts(job)) for job in jobs)
    assert compared == {"report.html", "report.md", "report.txt", "summary.json"}
    assert kept == {*compared, "tuned.safetensors", "tuned.reference.json"}
    assert server_data.row(jobs[0]).verdict is None
    assert server_data.row(jobs[1]).verdict == "improved"


def test_a_probe_job_says_whether_data_have_shifted(server: Server, inputs: Path, demo_inputs: DemoInputs) -> None:
    """Against the dataset that the job names; its verdict says so, its summary what to run."""
    server_data = server.server_data
    shutil.copyfile(demo_inputs.digits, inputs / "seen.npz")
    model = server.check_model(inputs / "digits.safetensors", preprocessing=PREPROCESSING.model_dump(mode="json"))
    scanned, clean = (server.check_dataset(inputs / name).id for name in ("digits.npz", "seen.npz"))
    recipe = PRESETS["field_shift"].model_dump(mode="json")
    jobs = [
        server_data.job("probe", model=model.id, dataset=scanned, training_dataset=trusted, recipe=recipe)
        for trusted in (scanned, clean, None)
    ]
    server.run(*jobs)
    assert [server_data.row(job).verdict for job in jobs] == ["no shift", "shifted", None]
    (found,) = Summary.model_validate(server_data.summary(jobs[1])).of(FieldShift)
    assert (found.shifted, found.recipe) == (True, "statistics")
    refused = server_data.row(jobs[2]).problem
    assert "give data that you trust with `training_dataset`" in refused["detail"]


def test_data_without_labels_are_ready_and_have_no_classes(demo_inputs: DemoInputs, tmp_path: Path) -> None:
    np.savez(tmp_path / "bare.npz", x=np.load(demo_inputs.scanned)["x"])
    facts = check_dataset(DatasetCheck(data=str(tmp_path / "bare.npz"))).facts
    assert (facts["n"], facts["classes"], facts["class_names"]) == (899, None, None)


def test_the_check_reads_the_part_that_the_dataset_names(tmp_path: Path) -> None:
    parts = {f"{part}_images": np.zeros((n, 8, 8), np.uint8) for part, n in (("train", 3), ("val", 4), ("test", 5))}
    np.savez(tmp_path / "med.npz", **parts)
    facts = [
        check_dataset(DatasetCheck(data=str(tmp_path / "med.npz"), split=split)).facts
        for split in (None, "train", "test")
    ]
    assert [item["n"] for item in facts] == [4, 3, 5]
    said = [" ".join(item["findings"]) for item in facts]
    assert ["val was read; the dataset's `split` names another" in text for text in said] == [True, False, False]


@pytest.mark.parametrize("name", ["list.csv", "LIST.TSV", "weights.bin"])
def test_a_file_without_the_images_is_refused_with_what_to_register(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("path,label\ncat/1.png,cat\n")
    with pytest.raises(DataError, match=r"is no data in one file; register a \.zip"):
        check_dataset(DatasetCheck(data=str(tmp_path / name)))


def test_the_report_of_a_job_names_its_fields_and_its_summary_is_the_command_lines(
    server: Server, inputs: Path, demo_inputs: DemoInputs, tmp_path: Path
) -> None:
    digits = np.load(demo_inputs.digits)
    np.savez(
        tmp_path / "parts.npz", **{f"{role}_{part}": digits[role][:90] for role in "xy" for part in ("train", "val")}
    )
    model = server.check_model(inputs / "digits.safetensors", preprocessing=PREPROCESSING.model_dump(mode="json"))
    dataset = server.check_dataset(tmp_path / "parts.npz")
    recipe = {"steps": [{"kind": "measure", "resamples": 100}]}
    job = server.server_data.job("evaluate", model=model.id, dataset=dataset.id, recipe=recipe)
    server.run(job)
    files = {name: content.decode() for name, content in server.server_data.artifacts(job).items()}
    assert "val was read; --split names another" in files["summary.json"]
    for name in ("report.txt", "report.md", "report.html"):
        text = " ".join(files[name].split())
        assert "--split" not in text
        assert "val was read; the dataset" in text
        assert "parts.npz (val)" in text


@pytest.mark.slow
def test_a_refusal_names_the_file_and_no_path_of_the_server(server: Server, inputs: Path, tmp_path: Path) -> None:
    unfit = tmp_path / "my weights.pth"
    shutil.copyfile(inputs / "digits.safetensors", unfit)
    model = server.check_model(unfit, architecture="cifar/resnet20")
    assert (model.state, model.problem["code"], model.weights) == ("refused", "model", None)
    assert "my_weights.pth do not fit cifar/resnet20" in model.problem["detail"]
    assert str(server.server_data.folder) not in model.problem["detail"]
    assert "../" not in model.problem["detail"]


@pytest.mark.slow
def test_a_child_has_no_network_no_secrets_and_little_else(
    server: Server, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A factory that the operator allows reports what it found."""
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}:{Path(__file__).parents[3]}")
    monkeypatch.setenv("AFTERNORM_SECRET", "the secret")
    allowed = Server(tmp_path / "allowed", factories=("what_a_child_can_do:network",))
    refused = server.check_model(inputs / "digits.safetensors", architecture="what_a_child_can_do:network")
    assert (refused.state, refused.problem["code"]) == ("refused", "usage")
    model = allowed.check_model(inputs / "digits.safetensors", architecture="what_a_child_can_do:network")
    allowed.executor.close()
    assert model.state == "refused"
    report = json.loads(model.problem["detail"].partition("REPORT ")[2].partition(" END")[0])
    unprotected = [event.data.get("unprotected", []) for event in allowed.server_data.events(_check(allowed, model.id))]
    assert report["interfaces"] == ["lo"] or ["no network"] in unprotected
    assert report["secrets"] == []
    assert report["no_new_privileges"]
    assert report["core"] == 0
    assert report["umask"] == 0o077


def _check(server: Server, model: str) -> str:
    (job,) = [row.id for row in server.server_data.everything()["jobs"] if row.model == model]
    return str(job)
