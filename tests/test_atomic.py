"""Files that appear whole: wherever the writing ends half-way, the old file is there, every byte of it."""

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from calibrate.atomic import replace_files, replacing
from calibrate.batch import COMPARISON, write_comparison
from calibrate.batch.record import RECORD, Record, write_record
from calibrate.engine import FolderTrials
from calibrate.engine.delivery.files import write_files
from calibrate.errors import TrialsError, UsageError
from calibrate.finetune import StateFile, TrainingState
from calibrate.report import BatchComparison, Compared
from calibrate.stats import ReestimationState
from calibrate.stats.gathered import Gathered

ROOT = Path(__file__).parents[1]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_replace_what_was_there_and_leave_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with replacing(tmp_path / "a") as file:
        file.write(b"new")
        assert (tmp_path / "a").read_bytes() == b"old"
        assert list(tmp_path.rglob("a")) == [tmp_path / "a"], "what is not whole goes by another name"
        assert all(path.is_file() for path in tmp_path.iterdir()), "nobody who walks the folder meets one that vanishes"
    replace_files(tmp_path, {"b": b"1", "c": b"2"})
    assert contents(tmp_path) == {"a": b"new", "b": b"1", "c": b"2"}


@pytest.mark.parametrize("end", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_block_that_fails_leaves_the_old_file_whole(end: type[BaseException], tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def write() -> None:
        with replacing(tmp_path / "a") as file:
            file.write(b"half")
            file.flush()
            raise end

    with pytest.raises(end):
        write()
    assert contents(tmp_path) == {"a": b"old"}


@pytest.mark.parametrize("durable", [False, True])
def test_killed_half_way_the_old_file_is_whole(durable: bool, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from calibrate.atomic import replacing\n"
        f"with replacing(Path(sys.argv[1]), durable={durable}) as file:\n"
        "    file.write(b'half')\n"
        "    file.flush()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path / "a")], cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert (tmp_path / "a").read_bytes() == b"old"


@contextmanager
def full_disk(room: int = 0) -> Iterator[None]:
    """No file of this process may grow beyond ``room`` bytes, which ends a writing as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_of_several_files_none_appears_unless_all_are_written(number: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    files = {name: b"too long" if place == number else b"new" for place, name in enumerate("abc", 1)}
    with full_disk(room=3), pytest.raises(OSError, match="too large"):
        replace_files(tmp_path, files)
    assert contents(tmp_path) == {"a": b"old"}


@pytest.mark.parametrize("durable", [False, True])
def test_a_durable_file_is_on_the_disk_before_it_appears(
    durable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[bytes, bool]] = []

    def fsync(descriptor: int) -> None:
        staged = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((staged.read_bytes(), any((tmp_path / name).exists() for name in "abc")))

    monkeypatch.setattr(os, "fsync", fsync)
    replace_files(tmp_path, {"a": b"1", "b": b"2"}, durable=durable)
    assert synced == ([(b"1", False), (b"2", False)] if durable else [])
    synced.clear()
    (tmp_path / "a").unlink()
    (tmp_path / "b").unlink()
    with replacing(tmp_path / "c", durable=durable) as file:
        file.write(b"3")
    assert synced == ([(b"3", False)] if durable else [])


def test_the_mode_is_that_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "original").write_bytes(b"")
    replace_files(tmp_path, {"a": b""})
    with replacing(tmp_path / "b"):
        pass
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1


def test_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    written = [bytes([number]) * 100_000 for number in range(8)]
    meet = threading.Barrier(len(written), timeout=300)

    def write(content: bytes) -> None:
        with replacing(tmp_path / "a") as file:
            file.write(content[:1000])
            meet.wait()
            file.write(content[1000:])

    writers = [threading.Thread(target=write, args=(content,)) for content in written]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(list(tmp_path.iterdir())) == 1
    assert (tmp_path / "a").read_bytes() in written


class Trials(FolderTrials):
    """Trials in ``folder`` itself, of no plan."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder


def keep_checkpoint(folder: Path) -> None:
    checkpoint = ReestimationState(folder / "checkpoint", seconds=0)
    checkpoint._settled = -1  # as if a call had been settled since
    checkpoint.keep_(Gathered())


#: Who writes whole files: by the name of one of them, how, and as what error a full disk arrives.
WRITERS: dict[str, tuple[Callable[[Path], object], type[Exception]]] = {
    RECORD: (lambda at: write_record(at, Record(request="r", exit_code=0, result=None, error="")), OSError),
    COMPARISON: (
        lambda at: write_comparison(BatchComparison((Compared(("m", "d", "r"), None, "it failed"),)), at),
        UsageError,
    ),
    "report.txt": (lambda at: write_files(at, {"report.txt": b"new", "other": b"new"}), UsageError),
    "key.safetensors": (lambda at: Trials(at).keep("key", "stage", torch.zeros(2)), TrialsError),
    "state": (lambda at: StateFile(at / "state", "r").write(TrainingState()), OSError),
    "checkpoint": (keep_checkpoint, OSError),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_leaves_the_old_file_whole_where_the_disk_is_full(name: str, tmp_path: Path) -> None:
    write, error = WRITERS[name]
    (tmp_path / name).write_bytes(b"old")
    with full_disk(), pytest.raises(error, match="too large"):
        write(tmp_path)
    assert contents(tmp_path) == {name: b"old"}
    write(tmp_path)
    assert (tmp_path / name).read_bytes() != b"old"


def test_nobody_else_does_it_by_hand() -> None:
    found = {
        str(path.relative_to(ROOT))
        for room in ("calibrate", "service")
        for path in (ROOT / room).rglob("*.py")
        if "fsync" in path.read_text()
    }
    assert found == {"calibrate/atomic.py", "service/storage/blobs.py"}, (
        "blobs appear by a link, which replaces nothing"
    )
