"""Upgrade a database with the migrations in ``migrations/versions``."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from service.errors import NewerDatabaseError


def migrate(engine: Engine) -> None:
    """Run the migrations that are missing; one process at a time does, others wait for it.

    Raises NewerDatabaseError, and changes nothing, for a database with a migration that this version does not have.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    with engine.execution_options(afternorm_write=True).begin() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
        known = {script.revision for script in scripts.walk_revisions()}
        if current is not None and current not in known:
            raise NewerDatabaseError(
                f"the database is at migration {current!r}, which this version of afternorm does not have; install the "
                "version that wrote it, or a newer one."
            )
        if current == scripts.get_current_head():
            return
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
