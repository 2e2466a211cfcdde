"""``afternorm finetune``: a trained network goes on training, and is scored on data that it never saw."""

import json
from pathlib import Path
from typing import Annotated

import typer

from calibrate.cli import options
from calibrate.cli.console import note, progress_bars, say, show
from calibrate.errors import UsageError
from calibrate.recipe import FineTuning, loads, read

STATE = "state.pt"

TestData = Annotated[
    str | None,
    typer.Option(help="Labelled data to score on, given as --data are. Default: a half of --data.", show_default=False),
]


def finetune_command(
    recipe: Annotated[str, typer.Argument(help="A file or a mapping; see `afternorm schema finetuning`.")],
    model: options.ModelPath,
    data: options.DataPath,
    test_data: TestData = None,
    architecture: options.Architecture = None,
    architecture_args: options.ArchitectureArgs = None,
    weights: options.Weights = None,
    preprocessing: options.PreprocessingText = None,
    out: options.Out = Path("finetuned"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on from what an interrupted run left in --out.")] = False,
    batch_size: options.BatchSize = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    as_json: options.AsJson = False,
    dry_run: options.DryRun = False,
) -> None:
    """Fine-tune a trained network on labelled data, and score its best epoch on data that it never saw.

    Writes finetuned.safetensors, finetuned.json, report.html, report.md and report.txt.
    """
    in_line = recipe.lstrip().startswith("{")
    chosen = loads(FineTuning, recipe, "the recipe") if in_line else read(FineTuning, Path(recipe))
    state = out / STATE
    if state.exists() and not resume:
        raise UsageError(
            f"--out {out} holds an unfinished fine-tuning; pass --resume to go on from there, or another --out."
        )

    from calibrate.cli.fine_tuning_requests import FineTuningRequest, describe
    from calibrate.engine import carry_out_fine_tuning, check_outputs, write_fine_tuned
    from calibrate.recipe import Outputs
    from calibrate.report import fine_tuned_page

    check_outputs(out, Outputs(formats=()))
    request = FineTuningRequest(
        model, architecture, architecture_args, weights, data, test_data, preprocessing, batch_size, device, threads
    )
    with progress_bars() as progress:
        material = request.open()
        plan = material.plan(chosen, progress)
        if dry_run:
            say(json.dumps(describe(plan), indent=2))
            return
        out.mkdir(parents=True, exist_ok=True)
        opened = material.opened
        try:
            outcome = carry_out_fine_tuning(opened.model, plan, opened.architecture, opened.architecture_args, state)
        except KeyboardInterrupt:
            note("stopped; what is finished stays, and --resume goes on from there")
            raise typer.Exit(130) from None
    files = write_fine_tuned(outcome, out)
    show(outcome.result, fine_tuned_page(outcome.result).text, files, as_json=as_json)
