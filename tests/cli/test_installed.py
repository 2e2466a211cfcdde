"""Commands of other packages come in by their entry points, and a broken one breaks nothing."""

from importlib.metadata import EntryPoint

import pytest
import typer
from typer.testing import CliRunner

from calibrate.cli.app import app as afternorm
from calibrate.cli.installed import GROUP, add_


def _app() -> typer.Typer:
    app = typer.Typer()
    app.command()(lambda: None)
    return app


def test_a_function_and_a_typer_become_commands() -> None:
    app = _app()
    add_(app, EntryPoint("print", "typer:echo", GROUP))
    add_(app, EntryPoint("house", "calibrate.cli.app:app", GROUP))
    listed = CliRunner().invoke(app, ["--help"]).output
    assert "print" in listed
    assert "house" in listed
    assert "schema" in CliRunner().invoke(app, ["house", "--help"]).output


@pytest.mark.parametrize("value", ["calibrate.nothing:x", "calibrate.cli.app:nothing"])
def test_what_cannot_be_loaded_is_named_and_left_out(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    app = _app()
    add_(app, EntryPoint("broken", value, GROUP))
    assert f"broken ({value}) is left out" in capsys.readouterr().err
    assert "broken" not in CliRunner().invoke(app, ["--help"]).output


def test_the_server_s_commands_are_there() -> None:
    names = {group.name for group in afternorm.registered_groups} | {c.name for c in afternorm.registered_commands}
    assert {"serve", "worker", "gc", "models", "datasets", "jobs"} <= names
