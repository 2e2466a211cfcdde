"""``afternorm adapt``: compare test-time adaptation methods on a stream, or keep what one of them learns."""

from pathlib import Path
from typing import Annotated

import typer

from calibrate.cli import options, stream_options
from calibrate.errors import UsageError
from calibrate.recipe import Outputs, RunSettings
from calibrate.request import RunRequest


def adapt_command(
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
    methods: stream_options.Methods = None,
    keep: stream_options.Keep = None,
    order: stream_options.Order = None,
    stream_batch: stream_options.StreamBatch = None,
    domains: stream_options.Domains = None,
    concentration: stream_options.Concentration = None,
    cycles: stream_options.Cycles = None,
    episodic: stream_options.Episodic = False,
    seeds: stream_options.Seeds = None,
    samples: stream_options.Samples = None,
    recipe: Annotated[
        str | None, typer.Option(help="A recipe instead, as a file or a mapping.", show_default=False)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the split and the orders.", show_default=False)] = None,
    out: options.Out = Path("adapted"),
    batch_size: options.BatchSize = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    autocast: options.Autocasting = None,
    as_json: options.AsJson = False,
    dry_run: options.DryRun = False,
) -> None:
    """Compare test-time adaptation methods on streams of the holdout half; with --keep, write an adapted network.

    Writes report.html with the figures, report.md, report.txt and summary.json; with --keep tuned.safetensors,
    tuned.onnx and tuned.reference.json too.
    """
    stream = stream_options.stream_of(order, stream_batch, domains, concentration, cycles, episodic=episodic)
    if recipe is None:
        wanted = stream_options.adaptation_recipe(methods, keep, stream, seeds, samples)
        chosen = options.recipe(wanted.canonical, None, seed)
    elif methods is not None or keep is not None or stream is not None or seeds is not None or samples is not None:
        raise UsageError("--recipe says which methods meet which streams; leave the options that say so too out.")
    else:
        chosen = options.recipe(recipe, None, seed)
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
        outputs=Outputs() if any(step.adapts for step in chosen.steps) else Outputs(formats=()),
        settings=RunSettings(batch_size=batch_size, device=device, threads=threads, autocast=autocast),
    )

    from calibrate.cli.requests import deliver_run

    deliver_run(request, out, as_json=as_json, dry_run=dry_run)
