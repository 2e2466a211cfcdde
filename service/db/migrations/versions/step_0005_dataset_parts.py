"""Datasets can say which part of their file is read, and how many broken images may be left out."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns; datasets that are there name no part, and none of their images may be left out."""
    op.add_column("datasets", sa.Column("split", sa.String()))
    op.add_column("datasets", sa.Column("skip_broken", sa.Integer(), nullable=False, server_default=sa.text("0")))
