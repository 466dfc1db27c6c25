"""The tables of the inbox, as the newest migration leaves them.

Invariant: the migrations create exactly these tables; a test compares the two. They have a MetaData of their own, so that they
are never mixed up with Airflow's tables, even in one database.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    text,
)

from airflow_vod.inbox.columns import KEY_LENGTH, WORD_LENGTH, ExactString, IdText, LongText, Seconds

SCHEMA_VERSION = "0004"  # the newest Alembic revision; a store opens only tables of exactly this version
VERSION_TABLE = "vod_inbox_version"

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

# One row per queue. Its lock serializes the writers of a queue, which makes positions visible in order.
vod_queue = Table(
    "vod_queue",
    metadata,
    Column("name", IdText, nullable=False),
    Column("position", BigInteger, nullable=False),
    PrimaryKeyConstraint("name"),
)

vod_event = Table(
    "vod_event",
    metadata,
    Column("queue", IdText, nullable=False),
    Column("position", BigInteger, nullable=False, autoincrement=False),
    Column("key", ExactString(KEY_LENGTH), nullable=False),
    Column("event_type", IdText, nullable=True),
    Column("vod_task_id", IdText, nullable=True),
    Column("file_id", IdText, nullable=True),
    Column("status", ExactString(WORD_LENGTH), nullable=True),
    Column("finished", Boolean(create_constraint=False), nullable=False),
    Column("outcome", ExactString(16), nullable=True),
    Column("source", ExactString(16), nullable=False),
    Column("body", LongText, nullable=False),
    Column("error", LongText, nullable=True),
    Column("received_at", Seconds, nullable=False),
    Column("read_at", Seconds, nullable=True),
    Column("read_by", IdText, nullable=True),
    PrimaryKeyConstraint("queue", "position"),
    UniqueConstraint("key", "queue"),
    CheckConstraint("(read_at IS NULL) = (read_by IS NULL)", name="read_whole"),
)
# Every index that serves a listing ends with the columns by which listings are sorted (newest first).
_newest = (vod_event.c.received_at, vod_event.c.queue, vod_event.c.position)
_unread, _unparsed = vod_event.c.read_at.is_(None), vod_event.c.error.is_not(None)
# Few tasks fail, and it is these that people look for, so the index is partial where the database supports that.
not_succeeded = text("outcome <> 'succeeded'")
Index("ix_vod_event_task", vod_event.c.vod_task_id, vod_event.c.queue, vod_event.c.position)
Index("ix_vod_event_file", vod_event.c.file_id, *_newest)
Index("ix_vod_event_type", vod_event.c.event_type, *_newest)
Index("ix_vod_event_outcome", vod_event.c.outcome, *_newest, sqlite_where=not_succeeded, postgresql_where=not_succeeded)
Index("ix_vod_event_received", *_newest)
Index("ix_vod_event_unread", *_newest, sqlite_where=_unread, postgresql_where=_unread)
Index("ix_vod_event_unparsed", *_newest, sqlite_where=_unparsed, postgresql_where=_unparsed)

# A lease is free if nobody holds it or it has expired: there is no state column, and nothing to clean up.
vod_lease = Table(
    "vod_lease",
    metadata,
    Column("queue", IdText, nullable=False),
    Column("holder", IdText, nullable=True),
    Column("acquired_at", Seconds, nullable=True),
    Column("expires_at", Seconds, nullable=True),
    Column("info", LongText, nullable=True),
    PrimaryKeyConstraint("queue"),
    # A holder without an expiry would keep the queue for ever; an expiry without a holder would lock everybody out.
    CheckConstraint(
        "(holder IS NULL) = (acquired_at IS NULL) AND (holder IS NULL) = (expires_at IS NULL)", name="lease_whole"
    ),
)

vod_waiter = Table(
    "vod_waiter",
    metadata,
    Column("queue", IdText, nullable=False),
    Column("id", IdText, nullable=False),
    Column("vod_task_id", IdText, nullable=True),
    Column("event_types", LongText, nullable=False),
    Column("waiter", LongText, nullable=False),
    Column("since", Seconds, nullable=False),
    Column("deadline", Seconds, nullable=True),
    Column("owner", IdText, nullable=True),  # NULL only in rows older than this column
    Column("asked_at", Seconds, nullable=True),
    Column("answer", LongText, nullable=True),
    Column("unannounced", Boolean, nullable=True),  # NULL: not known
    PrimaryKeyConstraint("queue", "id"),
)
Index("ix_vod_waiter_task", vod_waiter.c.vod_task_id, vod_waiter.c.queue)
Index("ix_vod_waiter_since", vod_waiter.c.queue, vod_waiter.c.since)

# One row for each follower of a queue, such as an asset watcher. Never pruned: it must outlive any outage.
vod_cursor = Table(
    "vod_cursor",
    metadata,
    Column("watcher", IdText, nullable=False),
    Column("queue", IdText, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("updated_at", Seconds, nullable=False),
    PrimaryKeyConstraint("watcher", "queue"),
)

# One row for each VOD task that was to be started. A row without task id is a request whose answer is not known.
vod_submission = Table(
    "vod_submission",
    metadata,
    Column("queue", IdText, nullable=False),
    Column("key", ExactString(KEY_LENGTH), nullable=False),
    Column("generation", BigInteger, nullable=False, autoincrement=False),
    Column("session_id", IdText, nullable=False),
    Column("action", IdText, nullable=False),
    Column("parameters", LongText, nullable=False),
    Column("submitter", LongText, nullable=False),
    Column("owner", IdText, nullable=False),
    Column("life", BigInteger, nullable=False),
    Column("attempt", BigInteger, nullable=False),
    Column("state", ExactString(16), nullable=False),
    Column("message", LongText, nullable=True),
    Column("vod_task_id", IdText, nullable=True),
    Column("other_task_ids", LongText, nullable=False),
    Column("intended_at", Seconds, nullable=False),
    Column("called_at", Seconds, nullable=False),
    Column("updated_at", Seconds, nullable=False),
    PrimaryKeyConstraint("queue", "key", "generation"),
    # A task whose id is not known cannot be waited for, and one that is known must not be started again.
    CheckConstraint("state <> 'intended' OR vod_task_id IS NULL", name="intended_has_no_task"),
    CheckConstraint("state NOT IN ('started', 'done') OR vod_task_id IS NOT NULL", name="started_has_task"),
)
Index("ix_vod_submission_updated", vod_submission.c.updated_at)
Index("ix_vod_submission_task", vod_submission.c.vod_task_id, vod_submission.c.queue)
