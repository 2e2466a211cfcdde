"""A batch: killed and resumed it ends as if undisturbed, a failure stays alone, and nothing is done twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from calibrate.batch.child import REQUEST, start, stop
from calibrate.demo import ARCHITECTURE, ARCHITECTURE_ARGS, PREPROCESSING, DemoInputs
from calibrate.recipe import PRESETS
from calibrate.request import RunRequest
from tests.builders.commands import Ran, write_manifest

FILES = ("comparison.html", "comparison.csv", "comparison.json")
GENTLE = {
    "steps": [{"kind": "set_alpha", "alpha": 0.1}, {"kind": "temperature"}, {"kind": "measure", "resamples": 100}]
}
PATIENCE = 300.0


class Bench:
    """A folder with checkpoints and data, and the manifests over them."""

    def __init__(self, folder: Path, inputs: DemoInputs) -> None:
        self.folder = folder
        state = load_file(inputs.checkpoint)
        save_file(state, folder / "one.safetensors")
        state["linear.bias"] += 0.5
        save_file(state, folder / "two.safetensors")
        (folder / "broken.safetensors").write_bytes(inputs.checkpoint.read_bytes()[:1000])
        for name, source, part in (
            ("few", inputs.digits, 100),
            ("more", inputs.digits, 160),
            ("far", inputs.scanned, 120),
        ):
            arrays = np.load(source)
            np.savez(folder / f"{name}.npz", x=arrays["x"][:part], y=arrays["y"][:part])

    def manifest(self, models: str, datasets: str, **recipes: Any) -> Path:
        checkpoints = {name: f"{name}.safetensors" for name in models.split()}
        data = {name: f"{name}.npz" for name in datasets.split()}
        return write_manifest(self.folder / "manifest.json", checkpoints, data, recipes)


@pytest.fixture
def bench(tmp_path: Path, demo_inputs: DemoInputs) -> Bench:
    return Bench(tmp_path, demo_inputs)


def traces(folder: Path) -> dict[Path, tuple[int, int]]:
    """Every file beneath, by what changes when it is written again."""
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def launch(*arguments: object) -> subprocess.Popen[bytes]:
    heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # also in a script's background
    command = [sys.executable, "-c", f"{heeding}; from calibrate.cli import main; main()", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def children(process: subprocess.Popen[bytes]) -> list[int]:
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not listed.exists():
        pytest.skip("needs /proc/<pid>/task/<tid>/children")
    return [int(number) for number in listed.read_text().split()]


def running(pid: int) -> bool:
    """Whether a process runs, one that has ended but was not waited for not counted."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


#: A batch that is killed as its third run ends, while another may be under way; it says which children it leaves.
KILLED = """
import os, signal, sys
from pathlib import Path
from calibrate.batch import held, plan_runs, read_cells, run_batch

manifest, out, ended = Path(sys.argv[1]), Path(sys.argv[2]), []

def die_at_the_third(run):
    ended.append(run)
    if len(ended) == 3:
        print(Path(f"/proc/self/task/{os.getpid()}/children").read_text(), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

with held(out):
    run_batch(plan_runs(read_cells(manifest), out.absolute()), slots=2, keep_going=False, ended=die_at_the_third)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path(f"/proc/self/task/{os.getpid()}/children").exists(), reason="needs a list of children")
def test_a_batch_killed_half_way_and_resumed_ends_as_if_undisturbed(
    bench: Bench, afternorm: Callable[..., Ran]
) -> None:
    manifest = bench.manifest("one two", "few more far", gentle=GENTLE)
    whole, killed = bench.folder / "whole", bench.folder / "killed"
    ran = afternorm("batch", manifest, "--out", whole, "--slots", 2)
    assert ran.code == 0, ran.err
    assert len(json.loads((whole / "comparison.json").read_text())["runs"]) == 6

    parent = subprocess.run([sys.executable, "-c", KILLED, manifest, killed], capture_output=True, check=False)
    assert parent.returncode == -signal.SIGKILL, parent.stderr
    wait_until(lambda: not any(map(running, map(int, parent.stdout.split()))))
    finished = [path.parent for path in killed.rglob("run.json")]
    assert len(finished) == 3
    before = {folder: traces(folder) for folder in finished}
    assert not (killed / "comparison.html").exists()

    listed = afternorm("batch", manifest, "--out", killed, "--dry-run").out.splitlines()
    assert sum(line.startswith("finished") for line in listed) == len(finished)
    ran = afternorm("batch", manifest, "--out", killed, "--resume")
    assert ran.code == 0, ran.err
    assert f"{len(finished)} of 6 runs are finished" in ran.err
    assert {folder: traces(folder) for folder in finished} == before
    for name in FILES:
        assert (killed / name).read_bytes() == (whole / name).read_bytes()


def begin(folder: Path, inputs: DemoInputs, **fields: Any) -> subprocess.Popen[bytes]:
    """A child that tunes the demo's network for minutes, or what ``fields`` say."""
    asked: dict[str, Any] = {
        "model": inputs.checkpoint,
        "architecture": ARCHITECTURE,
        "architecture_args": ARCHITECTURE_ARGS,
        "data": str(inputs.scanned),
        "preprocessing": PREPROCESSING,
        "recipe": PRESETS["auto"],
        **fields,
    }
    folder.mkdir()
    return start(RunRequest(**asked), folder, folder / "log.txt")


