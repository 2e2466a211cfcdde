"""``afternorm export``: write a network, original or tuned, as ONNX, and prove the file."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calibrate.cli import options
from calibrate.cli.console import note, say
from calibrate.errors import UsageError

if TYPE_CHECKING:
    from calibrate.data import Source
    from calibrate.engine import Opened
    from calibrate.recipe import Preprocessing


def export_command(
    model: options.ModelPath,
    architecture: options.Architecture = None,
    architecture_args: options.ArchitectureArgs = None,
    data: Annotated[
        str | None,
        typer.Option(help="Real inputs to prove the file on; without, seeded noise.", show_default=False),
    ] = None,
    classes: options.Classes = None,
    class_map: options.ClassMap = None,
    preprocessing: options.PreprocessingText = None,
    out: Annotated[Path, typer.Option("--out", help="The ONNX file.")] = Path("model.onnx"),
    threads: options.Threads = None,
    as_json: options.AsJson = False,
    dry_run: options.DryRun = False,
) -> None:
    """Export a network to ONNX with a dynamic batch, and compare the file with it in ONNX Runtime."""
    import torch

    from calibrate.engine import open_model, proof_examples, set_up_process, write_onnx
    from calibrate.export import require_runtime

    require_runtime()
    if out.is_dir():
        raise UsageError(
            f"--out {out} is a directory; give the path of the file to write, such as {out / 'model.onnx'}."
        )
    set_up_process(threads)
    opened = open_model(model, architecture, options.mapping(architecture_args, "--architecture-args"))
    shape = options.preprocessing(preprocessing) or opened.preprocessing
    examples = proof_examples(opened, _source(opened, data, classes, shape, class_map), shape)
    if dry_run:
        say(f"would write {out} from {opened.architecture} and inputs of shape {tuple(examples.shape[1:])}")
        return
    parity = write_onnx(opened, examples, out, inputs="data" if data else "noise", threads=torch.get_num_threads())
    if as_json:
        say(json.dumps({"file": str(out), "parity": [item.model_dump() for item in parity]}, indent=2))
    else:
        for item in parity:
            say(f"batch {item.batch_size}: relative error {item.relative_error:.1e} on {item.inputs}")
    note(f"wrote {out}")


def _source(
    opened: "Opened", data: str | None, classes: Path | None, shape: "Preprocessing | None", class_map: Path | None
) -> "Source | None":
    from calibrate.data import open_data, read_class_map, read_classes

    if data is None:
        return None
    names = read_classes(classes) if classes else opened.class_names
    mapping = read_class_map(class_map) if class_map else None
    return open_data(data, preprocessing=shape, classes=names, class_map=mapping)
