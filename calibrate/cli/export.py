"""``afternorm export``: write a network, original or tuned, as ONNX, and prove the file."""

import json
from pathlib import Path
from typing import Annotated

import typer

from calibrate.cli import options
from calibrate.cli.console import note, say
from calibrate.errors import UsageError
from calibrate.request import ExportRequest


def export_command(
    model: options.ModelPath,
    architecture: options.Architecture = None,
    architecture_args: options.ArchitectureArgs = None,
    weights: options.Weights = None,
    data: Annotated[
        str | None,
        typer.Option(help="Real inputs to prove the file on; without, seeded noise.", show_default=False),
    ] = None,
    classes: options.Classes = None,
    class_map: options.ClassMap = None,
    split: options.SplitName = None,
    skip_broken: options.SkipBroken = 0,
    preprocessing: options.PreprocessingText = None,
    out: Annotated[Path, typer.Option("--out", help="The ONNX file.")] = Path("model.onnx"),
    opset: options.Opset = None,
    ir_version: options.IrVersion = None,
    dynamic: options.Dynamic = False,
    threads: options.Threads = None,
    as_json: options.AsJson = False,
    dry_run: options.DryRun = False,
) -> None:
    """Export a network to ONNX with a dynamic batch, and compare the file with it in ONNX Runtime."""
    request = ExportRequest(
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
        threads=threads,
        **options.graph_options(opset, ir_version, dynamic).model_dump(),
    )
    if out.is_dir():
        raise UsageError(
            f"--out {out} is a directory; give the path of the file to write, such as {out / 'model.onnx'}."
        )

    from calibrate.engine import carry_out_export, open_export

    opened = open_export(request)
    for finding in opened.opened.findings:
        note(f"{finding.severity}: {finding.message}")
    if dry_run:
        shape = tuple(opened.examples.shape[1:])
        say(f"would write {out} from {opened.opened.architecture} and inputs of shape {shape}")
        return
    parity = carry_out_export(opened, out)
    if as_json:
        say(json.dumps({"file": str(out), "parity": [item.model_dump() for item in parity]}, indent=2))
    else:
        for item in parity:
            size = f" of {'×'.join(map(str, item.size))}" if item.size else ""
            say(f"batch {item.batch_size}{size}: relative error {item.relative_error:.1e} on {item.inputs}")
    without = [item.autocast_error for item in parity if item.autocast_error is not None]
    if without:
        note(f"forward asks for torch.autocast, and the file computes without it: it differs by {max(without):.1e}")
    note(f"wrote {out}")