def test_a_child_ends_when_its_parent_does(tmp_path: Path, demo_inputs: DemoInputs) -> None:
    """However the parent ends, the system closes the child's standard input."""
    child = begin(tmp_path / "run", demo_inputs)
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait(PATIENCE) == 1
    assert not list(tmp_path.rglob("report.html"))


def test_the_request_of_a_child_is_for_its_owner_alone(tmp_path: Path, demo_inputs: DemoInputs) -> None:
    """A URL of data can hold a password; it is neither in the list of processes nor where others may read."""
    url = "https://user:secret@localhost/none.zip"
    child = begin(tmp_path / "run", demo_inputs, data=url)
    kept = tmp_path / "run" / REQUEST
    command = Path(f"/proc/{child.pid}/cmdline")
    assert not command.exists() or b"secret" not in command.read_bytes()
    assert RunRequest.model_validate_json(kept.read_bytes()).data == url
    assert kept.stat().st_mode & 0o077 == 0
    stop([child])
    assert "secret" not in (tmp_path / "run" / "log.txt").read_text()


def test_stopping_ends_every_child_and_waits_for_it(tmp_path: Path, demo_inputs: DemoInputs) -> None:
    several = [begin(tmp_path / name, demo_inputs) for name in "ab"]
    stop(several)
    assert [child.returncode for child in several] == [-signal.SIGTERM] * 2


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_batch_stops_its_children(number: signal.Signals, bench: Bench) -> None:
    out = bench.folder / "out"
    parent = launch("batch", bench.manifest("one two", "few more", long="auto"), "--out", out, "--slots", 2)
    wait_until(lambda: len(children(parent)) == 2)
    started = children(parent)
    parent.send_signal(number)
    assert parent.wait(PATIENCE) == 130
    wait_until(lambda: not any(map(running, started)))
    assert not list(out.rglob("run.json"))


def test_a_failure_stays_alone(bench: Bench, afternorm: Callable[..., Ran]) -> None:
    manifest, out = bench.manifest("broken one", "few", T="temperature"), bench.folder / "out"
    ran = afternorm("batch", manifest, "--out", out)
    assert ran.code == 1
    assert "0 of 2 runs are finished" in ran.err
    assert "1 were not started" in ran.err
    assert [row["state"] for row in json.loads((out / "comparison.json").read_text())["runs"]] == ["failed", "not run"]

    ran = afternorm("batch", manifest, "--out", out, "--resume", "--keep-going", "--json")
    assert ran.code == 3
    assert "failed: broken/few/T" in ran.err
    assert "Traceback" not in ran.err
    broken, one = json.loads(ran.out)["runs"]
    assert (broken["state"], one["state"]) == ("failed", "finished")
    assert "broken.safetensors" in broken["error"]
    assert (out / "one" / "few" / "T" / "tuned.safetensors").exists()
    assert not (out / "broken" / "few" / "T" / "tuned.safetensors").exists()
    assert ran.out == (out / "comparison.json").read_text()


def test_training_data_of_a_manifest_reach_the_recipes_that_use_them(
    bench: Bench, afternorm: Callable[..., Ran]
) -> None:
    manifest, out = bench.manifest("one", "few far", T="temperature", statistics="precise_bn"), bench.folder / "out"
    document = json.loads(manifest.read_text())
    document["datasets"]["far"]["training_data"] = "more.npz"
    manifest.write_text(json.dumps(document))
    ran = afternorm("batch", manifest, "--out", out, "--keep-going", "--slots", 2)
    assert ran.code == 3
    assert "failed: one/few/statistics." in ran.err
    assert "pass them with the dataset's `training_data`" in (out / "one/few/statistics/log.txt").read_text()
    found = {
        name: json.loads((out / "one/far" / name / "summary.json").read_text())["data"]["training"]
        for name in ("T", "statistics")
    }
    assert found["T"] is None
    assert (found["statistics"]["source"], found["statistics"]["n"]) == (str(bench.folder / "more.npz"), 160)
    assert not list(out.rglob(REQUEST))


