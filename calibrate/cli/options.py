"""The options that several commands share, and how their texts become values. No torch here."""

import re
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import yaml
from pydantic import BaseModel, ValidationError

from calibrate.errors import RecipeError, UsageError
from calibrate.recipe import (
    DEFAULT_OPSET,
    LOWEST_IR,
    GraphOptions,
    Outputs,
    Preprocessing,
    Recipe,
    broken_fields,
    loads,
    parse,
    plain,
    read,
    read_recipe,
)
from calibrate.steps import CORRUPTION_SETS, ProbeCorruptions
from calibrate.values import Autocast

ModelPath = Annotated[
    Path, typer.Option("--model", help="Checkpoint: .pt, .pth, .th, .tar, .bin or .safetensors.", show_default=False)
]
Architecture = Annotated[
    str | None,
    typer.Option(
        help="torchvision/resnet50, timm/efficientnet_lite0, cifar/resnet56 or package.module:factory; "
        "a tuned file names its own.",
        show_default=False,
    ),
]
ArchitectureArgs = Annotated[
    str | None,
    typer.Option(help="Keyword arguments of the architecture, as JSON or YAML.", metavar="MAPPING", show_default=False),
]
Weights = Annotated[
    str | None,
    typer.Option(
        help="Which of several weights in the file, by path or a part of it (ema); `.` is the file itself. "
        "Default: not the averaged ones; a finding names the others.",
        metavar="PATH",
        show_default=False,
    ),
]
DataPath = Annotated[
    str,
    typer.Option(
        "--data",
        help="Directory, zip or tar of class folders, .csv, .npz, URL of one, or torchvision:NAME?root=DIR; "
        "without labels (images in no folder) for steps that need none.",
        show_default=False,
    ),
]
TrainingData = Annotated[
    str | None,
    typer.Option(
        help="Examples the network was trained on, given as --data are, for the steps that use them; no labels needed.",
        show_default=False,
    ),
]
Classes = Annotated[
    Path | None,
    typer.Option(
        help="The model's class names in its order: one a line, or JSON or YAML (class_to_idx, id2label, names).",
        show_default=False,
    ),
]
ClassMap = Annotated[
    Path | None,
    typer.Option(
        help="Which of the model's classes each class of the data is, as YAML, JSON or CSV (data,model).",
        show_default=False,
    ),
]
SplitName = Annotated[
    str | None,
    typer.Option(
        "--split",
        metavar="NAME",
        help="Of data in parts (folders, arrays val_images, a column split) read this one. Default: val, else test.",
        show_default=False,
    ),
]
SkipBroken = Annotated[
    int, typer.Option(min=0, help="Leave out up to so many images that cannot be read; opening then decodes all.")
]
PreprocessingText = Annotated[
    str | None,
    typer.Option(
        "--preprocessing",
        metavar="FILE|MAPPING|auto",
        help="As a file or in line: '{resize: 256, crop: 224}'. Default: the architecture's own; auto: what fits the "
        "network of the usual ones, where that does not.",
        show_default=False,
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Directory for the results.")]
Formats = Annotated[str, typer.Option(help="Files of the tuned network, separated by commas.")]
LatencyRuns = Annotated[
    int, typer.Option(min=0, max=1000, help="Timings of tuned.onnx against the original network; 0 for none.")
]
Opset = Annotated[
    int | None,
    typer.Option(
        min=min(LOWEST_IR),
        max=max(LOWEST_IR),
        help=f"ONNX opset of the file, for a runtime that knows no newer one. Default: {DEFAULT_OPSET}.",
        show_default=False,
    ),
]
IrVersion = Annotated[
    int | None,
    typer.Option(
        min=min(LOWEST_IR.values()),
        max=max(LOWEST_IR.values()),
        help="IR version of the ONNX file. Default: the lowest that knows the opset.",
        show_default=False,
    ),
]
Dynamic = Annotated[
    bool,
    typer.Option("--dynamic", help="Leave height and width free in the ONNX file, as the batch size is."),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        min=1,
        envvar="AFTERNORM_BATCH_SIZE",
        help="Examples per forward pass. Default: as many as keep its largest tensor small, 64 at most.",
        show_default=False,
    ),
]
Autocasting = Annotated[
    Autocast | None,
    typer.Option(
        "--autocast",
        envvar="AFTERNORM_AUTOCAST",
        help="Mixed precision in passes that predict, not in adaptation, re-estimation and probes; faster on a GPU.",
        show_default=False,
    ),
]
Device = Annotated[str, typer.Option(envvar="AFTERNORM_DEVICE", help="cpu, cuda, cuda:1, or auto.")]
Threads = Annotated[
    int | None,
    typer.Option(min=1, envvar="AFTERNORM_THREADS", help="CPU threads. Default: torch's.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output instead of text.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, say what would be done, and stop.")]

Value = TypeVar("Value", bound=BaseModel)


def model_on_data(
    *,
    model: Path,
    architecture: str | None,
    architecture_args: str | None,
    weights: str | None,
    classes: Path | None,
    class_map: Path | None,
    preprocessing_text: str | None,
    split: str | None,
    skip_broken: int,
) -> dict[str, Any]:
    """The fields of a request that say how the model is opened and how data become its inputs and labels."""
    return {
        "model": model,
        "architecture": architecture,
        "architecture_args": mapping(architecture_args, "--architecture-args"),
        "weights": weights,
        "classes": classes,
        "class_map": class_map,
        "preprocessing": preprocessing(preprocessing_text),
        "split": split,
        "skip_broken": skip_broken,
    }


def mapping(text: str | None, option: str) -> dict[str, Any] | None:
    """The JSON or YAML mapping that was given to ``option``."""
    if text is None:
        return None
    try:
        value = plain(text)
    except (ValueError, RecursionError, yaml.YAMLError):
        value = None
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise UsageError(
            f"{option} was given {text!r}; give a mapping such as '{{\"num_classes\": 10}}', each key once."
        )
    return value


def preprocessing(text: str | None) -> Preprocessing | None:
    """The preprocessing in the file ``text``, or written in it; ``auto`` is the architecture's own, to be checked."""
    if text is None:
        return None
    if text == "auto":
        return Preprocessing(auto=True)
    if text.lstrip().startswith("{"):
        return loads(Preprocessing, text, "--preprocessing")
    return read(Preprocessing, Path(text))


def recipe(name: str, alpha: float | None, seed: int | None) -> Recipe:
    """The recipe called ``name`` or written in it; with ``alpha``, that α, not the search; with ``seed``, that seed."""
    chosen = loads(Recipe, name, "--recipe") if name.lstrip().startswith("{") else read_recipe(name)
    if alpha is not None:
        try:
            steps = tuple(step.at_alpha(alpha) for step in chosen.steps)
        except ValidationError as error:
            raise UsageError(f"--alpha: {broken_fields(error.errors(include_url=False))[0][1]}.") from None
        if steps == chosen.steps:
            raise UsageError(
                f"--alpha {alpha:g} stands for the search of α, and the recipe {name} searches none; "
                "leave --alpha out, or use the recipe alpha."
            )
        chosen = chosen.model_copy(update={"steps": steps})
    if seed is not None:
        chosen = given(Recipe, {**chosen.model_dump(), "seed": seed}, "--seed")
    return chosen


def outputs(
    formats: str, latency_runs: int, opset: int | None = None, ir_version: int | None = None, dynamic: bool = False
) -> Outputs:
    """The outputs in the comma-separated ``formats``, and the form of an ONNX file among them."""
    wanted = [part.strip() for part in formats.split(",") if part.strip()]
    asked = given(Outputs, {"formats": wanted, "latency_runs": latency_runs}, "--formats")
    return asked.model_copy(update=graph_options(opset, ir_version, dynamic).model_dump())


def graph_options(opset: int | None, ir_version: int | None, dynamic: bool) -> GraphOptions:
    """The form of an ONNX file."""
    return given(GraphOptions, {"opset": opset, "ir_version": ir_version, "dynamic": dynamic}, "--ir-version")


def corruptions(names: str | None, severity: str | None, samples: int | None) -> ProbeCorruptions | None:
    """The step that looks at the corruptions ``names``, a set or separated by commas; None without names.

    ``severity`` is one, several separated by commas, or a range such as 1-5.
    """
    if names is None:
        if severity is not None or samples is not None:
            raise UsageError(
                "--severity and --corruption-samples say how the data are corrupted, and no corruption is named; add "
                "--corruptions all, or leave them out."
            )
        return None
    listed = names if names in CORRUPTION_SETS else [name.strip() for name in names.split(",")]
    step = given(ProbeCorruptions, {"names": listed, "samples": samples}, "--corruptions")
    if severity is None:
        return step
    ends = re.fullmatch(r"(\d)-(\d)", severity)
    wanted = list(range(int(ends[1]), int(ends[2]) + 1)) if ends else severity.split(",")
    return given(ProbeCorruptions, {**step.model_dump(), "severities": wanted}, "--severity")


def given(kind: type[Value], document: dict[str, Any], option: str) -> Value:
    """The value of a single option, whose error needs no schema to be understood."""
    try:
        return parse(kind, document, option)
    except RecipeError as error:
        raise UsageError(f"{option}: {error.fields[0][1]}.") from None
