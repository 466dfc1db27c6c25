"""Adds to each waiter the process that owns its row, and when VOD was last asked about its task."""

from __future__ import annotations

import sqlalchemy as sa

from airflow_vod.inbox.columns import IdText, Seconds
from airflow_vod.inbox.migrations.steps import add_column

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two columns; both are NULL in the rows that exist."""
    add_column("vod_waiter", sa.Column("owner", IdText, nullable=True))
    add_column("vod_waiter", sa.Column("asked_at", Seconds, nullable=True))
