"""Adds the table of VOD tasks that were to be started."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from airflow_vod.inbox.columns import ExactString, IdText, LongText, Seconds
from airflow_vod.inbox.migrations.steps import create_index, create_table

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make it."""
    create_table(
        "vod_submission",
        sa.Column("queue", IdText, nullable=False),
        sa.Column("key", ExactString(64), nullable=False),
        sa.Column("generation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("session_id", IdText, nullable=False),
        sa.Column("action", IdText, nullable=False),
        sa.Column("parameters", LongText, nullable=False),
        sa.Column("submitter", LongText, nullable=False),
        sa.Column("owner", IdText, nullable=False),
        sa.Column("life", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("state", ExactString(16), nullable=False),
        sa.Column("message", LongText, nullable=True),
        sa.Column("vod_task_id", IdText, nullable=True),
        sa.Column("other_task_ids", LongText, nullable=False),
        sa.Column("intended_at", Seconds, nullable=False),
        sa.Column("called_at", Seconds, nullable=False),
        sa.Column("updated_at", Seconds, nullable=False),
        sa.PrimaryKeyConstraint("queue", "key", "generation", name=op.f("pk_vod_submission")),
        sa.CheckConstraint(
            "state <> 'intended' OR vod_task_id IS NULL", name=op.f("ck_vod_submission_intended_has_no_task")
        ),
        sa.CheckConstraint(
            "state NOT IN ('started', 'done') OR vod_task_id IS NOT NULL",
            name=op.f("ck_vod_submission_started_has_task"),
        ),
    )
    create_index("ix_vod_submission_updated", "vod_submission", ["updated_at"])
    create_index("ix_vod_submission_task", "vod_submission", ["vod_task_id", "queue"])
