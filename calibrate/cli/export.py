"""``afternorm export``: write a network, plain or tuned, as ONNX, and prove the file."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calibrate.cli import options
from calibrate.cli.console import note, say
from calibrate.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from calibrate.engine import Opened


def export(
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

    from calibrate.engine import open_model, write_onnx
    from calibrate.export import require_runtime

    require_runtime()
    if out.is_dir():
        raise UsageError(
            f"--out {out} is a directory; give the path of the file to write, such as {out / 'model.onnx'}."
        )
    if threads is not None:
        torch.set_num_threads(threads)
    opened = open_model(model, architecture, options.mapping(architecture_args, "--architecture-args"))
    examples = _examples(opened, data, classes, preprocessing, class_map)
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


def _examples(
    opened: "Opened", data: str | None, classes: Path | None, preprocessing: str | None, class_map: Path | None
) -> "Tensor":
    import torch

    from calibrate.data import open_data, read_class_map, read_classes
    from calibrate.engine import first_examples, input_dtype

    shape = options.preprocessing(preprocessing) or opened.preprocessing
    if data is not None:
        names = read_classes(classes) if classes else opened.class_names
        mapping = read_class_map(class_map) if class_map else None
        source = open_data(data, preprocessing=shape, classes=names, class_map=mapping)
        return first_examples(source, input_dtype(opened.model))
    side = shape and (shape.crop or shape.resize)
    if shape is None or not side:
        raise UsageError(
            f"the input size of {opened.architecture} is not known; pass --data with real inputs, "
            "or --preprocessing with a crop, such as '{crop: 224}'."
        )
    generator = torch.Generator().manual_seed(0)
    return torch.randn(64, shape.channels, side, side, generator=generator).to(input_dtype(opened.model))
