"""``afternorm datasets``: the datasets of a server."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from calibrate.cli import options
from calibrate.cli.console import note, say
from service.app.options import DEFAULT_URL, Name, Url, connect
from service.app.tables import show, show_all

datasets = typer.Typer(help="The datasets of a server.", no_args_is_help=True)
Identity = Annotated[str, typer.Argument(help="The dataset, as in dst_….", show_default=False)]


@datasets.command()
def add(
    path: Annotated[Path, typer.Argument(help="A .zip, .tar or .tar.gz of class folders, or an .npz of x and y.")],
    class_map: Annotated[
        str | None,
        typer.Option(
            metavar="MAPPING|FILE",
            help="Which of the model's classes each of the data is: '{kitty: cat}', or a YAML, JSON or CSV file.",
            show_default=False,
        ),
    ] = None,
    split: options.SplitName = None,
    skip_broken: options.SkipBroken = 0,
    name: Name = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Upload and register data, with or without labels, and wait for their check. Prints the dataset's identity."""
    with connect(url) as client:
        dataset = client.add_dataset(
            path, class_map=_class_map(class_map), split=split, skip_broken=skip_broken, name=name
        )
    facts = dataset.facts or {}
    classes = "without labels" if facts["classes"] is None else f"of {facts['classes']} classes"
    note(f"{dataset.name}: {facts['n']:,} examples {classes}")
    say(dataset.id)


def _class_map(text: str | None) -> Mapping[str, str | int] | None:
    if text is None or text.lstrip().startswith("{"):
        return options.mapping(text, "--class-map")

    from calibrate.data import read_class_map

    return read_class_map(text) if Path(text).is_file() else options.mapping(text, "--class-map")


@datasets.command("list")
def list_(as_json: options.AsJson = False, url: Url = DEFAULT_URL) -> None:
    """List datasets, newest first."""
    with connect(url) as client:
        show_all(client.datasets(), lambda item: (item.id, item.state, item.name, item.created_at), as_json)


@datasets.command("show")
def show_(identity: Identity, url: Url = DEFAULT_URL) -> None:
    """Print a dataset as JSON."""
    with connect(url) as client:
        show(client.dataset(identity))


@datasets.command()
def delete(identity: Identity, url: Url = DEFAULT_URL) -> None:
    """Delete a dataset that no job refers to."""
    with connect(url) as client:
        client.delete_dataset(identity)
    note(f"deleted {identity}")
