"""``afternorm compare``: several ways of fine-tuning, each from the same seeds, against one of them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calibrate.cli import options
from calibrate.cli.console import note, progress_bars, say, show
from calibrate.cli.finetune import TestData
from calibrate.errors import UsageError
from calibrate.recipe import Comparison, read

if TYPE_CHECKING:
    from calibrate.engine import ArmCell


def compare_command(
    comparison: Annotated[Path, typer.Argument(help="YAML, JSON or TOML; see `afternorm schema comparison`.")],
    model: options.ModelPath,
    data: options.DataPath,
    test_data: TestData = None,
    architecture: options.Architecture = None,
    architecture_args: options.ArchitectureArgs = None,
    weights: options.Weights = None,
    preprocessing: options.PreprocessingText = None,
    out: options.Out = Path("compared"),
    resume: Annotated[bool, typer.Option("--resume", help="Keep what is finished, and go on with the rest.")] = False,
    batch_size: options.BatchSize = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    as_json: options.AsJson = False,
    dry_run: options.DryRun = False,
) -> None:
    """Fine-tune a network in several ways from several seeds, and test each way against the baseline.

    Writes each result into OUT/arm/number, and comparison.html, comparison.md, comparison.txt and comparison.json
    into OUT.
    """
    asked = read(Comparison, comparison)

    from calibrate.batch import held
    from calibrate.cli.fine_tuning_requests import FineTuningRequest
    from calibrate.engine import compare_arms, plan_arms, run_cell, write_compared_arms
    from calibrate.report import compared_arms_page

    request = FineTuningRequest(
        model, architecture, architecture_args, weights, data, test_data, preprocessing, batch_size, device, threads
    )
    material = request.open()
    opened = material.opened
    with progress_bars() as progress:
        cells = plan_arms(asked, lambda recipe: material.plan(recipe, progress), out)
        if dry_run:
            _list(cells, as_json)
            return
        with held(out):
            if resume:
                note(f"{sum(cell.result is not None for cell in cells)} of {len(cells)} are finished and kept")
            else:
                _refuse_begun(cells, out)
            try:
                for place, cell in enumerate(cells):
                    if cell.result is None:
                        cells[place] = run_cell(cell, opened.model, opened.architecture, opened.architecture_args)
                        note(f"{cell.name}: finished")
            except KeyboardInterrupt:
                note("stopped; what is finished stays, and --resume goes on from there")
                raise typer.Exit(130) from None
            result = compare_arms(asked, cells)
            files = write_compared_arms(result, out)
    show(result, compared_arms_page(result).text, files, as_json=as_json)


def _list(cells: Sequence["ArmCell"], as_json: bool) -> None:
    """What a dry run prints: each fine-tuning, and how far it is."""
    if as_json:
        say(json.dumps([{"run": cell.name, "state": cell.progress, "request": cell.plan.request} for cell in cells]))
        return
    for cell in cells:
        say(f"{cell.progress:<8}  {cell.name}")


def _refuse_begun(cells: Sequence["ArmCell"], out: Path) -> None:
    begun = [cell.name for cell in cells if cell.folder.exists()]
    if begun:
        raise UsageError(
            f"--out {out} holds {len(begun)} of these fine-tunings, {begun[0]} first; pass --resume to keep what is "
            "finished for the same request and go on with the rest, or another --out."
        )
