"""``afternorm probe``: look at what a network's normalisation does on data, and change nothing."""

from typing import Annotated

import typer

from calibrate.cli import options
from calibrate.errors import UsageError
from calibrate.recipe import Outputs, RunSettings
from calibrate.request import RunRequest


def probe_command(
    model: options.ModelPath,
    data: options.DataPath,
    training_data: options.TrainingData = None,
    architecture: options.Architecture = None,
    architecture_args: options.ArchitectureArgs = None,
    classes: options.Classes = None,
    class_map: options.ClassMap = None,
    preprocessing: options.PreprocessingText = None,
    recipe: Annotated[
        str, typer.Option(help="The preset probe, or a recipe of probes as a file or a mapping.")
    ] = "probe",
    seed: Annotated[int | None, typer.Option(help="Seed of the split and the noise.", show_default=False)] = None,
    out: options.Out = options.DEFAULT_OUT,
    batch_size: options.BatchSize = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    autocast: options.Autocasting = None,
    as_json: options.AsJson = False,
    dry_run: options.DryRun = False,
) -> None:
    """Look at what a network's normalisation does on the holdout half of the data; nothing is changed.

    Writes report.html with the figures, report.md, report.txt and summary.json.
    """
    chosen = options.recipe(recipe, None, seed)
    if changing := [step.kind for step in chosen.steps if "probe" not in step.jobs]:
        raise UsageError(
            f"the recipe {recipe} has the step {changing[0]}, and afternorm probe changes nothing; leave the step out, "
            "or give the recipe to afternorm calibrate."
        )
    request = RunRequest(
        **options.model_on_data(model, architecture, architecture_args, classes, class_map, preprocessing),
        data=data,
        training_data=training_data,
        recipe=chosen,
        outputs=Outputs(formats=()),
        settings=RunSettings(batch_size=batch_size, device=device, threads=threads, autocast=autocast),
    )

    from calibrate.cli.requests import deliver_run

    deliver_run(request, out, as_json=as_json, dry_run=dry_run)
