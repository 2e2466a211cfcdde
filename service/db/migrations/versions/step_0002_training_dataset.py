"""Jobs can refer to a dataset that the model was trained on."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column; jobs that are there have none."""
    # In SQL, because Alembic adds a reference in SQLite only by copying the table, with which others' rows would go.
    op.execute("ALTER TABLE jobs ADD COLUMN training_dataset VARCHAR REFERENCES datasets (id)")
    op.create_index("jobs_by_training_dataset", "jobs", ["training_dataset"])
