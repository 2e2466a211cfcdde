"""``afternorm calibrate``: tune a network, prove the gain on held-out data, write the files."""

from pathlib import Path
from typing import Annotated

import typer

from calibrate.cli import auto_options, options
from calibrate.recipe import RunSettings
from calibrate.request import Requirement, RunRequest


def calibrate_command(
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
            help="A preset (quick, auto, statistics, alpha, temperature, adabn, repair, precise_bn, measure), a recipe "
            "file or a mapping; quick where none is given, and with --alpha alpha.",
            show_default=False,
        ),
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Use this α instead of searching for one.", show_default=False)
    ] = None,
    budget: auto_options.Budget = None,
    shifts: auto_options.Shifts = None,
    guardrail: auto_options.Guardrail = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the split and the intervals.", show_default=False)] = None,
    trials: Annotated[
        Path | None,
        typer.Option(help="Keep finished passes here, and do not make again what is here.", show_default=False),
    ] = None,
    out: options.Out = Path("out"),
    formats: options.Formats = "safetensors,onnx",
    latency_runs: options.LatencyRuns = 30,
    opset: options.Opset = None,
    ir_version: options.IrVersion = None,
    dynamic: options.Dynamic = False,
    require: Annotated[
        list[Requirement] | None,
        typer.Option(
            help="Write the network and exit 0 only with this verdict, or where inputs and statistics are sound, else "
            "exit 6; may be given twice.",
            show_default=False,
        ),
    ] = None,
    batch_size: options.BatchSize = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    autocast: options.Autocasting = None,
    as_json: options.AsJson = False,
    dry_run: options.DryRun = False,
) -> None:
    """Tune a trained network on one half of the data and prove the gain on the other.

    Writes tuned.safetensors, tuned.onnx, tuned.reference.json, report.html, report.md, report.txt and summary.json.
    """
    chosen = auto_options.with_search(
        options.recipe(recipe or ("quick" if alpha is None else "alpha"), alpha, seed), budget, shifts, guardrail
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
        outputs=options.outputs(formats, latency_runs, opset, ir_version, dynamic),
        settings=RunSettings(batch_size=batch_size, device=device, threads=threads, autocast=autocast),
    )

    from calibrate.cli.requests import deliver_run

    deliver_run(request, out, as_json=as_json, dry_run=dry_run, trials=trials, require=require or ())
