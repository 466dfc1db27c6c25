"""Adds to each waiter the process that owns its row, and when VOD was last asked about its task."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_mysql_id = mysql.VARCHAR(255, charset="utf8mb4", collation="utf8mb4_bin")
_id = sa.String(255).with_variant(_mysql_id, "mysql").with_variant(_mysql_id, "mariadb")


def upgrade() -> None:
    """Add two columns; both are NULL in the rows that exist."""
    op.add_column("vod_waiter", sa.Column("owner", _id, nullable=True))
    op.add_column("vod_waiter", sa.Column("asked_at", sa.Float(53), nullable=True))
