"""Adds the table of VOD tasks that were to be started."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_mysql_id = mysql.VARCHAR(255, charset="utf8mb4", collation="utf8mb4_bin")
_mysql_text = mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin")
_id = sa.String(255).with_variant(_mysql_id, "mysql").with_variant(_mysql_id, "mariadb")
_text = sa.Text().with_variant(_mysql_text, "mysql").with_variant(_mysql_text, "mariadb")
_seconds = sa.Float(53)


def upgrade() -> None:
    """Make it."""
    op.create_table(
        "vod_submission",
        sa.Column("queue", _id, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("generation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("session_id", _id, nullable=False),
        sa.Column("action", _id, nullable=False),
        sa.Column("parameters", _text, nullable=False),
        sa.Column("submitter", _text, nullable=False),
        sa.Column("owner", _id, nullable=False),
        sa.Column("life", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("message", _text, nullable=True),
        sa.Column("vod_task_id", _id, nullable=True),
        sa.Column("other_task_ids", _text, nullable=False),
        sa.Column("intended_at", _seconds, nullable=False),
        sa.Column("called_at", _seconds, nullable=False),
        sa.Column("updated_at", _seconds, nullable=False),
        sa.PrimaryKeyConstraint("queue", "key", "generation", name=op.f("pk_vod_submission")),
        sa.CheckConstraint(
            "state <> 'intended' OR vod_task_id IS NULL", name=op.f("ck_vod_submission_intended_has_no_task")
        ),
        sa.CheckConstraint(
            "state NOT IN ('started', 'done') OR vod_task_id IS NOT NULL",
            name=op.f("ck_vod_submission_started_has_task"),
        ),
    )
    op.create_index("ix_vod_submission_updated", "vod_submission", ["updated_at"])
    op.create_index("ix_vod_submission_task", "vod_submission", ["vod_task_id", "queue"])
