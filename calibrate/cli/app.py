"""The command line as a whole: which commands there are, and how each way of failing ends."""

import sys
from importlib import metadata
from typing import Annotated

import typer

from calibrate.before_torch import collect_rarely, spin_briefly
from calibrate.cli.adapt import adapt_command
from calibrate.cli.batch import batch_command
from calibrate.cli.calibrate import calibrate_command
from calibrate.cli.compare import compare_command
from calibrate.cli.console import note, say
from calibrate.cli.demo import demo_command
from calibrate.cli.doctor import doctor_command
from calibrate.cli.evaluate import evaluate_command
from calibrate.cli.export import export_command
from calibrate.cli.finetune import finetune_command
from calibrate.cli.inspect import inspect_command
from calibrate.cli.installed import add_installed_
from calibrate.cli.methods import methods_command
from calibrate.cli.probe import probe_command
from calibrate.cli.schema import schema_command
from calibrate.errors import AfternormError

app = typer.Typer(
    name="afternorm",
    help="Tune the BatchNorm of an already trained model, prove that it helped, ship it as ONNX.",
    epilog="Exit codes: 0 ok, 1 failed, 2 usage, 3 partial batch, 4 unsafe input, 5 unavailable, 6 gate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    inspect_command,
    probe_command,
    evaluate_command,
    calibrate_command,
    adapt_command,
    batch_command,
    finetune_command,
    compare_command,
    export_command,
    methods_command,
    schema_command,
    doctor_command,
    demo_command,
):
    app.command(command.__name__.removesuffix("_command"))(command)
add_installed_(app)


@app.callback()
def afternorm(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=lambda asked: _version(asked), help="Print the version."),
    ] = False,
) -> None:
    """Tune the BatchNorm of an already trained model, prove that it helped, ship it as ONNX."""


def main() -> None:
    """Run the command line; an error the user can act on is one paragraph and an exit code, never a traceback."""
    spin_briefly()
    collect_rarely()
    try:
        app()
    except AfternormError as error:
        note(f"error: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        note("stopped; nothing was written")
        sys.exit(130)


def _version(asked: bool) -> None:
    if asked:
        say(f"afternorm {metadata.version('afternorm')}")
        raise typer.Exit
