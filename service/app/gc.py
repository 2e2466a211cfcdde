"""``afternorm gc``: garbage collection in a server's directory."""

from typing import Annotated

import typer

from calibrate.cli.console import note, say
from service.app.options import DataDir, require_server

MIB = 2**20


def gc(
    data_dir: DataDir = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be deleted.")] = False,
) -> None:
    """Delete expired uploads, unreferenced blobs and leftover files; safe while the server runs."""
    require_server()

    from service.db import open_database
    from service.jobs.garbage import collect
    from service.settings import Settings
    from service.storage import Blobs, Partials

    folder = Settings.from_environment(data_dir=data_dir).data_dir
    database = open_database(folder)
    try:
        garbage = collect(database, Blobs(folder), Partials(folder), dry_run=dry_run)
    finally:
        database.close()
    for blob in garbage.blobs:
        say(f"blob {blob.sha256} {blob.size}")
    for upload in garbage.uploads:
        say(f"upload {upload}")
    for leftover in garbage.leftovers:
        say(f"leftover {leftover}")
    verb = "would be" if dry_run else "were"
    note(
        f"{len(garbage.blobs)} blobs ({garbage.bytes / MIB:.1f} MiB), {len(garbage.uploads)} uploads, "
        f"{len(garbage.leftovers)} leftovers and {garbage.idempotency_keys} idempotency keys {verb} deleted"
    )
