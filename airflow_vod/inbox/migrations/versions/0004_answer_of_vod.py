"""Adds to each waiter what VOD last said of its task, and whether VOD announces the end of such a task."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_mysql_text = mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin")
_text = sa.Text().with_variant(_mysql_text, "mysql").with_variant(_mysql_text, "mariadb")


def upgrade() -> None:
    """Add two columns; both are NULL in the rows that exist."""
    op.add_column("vod_waiter", sa.Column("answer", _text, nullable=True))
    op.add_column("vod_waiter", sa.Column("unannounced", sa.Boolean(), nullable=True))
