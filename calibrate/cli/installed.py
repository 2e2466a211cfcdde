"""Commands of other packages: the entry-point group ``afternorm.commands`` (a function, or a Typer of several).

So this package never imports ``service``, whose commands stand beside its own.
"""

from importlib.metadata import EntryPoint, entry_points

import typer

from calibrate.cli.console import note

GROUP = "afternorm.commands"


def add_installed_(app: typer.Typer) -> None:
    """Add what is installed to ``app``, in the order of the names; what cannot be loaded is named, and left out."""
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        add_(app, point)


def add_(app: typer.Typer, point: EntryPoint) -> None:
    """Add the command that ``point`` names."""
    try:
        command = point.load()
    except Exception as error:  # whatever another package's import raises
        note(f"the command {point.name} ({point.value}) is left out: {type(error).__name__}: {error}")
        return
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=point.name)
    else:
        app.command(point.name)(command)
