"""The tables. Times are seconds since 1970; documents are JSON.

Writes to the rows of a claimed job must name their claim (``service/jobs/attempts.py``).
"""

from sqlalchemy import JSON, Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, text

metadata = MetaData()

blobs = Table(
    "blobs",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("size", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("size", Integer, nullable=False),
    Column("sha256", String(64)),
    Column("blob", ForeignKey("blobs.sha256")),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
)

models = Table(
    "models",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("file_name", String, nullable=False),
    Column("blob", ForeignKey("blobs.sha256"), nullable=False),
    Column("weights", ForeignKey("blobs.sha256"), comment="the same as safetensors, once the check has made it"),
    Column("asked_weights", String, comment="which of several in the uploaded file"),
    Column("architecture", String),
    Column("architecture_args", JSON, nullable=False),
    Column("preprocessing", JSON),
    Column("class_names", JSON),
    Column("state", String, nullable=False),
    Column("facts", JSON),
    Column("problem", JSON),
    Column("created_at", Float, nullable=False),
)

datasets = Table(
    "datasets",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("file_name", String, nullable=False),
    Column("blob", ForeignKey("blobs.sha256"), nullable=False),
    Column("class_map", JSON),
    Column("split", String, comment="the part to read of data that hold several"),
    Column("skip_broken", Integer, nullable=False, server_default=text("0"), comment="images that may be left out"),
    Column("state", String, nullable=False),
    Column("facts", JSON),
    Column("problem", JSON),
    Column("created_at", Float, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("model", ForeignKey("models.id")),
    Column("dataset", ForeignKey("datasets.id")),
    Column("training_dataset", ForeignKey("datasets.id")),
    Column("recipe", JSON),
    Column("recipe_digest", String(64)),
    Column("outputs", JSON, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("slot", String, nullable=False, comment="cpu or gpu"),
    Column("timeout_seconds", Float, nullable=False),
    Column("state", String, nullable=False),
    Column("attempt", Integer, nullable=False, server_default=text("0"), comment="0 until it is first claimed"),
    Column(
        "lost_attempts",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="ended without a result: worker or process died",
    ),
    Column("worker", String, comment="the worker that claimed it"),
    Column("lease_expires_at", Float),
    Column("problem", JSON),
    Column("verdict", String),
    Column("created_at", Float, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    Index("jobs_by_state", "state", "slot", "id"),
    Index("jobs_by_model", "model"),
    Index("jobs_by_dataset", "dataset"),
    Index("jobs_by_training_dataset", "training_dataset"),
)

trials = Table(
    "trials",
    metadata,
    Column("job", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("key", String(64), primary_key=True, comment="what was evaluated on what, as a digest"),
    Column("stage", String, nullable=False),
    Column("examples", Integer, nullable=False),
    Column("blob", ForeignKey("blobs.sha256"), comment="its logits, until the job has ended"),
    Column("attempt", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("job", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String, primary_key=True),
    Column("media_type", String, nullable=False),
    Column("blob", ForeignKey("blobs.sha256"), nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("job", ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("type", String, nullable=False),
    Column("data", JSON, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Index("events_by_job", "job", "id"),
    sqlite_autoincrement=True,
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("key", String, primary_key=True),
    Column("request", String(64), nullable=False, comment="digest of the request that used it"),
    Column("job", ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", Float, nullable=False),
)
