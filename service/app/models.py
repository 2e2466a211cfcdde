"""``afternorm models``: the models of a server."""

from pathlib import Path
from typing import Annotated

import typer

from calibrate.cli import options
from calibrate.cli.console import note, say
from service.app.options import DEFAULT_URL, Name, Url, connect
from service.app.tables import show, show_all

models = typer.Typer(help="The models of a server.", no_args_is_help=True)
Identity = Annotated[str, typer.Argument(help="The model, as in mdl_….", show_default=False)]


@models.command()
def add(
    path: Annotated[Path, typer.Argument(help="Checkpoint: .pt, .pth, .th, .tar, .bin or .safetensors.")],
    architecture: options.Architecture = None,
    architecture_args: options.ArchitectureArgs = None,
    weights: options.Weights = None,
    preprocessing: options.PreprocessingText = None,
    classes: options.Classes = None,
    name: Name = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Upload and register a checkpoint, and wait for its check. Prints the model's identity."""
    names = None if classes is None else _names(classes)
    with connect(url) as client:
        model = client.add_model(
            path,
            architecture=architecture,
            architecture_args=options.mapping(architecture_args, "--architecture-args"),
            weights=weights,
            preprocessing=options.preprocessing(preprocessing),
            class_names=names,
            name=name,
        )
    facts = model.facts or {}
    for finding in facts.get("findings", ()):
        note(f"{finding['severity']}: {finding['message']}")
    note(f"{model.name}: {facts['architecture']}, {facts['parameters']:,} parameters, {len(facts['sites'])} sites")
    say(model.id)


def _names(path: Path) -> list[str]:
    """The name of each class in the file; that further names are not sent is said."""
    from calibrate.data import read_classes

    classes = read_classes(path)
    if classes.others:
        further = f"further name{'s' if len(classes.others) > 1 else ''}"
        note(
            f"warning: {path} has {len(classes.others)} {further} of classes, such as {next(iter(classes.others))!r}, "
            f"which a server does not take; it calls each class by its first, such as {classes[0]!r}. Data whose "
            "classes are called otherwise need a class map (`afternorm datasets add --class-map`)."
        )
    return list(classes)


@models.command("list")
def list_(as_json: options.AsJson = False, url: Url = DEFAULT_URL) -> None:
    """List models, newest first."""
    with connect(url) as client:
        show_all(
            client.models(), lambda item: (item.id, item.state, item.architecture, item.name, item.created_at), as_json
        )


@models.command("show")
def show_(identity: Identity, url: Url = DEFAULT_URL) -> None:
    """Print a model as JSON."""
    with connect(url) as client:
        show(client.model(identity))


@models.command()
def delete(identity: Identity, url: Url = DEFAULT_URL) -> None:
    """Delete a model that no job refers to."""
    with connect(url) as client:
        client.delete_model(identity)
    note(f"deleted {identity}")
