"""Models can say which of several weights are meant; datasets which part is read, and how many images may be broken."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns; models and datasets that are there ask for nothing, and none of their images may be left out."""
    op.add_column("models", sa.Column("asked_weights", sa.String()))
    op.add_column("datasets", sa.Column("split", sa.String()))
    op.add_column("datasets", sa.Column("skip_broken", sa.Integer(), nullable=False, server_default=sa.text("0")))
