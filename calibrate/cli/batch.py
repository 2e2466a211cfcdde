"""``afternorm batch``: every model of a manifest with every dataset and every recipe, and one comparison."""

import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from calibrate.cli import options
from calibrate.cli.console import note, say
from calibrate.errors import BatchError, PartialBatchError, UsageError

if TYPE_CHECKING:
    from calibrate.batch import BatchRun


def batch_command(
    manifest: Annotated[Path, typer.Argument(help="YAML, JSON or TOML; see `afternorm schema manifest`.")],
    out: options.Out = Path("runs"),
    slots: Annotated[int, typer.Option(min=1, help="Runs at a time; give each its --threads.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Keep the runs that are finished.")] = False,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Go on after a run that failed.")] = False,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            envvar="AFTERNORM_BATCH_SIZE",
            help="Examples per forward pass. Default: the manifest's.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(envvar="AFTERNORM_DEVICE", help="As in calibrate. Default: the manifest's.", show_default=False),
    ] = None,
    threads: options.Threads = None,
    as_json: options.AsJson = False,
    dry_run: options.DryRun = False,
) -> None:
    """Calibrate every model of a manifest on every dataset with every recipe, each in a process of its own.

    Writes each run into OUT/model/dataset/recipe, and comparison.html, comparison.csv and comparison.json into OUT.
    Exits 3 when some runs are finished and others are not.
    """
    from calibrate.batch import compare, held, plan_runs, read_cells, run_batch, write_comparison

    cells = read_cells(manifest, tell=note, batch_size=batch_size, device=device, threads=threads)
    if dry_run:
        _list(plan_runs(cells, out.absolute()), as_json)
        return
    with held(out):
        runs = plan_runs(cells, out.absolute())
        if resume:
            note(f"{sum(run.summary is not None for run in runs)} of {len(runs)} runs are finished and kept")
        else:
            _refuse_finished(runs, out)
        with _terminable():
            try:
                runs = run_batch(runs, slots=slots, keep_going=keep_going, ended=_tell)
            except KeyboardInterrupt:
                note("stopped; what is finished stays, and --resume goes on from there")
                raise typer.Exit(130) from None
        comparison = compare(runs)
        write_comparison(comparison, out)
    say((comparison.json() if as_json else comparison.text()).removesuffix("\n"))
    note(f"wrote {out / 'comparison.html'}, comparison.csv and comparison.json")
    _fail_unless_finished(runs)


def _list(runs: Sequence["BatchRun"], as_json: bool) -> None:
    """What a dry run prints: each run, and whether it is finished."""
    if as_json:
        rows = [
            {
                "run": run.cell.name,
                "finished": run.summary is not None,
                "request": run.request,
                "model": str(run.cell.request.model),
                "data": str(run.cell.files) if run.cell.files else None,
            }
            for run in runs
        ]
        say(json.dumps(rows, indent=2))
        return
    for run in runs:
        say(f"{'finished' if run.summary else 'to run  '}  {run.cell.name}")


def _refuse_finished(runs: Sequence["BatchRun"], out: Path) -> None:
    from calibrate.batch import COMPARISON

    finished = [run.cell.name for run in runs if run.record and run.record.exit_code == 0]
    if finished or (out / COMPARISON).exists():
        found = f"{len(finished)} finished runs, {finished[0]} first" if finished else "a comparison"
        raise UsageError(
            f"--out {out} holds {found}; pass --resume to keep what was finished for the same request and replace the "
            "rest, or another --out."
        )


def _tell(run: "BatchRun") -> None:
    assert run.record is not None
    note(f"{run.cell.name}: {f'failed: {run.record.error}' if run.record.error else 'finished'}")


def _fail_unless_finished(runs: Sequence["BatchRun"]) -> None:
    failed = [run.cell.name for run in runs if run.record and not run.summary]
    if not failed:
        return
    finished = sum(run.summary is not None for run in runs)
    left = len(runs) - finished - len(failed)
    kind = PartialBatchError if finished else BatchError
    go_on = f" {left} were not started; --keep-going goes on after a failure." if left else ""
    raise kind(
        f"{finished} of {len(runs)} runs are finished; failed: {', '.join(failed)}.{go_on} Mend the cause, which is in "
        "each run's log.txt, and go on with --resume."
    )


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM stop the batch as Ctrl-C does, so that the children are stopped too."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
