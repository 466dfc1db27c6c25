"""The first tables of the inbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from airflow_vod.inbox.columns import ExactString, IdText, LongText, Seconds
from airflow_vod.inbox.migrations.steps import create_index, create_table

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    create_table(
        "vod_queue",
        sa.Column("name", IdText, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_vod_queue")),
    )
    _create_event()
    create_table(
        "vod_lease",
        sa.Column("queue", IdText, nullable=False),
        sa.Column("holder", IdText, nullable=True),
        sa.Column("acquired_at", Seconds, nullable=True),
        sa.Column("expires_at", Seconds, nullable=True),
        sa.Column("info", LongText, nullable=True),
        sa.PrimaryKeyConstraint("queue", name=op.f("pk_vod_lease")),
        sa.CheckConstraint(
            "(holder IS NULL) = (acquired_at IS NULL) AND (holder IS NULL) = (expires_at IS NULL)",
            name=op.f("ck_vod_lease_lease_whole"),
        ),
    )
    create_table(
        "vod_waiter",
        sa.Column("queue", IdText, nullable=False),
        sa.Column("id", IdText, nullable=False),
        sa.Column("vod_task_id", IdText, nullable=True),
        sa.Column("event_types", LongText, nullable=False),
        sa.Column("waiter", LongText, nullable=False),
        sa.Column("since", Seconds, nullable=False),
        sa.Column("deadline", Seconds, nullable=True),
        sa.PrimaryKeyConstraint("queue", "id", name=op.f("pk_vod_waiter")),
    )
    create_index("ix_vod_waiter_task", "vod_waiter", ["vod_task_id", "queue"])
    create_index("ix_vod_waiter_since", "vod_waiter", ["queue", "since"])
    create_table(
        "vod_cursor",
        sa.Column("watcher", IdText, nullable=False),
        sa.Column("queue", IdText, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", Seconds, nullable=False),
        sa.PrimaryKeyConstraint("watcher", "queue", name=op.f("pk_vod_cursor")),
    )


def _create_event() -> None:
    create_table(
        "vod_event",
        sa.Column("queue", IdText, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", ExactString(64), nullable=False),
        sa.Column("event_type", IdText, nullable=True),
        sa.Column("vod_task_id", IdText, nullable=True),
        sa.Column("file_id", IdText, nullable=True),
        sa.Column("status", ExactString(64), nullable=True),
        sa.Column("finished", sa.Boolean(create_constraint=False), nullable=False),
        sa.Column("outcome", ExactString(16), nullable=True),
        sa.Column("source", ExactString(16), nullable=False),
        sa.Column("body", LongText, nullable=False),
        sa.Column("error", LongText, nullable=True),
        sa.Column("received_at", Seconds, nullable=False),
        sa.Column("read_at", Seconds, nullable=True),
        sa.Column("read_by", IdText, nullable=True),
        sa.PrimaryKeyConstraint("queue", "position", name=op.f("pk_vod_event")),
        sa.UniqueConstraint("key", "queue", name=op.f("uq_vod_event_key_queue")),
        sa.CheckConstraint("(read_at IS NULL) = (read_by IS NULL)", name=op.f("ck_vod_event_read_whole")),
    )
    newest = ["received_at", "queue", "position"]
    unread, unparsed = sa.text("read_at IS NULL"), sa.text("error IS NOT NULL")
    failed = sa.text("outcome <> 'succeeded'")
    create_index("ix_vod_event_task", "vod_event", ["vod_task_id", "queue", "position"])
    create_index("ix_vod_event_file", "vod_event", ["file_id", *newest])
    create_index("ix_vod_event_type", "vod_event", ["event_type", *newest])
    create_index(
        "ix_vod_event_outcome", "vod_event", ["outcome", *newest], sqlite_where=failed, postgresql_where=failed
    )
    create_index("ix_vod_event_received", "vod_event", newest)
    create_index("ix_vod_event_unread", "vod_event", newest, sqlite_where=unread, postgresql_where=unread)
    create_index("ix_vod_event_unparsed", "vod_event", newest, sqlite_where=unparsed, postgresql_where=unparsed)
