"""Stored events as JSON, for people and other programs.

Invariant: what is written is ASCII, one event to a line.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_vod.inbox.records import StoredEvent


def header_of(event: StoredEvent) -> dict[str, Any]:
    """Answer what is known of an event besides its body."""
    header = asdict(event)
    del header["text"]
    return header


def line_of(event: StoredEvent) -> str:
    """Write an event: what is known of it, and its body as it was delivered."""
    return json.dumps({**header_of(event), "body": event.body}) + "\n"
