"""``afternorm evaluate``: measure a network, original or tuned, on the holdout half of the data."""

from pathlib import Path
from typing import Annotated

import typer

from calibrate.cli import options
from calibrate.recipe import Outputs, RunSettings
from calibrate.request import RunRequest


def evaluate_command(
    model: options.ModelPath,
    data: options.DataPath,
    architecture: options.Architecture = None,
    architecture_args: options.ArchitectureArgs = None,
    weights: options.Weights = None,
    classes: options.Classes = None,
    class_map: options.ClassMap = None,
    split: options.SplitName = None,
    skip_broken: options.SkipBroken = 0,
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
    batch_size: options.BatchSize = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    autocast: options.Autocasting = None,
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
    request = RunRequest(
        **options.model_on_data(
            model=model,
            architecture=architecture,
            architecture_args=architecture_args,
            weights=weights,
            classes=classes,
            class_map=class_map,
            preprocessing_text=preprocessing,
            split=split,
            skip_broken=skip_broken,
        ),
        data=data,
        recipe=chosen,
        outputs=Outputs(formats=()),
        settings=RunSettings(batch_size=batch_size, device=device, threads=threads, autocast=autocast),
    )

    from calibrate.cli.requests import deliver_run

    deliver_run(request, out, as_json=as_json, dry_run=dry_run)
