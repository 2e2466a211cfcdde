"""Columns of jobs say what they hold: how many attempts were lost, and when the lease expires."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Rename the columns; the rows keep their values."""
    op.alter_column("jobs", "lost", new_column_name="lost_attempts")
    op.alter_column("jobs", "lease_until", new_column_name="lease_expires_at")