def test_a_changed_recipe_and_a_damaged_run_are_run_again_and_no_other(
    bench: Bench, afternorm: Callable[..., Ran]
) -> None:
    out = bench.folder / "out"
    manifest = bench.manifest("one", "few", kept="temperature", changed=GENTLE)
    assert afternorm("batch", manifest, "--out", out, "--slots", 2).code == 0
    before = traces(out / "one" / "few" / "kept")
    first = json.loads((out / "one" / "few" / "changed" / "run.json").read_text())

    refused = afternorm("batch", manifest, "--out", out)
    assert refused.code == 2
    assert "--resume" in refused.err
    manifest = bench.manifest("one", "few", kept="temperature", changed={**GENTLE, "seed": 5})
    (out / "one" / "few" / "changed" / "left-over.txt").write_text("of the first")
    ran = afternorm("batch", manifest, "--out", out, "--resume")
    assert ran.code == 0, ran.err
    assert "1 of 2 runs are finished" in ran.err
    second = json.loads((out / "one" / "few" / "changed" / "run.json").read_text())
    assert second["request"] != first["request"]
    assert second["result"] != first["result"]
    assert not (out / "one" / "few" / "changed" / "left-over.txt").exists()
    assert traces(out / "one" / "few" / "kept") == before

    (out / "one" / "few" / "kept" / "tuned.safetensors").write_bytes(b"cut")
    listed = json.loads(afternorm("batch", manifest, "--out", out, "--dry-run", "--json").out)
    assert [row["finished"] for row in listed] == [False, True]


def test_a_second_batch_in_the_same_directory_is_refused_while_the_first_lives(
    bench: Bench, afternorm: Callable[..., Ran]
) -> None:
    manifest, out = bench.manifest("one", "few", T="temperature"), bench.folder / "out"
    holder = subprocess.Popen(
        [sys.executable, "-c", f"""
import sys
from pathlib import Path
from calibrate.batch import held
with held(Path({str(out)!r})):
    print("held", flush=True)
    sys.stdin.read()
"""],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        before = traces(out)
        ran = afternorm("batch", manifest, "--out", out, "--resume")
        assert (ran.code, ran.out) == (2, "")
        assert "another batch is running" in ran.err
        assert traces(out) == before
        assert afternorm("batch", manifest, "--out", out, "--dry-run").code == 0
        holder.kill()
    ran = afternorm("batch", manifest, "--out", out)
    assert ran.code == 0, ran.err
    assert sorted(path.name for path in out.iterdir()) == [*sorted(FILES), "one"]


@pytest.mark.parametrize("damage", ["manifest", "model", "folder"])
def test_what_is_wrong_from_the_start_starts_nothing(damage: str, bench: Bench, afternorm: Callable[..., Ran]) -> None:
    manifest, out = bench.manifest("one", "few", T="temperature"), bench.folder / "out"
    if damage == "manifest":
        manifest.write_text("models: {}")
    elif damage == "model":
        manifest = bench.manifest("one nowhere", "few", T="temperature")
    else:
        foreign = out / "one" / "few" / "T" / "precious.txt"
        foreign.parent.mkdir(parents=True)
        foreign.write_text("not a batch's")
    before = traces(bench.folder)
    ran = afternorm("batch", manifest, "--out", out)
    assert ran.code == 2, ran.err
    assert ran.out == ""
    assert {"manifest": "schema manifest", "model": "nowhere", "folder": "another --out"}[damage] in ran.err
    assert traces(bench.folder) == before


def test_the_manifest_has_a_schema_and_a_dry_run_needs_no_torch(bench: Bench, afternorm: Callable[..., Ran]) -> None:
    schema = json.loads(afternorm("schema", "manifest").out)
    assert {"models", "datasets", "recipes", "outputs", "settings"} <= schema["properties"].keys()
    manifest = bench.manifest("one", "few", T="temperature")
    code = f"""
import sys
sys.argv = ["afternorm", "batch", {str(manifest)!r}, "--dry-run"]
from calibrate.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code
assert not {{"torch", "matplotlib"}} & set(sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=PATIENCE)
    assert ran.stdout == "to run    one/few/T\n"
