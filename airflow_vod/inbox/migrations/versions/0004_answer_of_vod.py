"""Adds to each waiter what VOD last said of its task, and whether VOD announces the end of such a task."""

from __future__ import annotations

import sqlalchemy as sa

from airflow_vod.inbox.columns import LongText
from airflow_vod.inbox.migrations.steps import add_column

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two columns; both are NULL in the rows that exist."""
    add_column("vod_waiter", sa.Column("answer", LongText, nullable=True))
    add_column("vod_waiter", sa.Column("unannounced", sa.Boolean(), nullable=True))
