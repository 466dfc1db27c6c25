"""The first tables of the inbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_mysql_id = mysql.VARCHAR(255, charset="utf8mb4", collation="utf8mb4_bin")
_mysql_text = mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin")
_id = sa.String(255).with_variant(_mysql_id, "mysql").with_variant(_mysql_id, "mariadb")
_text = sa.Text().with_variant(_mysql_text, "mysql").with_variant(_mysql_text, "mariadb")
_seconds = sa.Float(53)


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "vod_queue",
        sa.Column("name", _id, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_vod_queue")),
    )
    _create_event()
    op.create_table(
        "vod_lease",
        sa.Column("queue", _id, nullable=False),
        sa.Column("holder", _id, nullable=True),
        sa.Column("acquired_at", _seconds, nullable=True),
        sa.Column("expires_at", _seconds, nullable=True),
        sa.Column("info", _text, nullable=True),
        sa.PrimaryKeyConstraint("queue", name=op.f("pk_vod_lease")),
        sa.CheckConstraint(
            "(holder IS NULL) = (acquired_at IS NULL) AND (holder IS NULL) = (expires_at IS NULL)",
            name=op.f("ck_vod_lease_lease_whole"),
        ),
    )
    op.create_table(
        "vod_waiter",
        sa.Column("queue", _id, nullable=False),
        sa.Column("id", _id, nullable=False),
        sa.Column("vod_task_id", _id, nullable=True),
        sa.Column("event_types", _text, nullable=False),
        sa.Column("waiter", _text, nullable=False),
        sa.Column("since", _seconds, nullable=False),
        sa.Column("deadline", _seconds, nullable=True),
        sa.PrimaryKeyConstraint("queue", "id", name=op.f("pk_vod_waiter")),
    )
    op.create_index("ix_vod_waiter_task", "vod_waiter", ["vod_task_id", "queue"])
    op.create_index("ix_vod_waiter_since", "vod_waiter", ["queue", "since"])
    op.create_table(
        "vod_cursor",
        sa.Column("watcher", _id, nullable=False),
        sa.Column("queue", _id, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", _seconds, nullable=False),
        sa.PrimaryKeyConstraint("watcher", "queue", name=op.f("pk_vod_cursor")),
    )


def _create_event() -> None:
    op.create_table(
        "vod_event",
        sa.Column("queue", _id, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("event_type", _id, nullable=True),
        sa.Column("vod_task_id", _id, nullable=True),
        sa.Column("file_id", _id, nullable=True),
        sa.Column("status", sa.String(64), nullable=True),
        sa.Column("finished", sa.Boolean(create_constraint=False), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=True),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("body", _text, nullable=False),
        sa.Column("error", _text, nullable=True),
        sa.Column("received_at", _seconds, nullable=False),
        sa.Column("read_at", _seconds, nullable=True),
        sa.Column("read_by", _id, nullable=True),
        sa.PrimaryKeyConstraint("queue", "position", name=op.f("pk_vod_event")),
        sa.UniqueConstraint("key", "queue", name=op.f("uq_vod_event_key_queue")),
        sa.CheckConstraint("(read_at IS NULL) = (read_by IS NULL)", name=op.f("ck_vod_event_read_whole")),
    )
    newest = ["received_at", "queue", "position"]
    unread, unparsed = sa.text("read_at IS NULL"), sa.text("error IS NOT NULL")
    failed = sa.text("outcome <> 'succeeded'")
    op.create_index("ix_vod_event_task", "vod_event", ["vod_task_id", "queue", "position"])
    op.create_index("ix_vod_event_file", "vod_event", ["file_id", *newest])
    op.create_index("ix_vod_event_type", "vod_event", ["event_type", *newest])
    op.create_index(
        "ix_vod_event_outcome", "vod_event", ["outcome", *newest], sqlite_where=failed, postgresql_where=failed
    )
    op.create_index("ix_vod_event_received", "vod_event", newest)
    op.create_index("ix_vod_event_unread", "vod_event", newest, sqlite_where=unread, postgresql_where=unread)
    op.create_index("ix_vod_event_unparsed", "vod_event", newest, sqlite_where=unparsed, postgresql_where=unparsed)
