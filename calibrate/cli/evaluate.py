"""``afternorm evaluate``: measure a network, plain or tuned, on the holdout half of the data."""

import json
from pathlib import Path
from typing import Annotated

import typer

from calibrate.cli import options
from calibrate.cli.console import note, progress_bars, say
from calibrate.recipe import Outputs


def evaluate(
    model: options.ModelPath,
    data: options.DataPath,
    architecture: options.Architecture = None,
    architecture_args: options.ArchitectureArgs = None,
    classes: options.Classes = None,
    class_map: options.ClassMap = None,
    preprocessing: options.PreprocessingText = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the split and the intervals.", show_default=False)] = None,
    corruptions: Annotated[
        str | None,
        typer.Option(
            metavar="SET|NAMES",
            help="Measure on C-style corruptions too: all, common, validation, or names separated by commas.",
            show_default=False,
        ),
    ] = None,
    severity: Annotated[
        str | None, typer.Option(help="Of the corruptions: 3, 1,3,5 or 1-5, which is the default.", show_default=False)
    ] = None,
    corruption_samples: Annotated[
        int | None,
        typer.Option(min=1, help="Corrupt so many examples, drawn. Default: the holdout half.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the reports and summary.json here, too.", show_default=False)
    ] = None,
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
    corrupted = options.corruptions(corruptions, severity, corruption_samples)
    if corrupted is not None:
        chosen = chosen.model_copy(update={"steps": (*chosen.steps, corrupted)})

    from calibrate.cli.requests import Request, describe
    from calibrate.engine import carry_out, check_outputs, deliver
    from calibrate.report import render_text

    wanted = Outputs(formats=())
    if out is not None:
        check_outputs(out, wanted)
    request = Request(
        model, architecture, architecture_args, data, classes, preprocessing, batch_size, device, threads, class_map
    )
    with progress_bars() as progress:
        opened, checked = request.open(chosen, progress)
        if dry_run:
            say(json.dumps(describe(opened, checked), indent=2))
            return
        outcome = carry_out(opened.model, checked, opened.architecture, opened.architecture_args)
        summary = outcome.summary
        files: tuple[Path, ...] = ()
        if out is not None:
            delivery = deliver(outcome, opened.model, out, wanted, progress=progress)
            summary, files = delivery.summary, delivery.files
    say(summary.model_dump_json(indent=2) if as_json else render_text(summary))
    for path in files:
        note(f"wrote {path}")
