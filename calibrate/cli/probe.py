"""``afternorm probe``: look at what a network's normalisation does on data, and change nothing."""

from pathlib import Path
from typing import Annotated

import typer

from calibrate.cli import options
from calibrate.errors import UsageError
from calibrate.recipe import Outputs, RunSettings
from calibrate.request import Requirement, RunRequest

#: What is looked at of data that are accepted, where no recipe says so.
ACCEPTING = "{steps: [{kind: input_fit}]}"


def probe_command(
    model: options.ModelPath,
    data: options.DataPath,
    training_data: options.TrainingData = None,
    architecture: options.Architecture = None,
    architecture_args: options.ArchitectureArgs = None,
    weights: options.Weights = None,
    classes: options.Classes = None,
    class_map: options.ClassMap = None,
    split: options.SplitName = None,
    skip_broken: options.SkipBroken = 0,
    preprocessing: options.PreprocessingText = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="A preset or a recipe of probes as a file or a mapping. Default: probe; with --require no-shift or "
            "--reference field_shift, with --accept the probe input_fit.",
            show_default=False,
        ),
    ] = None,
    require: Annotated[
        list[Requirement] | None,
        typer.Option(
            help="Exit 6 where data have shifted from the reference (no-shift), or where inputs or statistics are not "
            "sound (sound); may be given twice.",
            show_default=False,
        ),
    ] = None,
    accept: Annotated[
        bool,
        typer.Option("--accept", help="Make these data the reference of later shifts, once you have looked at them."),
    ] = False,
    reference: Annotated[
        Path | None,
        typer.Option(
            help="The reference to compare with, or to write with --accept. Default: the file that belongs to the "
            "model, as in tuned.reference.json.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the split and the noise.", show_default=False)] = None,
    out: options.Out = Path("probed"),
    batch_size: options.BatchSize = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    autocast: options.Autocasting = None,
    as_json: options.AsJson = False,
    dry_run: options.DryRun = False,
) -> None:
    """Look at what a network's normalisation does on the holdout half of the data; nothing is changed.

    Writes report.html with the figures, report.md, report.txt and summary.json; with --accept the reference of later
    shifts, beside the model.
    """
    required = require or []
    if told := [item for item in required if item not in (Requirement.NO_SHIFT, Requirement.SOUND)]:
        raise UsageError(
            f"--require {told[0]} was given, and afternorm probe compares no networks, so there is no verdict; give it "
            "to afternorm calibrate, or give --require no-shift or --require sound."
        )
    if accept and Requirement.NO_SHIFT in required:
        raise UsageError(
            "--accept makes the data the reference that --require no-shift would compare them with; leave one out."
        )
    if recipe is None:
        compares = Requirement.NO_SHIFT in required or (reference is not None and not accept)
        recipe = "field_shift" if compares else ACCEPTING if accept else "probe"
    chosen = options.recipe(recipe, None, seed)
    if changing := [step.kind for step in chosen.steps if "probe" not in step.jobs]:
        raise UsageError(
            f"the recipe {recipe} has the step {changing[0]}, and afternorm probe changes nothing; leave the step out, "
            "or give the recipe to afternorm calibrate."
        )
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
        training_data=training_data,
        recipe=chosen,
        reference=reference,
        outputs=Outputs(formats=()),
        settings=RunSettings(batch_size=batch_size, device=device, threads=threads, autocast=autocast),
    )

    from calibrate.cli.requests import deliver_run

    deliver_run(request, out, as_json=as_json, dry_run=dry_run, require=required, accept=accept)
