"""Models can say which of several weights in their file are meant."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column; models that are there asked for none."""
    op.add_column("models", sa.Column("asked_weights", sa.String()))
