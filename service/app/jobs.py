"""``afternorm jobs``: submit, follow and cancel jobs, and download their files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from calibrate.cli import options
from calibrate.cli.console import note, progress_bars, say
from calibrate.errors import AfternormError
from calibrate.result import Progress
from service.app.options import DEFAULT_URL, Url, connect
from service.app.tables import show, show_all
from service.jobs.kinds import Kind
from service.jobs.resources import Event, Job, JobSettings, State

if TYPE_CHECKING:
    from service.client import Client

jobs = typer.Typer(help="The jobs of a server: submit, follow, fetch.", no_args_is_help=True)
Identity = Annotated[str, typer.Argument(help="The job, as in job_….", show_default=False)]
Folder = Annotated[
    Path | None, typer.Option("--out", help="Download the files into this directory.", show_default=False)
]


@jobs.command()
def submit(
    model: Annotated[str, typer.Option(help="The model, as in mdl_….", show_default=False)],
    dataset: Annotated[str | None, typer.Option(help="The dataset, as in dst_….", show_default=False)] = None,
    training_dataset: Annotated[
        str | None,
        typer.Option(help="A dataset that the model was trained on, for the steps that use it.", show_default=False),
    ] = None,
    kind: Annotated[Kind, typer.Option(help="What to do.")] = "calibrate",
    recipe: Annotated[
        str | None, typer.Option(help="A preset, a recipe file or a mapping. Default: the kind's.", show_default=False)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the split and the intervals.", show_default=False)] = None,
    formats: options.Formats = "safetensors,onnx",
    latency_runs: options.LatencyRuns = 30,
    opset: options.Opset = None,
    ir_version: options.IrVersion = None,
    dynamic: options.Dynamic = False,
    batch_size: options.BatchSize = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="cuda waits for a GPU slot.")] = "cpu",
    autocast: options.Autocasting = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="Submitting again with the same key returns the same job.", show_default=False)
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Wait until it has ended.")] = False,
    out: Folder = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Submit a job. Prints its identity; with --follow or --out, waits, and exits 1 unless it succeeded."""
    chosen = options.recipe(recipe, None, seed) if recipe is not None else None
    with connect(url) as client:
        job = client.submit(
            kind=kind,
            model=model,
            dataset=dataset,
            training_dataset=training_dataset,
            recipe=chosen,
            outputs=options.outputs(formats, latency_runs, opset, ir_version, dynamic),
            settings=JobSettings(batch_size=batch_size, threads=threads, device=device, autocast=autocast),
            idempotency_key=idempotency_key,
        )
        say(job.id)
        if follow or out is not None:
            _follow(client, job, out)


@jobs.command("list")
def list_(
    state: Annotated[State | None, typer.Option(help="Only these.", show_default=False)] = None,
    as_json: options.AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """List jobs, newest first."""
    with connect(url) as client:
        found = client.jobs(state=state)
        show_all(
            found, lambda item: (item.id, item.kind, item.state, item.verdict, item.model, item.created_at), as_json
        )


@jobs.command("show")
def show_(identity: Identity, url: Url = DEFAULT_URL) -> None:
    """Print a job as JSON."""
    with connect(url) as client:
        show(client.job(identity))


@jobs.command()
def follow(identity: Identity, out: Folder = None, url: Url = DEFAULT_URL) -> None:
    """Wait until a job has ended; exits 1 unless it succeeded."""
    with connect(url) as client:
        _follow(client, client.job(identity), out)


@jobs.command()
def fetch(
    identity: Identity,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Directory for the files. Default: one of the job's name.", show_default=False),
    ] = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Download the files that a job wrote."""
    with connect(url) as client:
        _fetch(client, client.job(identity), out or Path(identity))


@jobs.command()
def cancel(identity: Identity, url: Url = DEFAULT_URL) -> None:
    """Cancel a queued or running job."""
    with connect(url) as client:
        note(f"{identity} is {client.cancel(identity).state}")


@jobs.command()
def delete(identity: Identity, url: Url = DEFAULT_URL) -> None:
    """Delete a job that has ended."""
    with connect(url) as client:
        client.delete_job(identity)
    note(f"deleted {identity}")


def _follow(client: "Client", job: Job, out: Path | None) -> None:
    with progress_bars() as draw:

        def listen(event: Event) -> None:
            if event.type == "progress":
                draw(Progress(event.data["stage"], event.data["done"], event.data["total"]))

        job = client.wait(job, listen=listen)
    note(f"{job.id} {job.state}{f', {job.verdict}' if job.verdict else ''}")
    if job.state != "succeeded":
        raise AfternormError(job.problem.detail if job.problem else f"the job {job.id} was {job.state}.")
    if out is not None:
        _fetch(client, job, out)


def _fetch(client: "Client", job: Job, out: Path) -> None:
    for path in client.fetch(job, out):
        note(f"wrote {path}")
