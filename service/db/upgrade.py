"""Bringing a database up to date, by the steps in ``migrations/versions``."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from service.errors import NewerDatabaseError


def migrate(engine: Engine) -> None:
    """Carry out the steps that this database has not seen; one process does it, others wait for it.

    Raises NewerDatabaseError for a database at a step that this version does not know, and changes nothing there.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    with engine.execution_options(afternorm_write=True).begin() as connection:
        stands = MigrationContext.configure(connection).get_current_revision()
        known = {script.revision for script in scripts.walk_revisions()}
        if stands is not None and stands not in known:
            raise NewerDatabaseError(
                f"the database stands at step {stands!r}, which this version of afternorm does not know; install the "
                "version that wrote it, or a newer one."
            )
        if stands == scripts.get_current_head():
            return
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
