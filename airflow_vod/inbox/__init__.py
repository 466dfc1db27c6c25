"""The durable inbox: what VOD handed over, kept once, in SQLite, PostgreSQL or MySQL.

`store.py` is the way in; `tables.py` says what is kept; `dialects.py` is the only file that knows one database from another.
"""

from __future__ import annotations

from airflow_vod.inbox.records import Counts, EventHeader, Lease, Received, Slice, StoredEvent, Waiter
from airflow_vod.inbox.store import InboxStore

__all__ = ["Counts", "EventHeader", "InboxStore", "Lease", "Received", "Slice", "StoredEvent", "Waiter"]
