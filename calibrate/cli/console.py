"""The console: data on standard output, progress and errors on standard error."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from pydantic import BaseModel

from calibrate.result import Listener, Progress, silent


def say(text: str) -> None:
    """Print data."""
    typer.echo(text)


def note(text: str) -> None:
    """Print something that is not data."""
    typer.echo(text, err=True)


def show(result: BaseModel, text: Callable[[], str], files: Iterable[Path], *, as_json: bool) -> None:
    """Print a result, as JSON or in words, and note the files that were written of it."""
    say(result.model_dump_json(indent=2) if as_json else text())
    for path in files:
        note(f"wrote {path}")


@contextmanager
def progress_bars() -> Iterator[Listener]:
    """A listener that draws one bar with an ETA per stage, on a terminal only."""
    if not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("", total=None)
        stage = ""

        def listen(progress: Progress) -> None:
            nonlocal stage
            if progress.stage != stage:
                stage = progress.stage
                bars.reset(task, description=stage, total=progress.total)
            bars.update(task, completed=progress.done)

        yield listen
