"""``afternorm evaluate``: measure a network, plain or tuned, on the holdout half of the data."""

import json
from typing import Annotated

import typer

from calibrate.cli import options
from calibrate.cli.console import progress_bars, say


def evaluate(
    model: options.ModelPath,
    data: options.DataPath,
    architecture: options.Architecture = None,
    architecture_args: options.ArchitectureArgs = None,
    classes: options.Classes = None,
    class_map: options.ClassMap = None,
    preprocessing: options.PreprocessingText = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the split and the intervals.", show_default=False)] = None,
    batch_size: options.BatchSize = 64,
    device: options.Device = "auto",
    threads: options.Threads = None,
    as_json: options.AsJson = False,
    dry_run: options.DryRun = False,
) -> None:
    """Measure a network on the holdout half of the data, as it is and with its temperature fitted.

    With the seed of the run that tuned it, the holdout half is the one nothing was chosen on.
    """
    chosen = options.recipe("measure", None, seed)

    from calibrate.cli.requests import Request, describe
    from calibrate.engine import carry_out
    from calibrate.report import render_text

    request = Request(
        model, architecture, architecture_args, data, classes, preprocessing, batch_size, device, threads, class_map
    )
    with progress_bars() as progress:
        opened, checked = request.open(chosen, progress)
        if dry_run:
            say(json.dumps(describe(opened, checked), indent=2))
            return
        summary = carry_out(opened.model, checked, opened.architecture, opened.architecture_args).summary
    say(summary.model_dump_json(indent=2) if as_json else render_text(summary))
