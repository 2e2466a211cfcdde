"""Running a batch: which runs are finished, and the others in local slots."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import Popen

from calibrate.batch.cells import Combination
from calibrate.batch.child import REQUEST, TRIALS, error_line, release, start, stop
from calibrate.batch.record import RECORD, Record, read_record, read_summary, write_record
from calibrate.batch.request import request_digests
from calibrate.errors import UsageError
from calibrate.result import Summary

#: The first file in a run's folder: a folder that has it is a batch's, and may be emptied for a new run.
MARK = "request.json"
LOG = "log.txt"
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class BatchRun:
    """A cell, its folder, the digest of what is asked for, and what is known of how it ended.

    ``summary`` is there only where the run is finished: ended well, for this very request, with all its files.
    """

    cell: Combination
    folder: Path
    request: str
    record: Record | None = None
    summary: Summary | None = None


def plan_runs(cells: Sequence[Combination], out: Path) -> tuple[BatchRun, ...]:
    """The runs of ``cells`` under ``out``/model/dataset/recipe, with what earlier batches left of them."""
    return tuple(
        _look(BatchRun(cell, out.joinpath(*cell.names), request))
        for cell, request in zip(cells, request_digests(cells), strict=True)
    )


def run_batch(
    runs: Sequence[BatchRun], *, slots: int, keep_going: bool, ended: Callable[[BatchRun], None]
) -> tuple[BatchRun, ...]:
    """Carry out the runs that are not finished, ``slots`` at a time, and give all runs as they then stand.

    After a failure no further run is started, unless ``keep_going``; those under way are let end. A run that was never
    started has no record. ``ended`` hears of each run as it ends. On an exception (Ctrl-C is one) the children are
    stopped, and their runs are not finished.
    """
    for run in runs:
        _refuse_foreign(run)
    state = {run.cell.names: run if run.summary else replace(run, record=None) for run in runs}
    waiting = [run for run in runs if not run.summary]
    running: dict[Popen[bytes], BatchRun] = {}
    try:
        while waiting or running:
            while waiting and len(running) < slots:
                run = waiting.pop(0)
                running[_start(run)] = run
            for child in [child for child in running if child.poll() is not None]:
                run = _finish(running.pop(child), release(child))
                state[run.cell.names] = run
                ended(run)
                if not (run.summary or keep_going):
                    waiting.clear()
            time.sleep(POLL_SECONDS)
    finally:
        stop(running)
        for run in running.values():
            (run.folder / REQUEST).unlink(missing_ok=True)
    return tuple(state.values())


def _look(run: BatchRun) -> BatchRun:
    record = read_record(run.folder)
    ended_well = record is not None and record.exit_code == 0 and record.request == run.request
    summary = read_summary(run.folder, record.result) if record and record.result and ended_well else None
    return replace(run, record=record, summary=summary)


def _refuse_foreign(run: BatchRun) -> None:
    if run.folder.exists() and not (run.folder / MARK).is_file() and any(run.folder.iterdir()):
        raise UsageError(
            f"{run.folder} holds files that no batch wrote, and a run would replace them; pass another --out."
        )


def _start(run: BatchRun) -> Popen[bytes]:
    try:
        run.folder.mkdir(parents=True, exist_ok=True)
        _empty(run.folder)
        (run.folder / MARK).write_text(f'{{"request": "{run.request}"}}\n', encoding="utf-8")
        return start(run.cell.request, run.folder, run.folder / LOG)
    except OSError as error:
        raise UsageError(
            f"the run {run.cell.name} cannot be started in {run.folder}: {error.strerror}; pass another --out."
        ) from None


def _empty(folder: Path) -> None:
    """Remove all but the mark and finished passes, the record first: wherever this stops, the run is not finished."""
    (folder / RECORD).unlink(missing_ok=True)
    for item in folder.iterdir():
        if item.name in (MARK, TRIALS):
            continue
        if item.is_dir() and not item.is_symlink():
            shutil.rmtree(item)
        else:
            item.unlink()


def _finish(run: BatchRun, code: int) -> BatchRun:
    summary = read_summary(run.folder) if code == 0 else None
    (run.folder / REQUEST).unlink(missing_ok=True)
    error = error_line(code, run.folder / LOG)
    if code == 0 and summary is None:
        error = "it ended well but left no whole summary.json"
    if summary is not None:
        shutil.rmtree(run.folder / TRIALS, ignore_errors=True)
    record = Record(request=run.request, exit_code=code, result=summary.digest if summary else None, error=error)
    write_record(run.folder, record)
    return replace(run, record=record, summary=summary)
