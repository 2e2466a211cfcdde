"""The command line as a whole: which commands there are, and how each way of failing ends."""

import sys
from importlib import metadata
from typing import Annotated

import typer

from calibrate.cli.adapt import adapt
from calibrate.cli.batch import batch
from calibrate.cli.calibrate import calibrate
from calibrate.cli.compare import compare
from calibrate.cli.console import note, say
from calibrate.cli.demo import demo
from calibrate.cli.doctor import doctor
from calibrate.cli.evaluate import evaluate
from calibrate.cli.export import export
from calibrate.cli.finetune import finetune
from calibrate.cli.inspect import inspect
from calibrate.cli.installed import add_installed_
from calibrate.cli.methods import methods
from calibrate.cli.probe import probe
from calibrate.cli.schema import schema
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
    inspect,
    probe,
    evaluate,
    calibrate,
    adapt,
    batch,
    finetune,
    compare,
    export,
    methods,
    schema,
    doctor,
    demo,
):
    app.command()(command)
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
