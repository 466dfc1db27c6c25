"""The durable inbox: every event that VOD handed over, kept once, in SQLite, PostgreSQL or MySQL.

`store.py` is the entry point, `tables.py` defines the tables, and only `dialects/` tells one database from another.

Invariant: importing this package loads no database library; its names are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_vod.inbox.records import Counts, EventHeader, Lease, Received, Slice, StoredEvent, Waiter
    from airflow_vod.inbox.store import InboxStore

__all__ = ["Counts", "EventHeader", "InboxStore", "Lease", "Received", "Slice", "StoredEvent", "Waiter"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{'store' if name == 'InboxStore' else 'records'}"), name)
