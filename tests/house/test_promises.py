"""What the README promises of commands and settings, held against the code."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import typer

from calibrate.cli.app import app
from service.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(command: click.Command, name: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command with its name, those of groups too."""
    for called, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{name} {called}".strip())
    if not hasattr(command, "commands"):
        yield name, command


def default_outputs() -> dict[str, str]:
    """Where the commands write unless told otherwise."""
    options = [(name, option) for name, each in commands(typer.main.get_command(app)) for option in each.params]
    return {name: str(option.default) for name, option in options if option.name == "out" and option.default}


def test_no_command_writes_where_another_does_unless_told_to() -> None:
    places = default_outputs()
    assert {"calibrate", "probe", "adapt", "finetune", "compare", "batch", "demo", "export"} <= places.keys()
    assert len({*places.values()}) == len(places)
    told = " ".join(README.split())
    folders = {name: place for name, place in places.items() if name != "export"}
    assert [name for name, place in folders.items() if not re.search(rf"`{name}` (writes )?into `{place}`", told)] == []


def test_the_readme_names_the_variables_that_are_read_and_no_others() -> None:
    paths = [path for room in ("calibrate", "service") for path in (ROOT / room).rglob("*.py")]
    variable = re.compile(rf"{PREFIX}[A-Z_]*[A-Z]")
    read = {found for path in paths for found in variable.findall(path.read_text(encoding="utf-8"))}
    read |= {PREFIX + name.upper() for name in Settings.model_fields}
    assert {"AFTERNORM_FACTORIES", "AFTERNORM_URL", "AFTERNORM_AUTOCAST"} <= read
    assert set(variable.findall(README)) == read
