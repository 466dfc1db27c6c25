"""Stored events as JSON, for people and other programs.

Invariant: the output is ASCII, one event per line.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_vod.inbox.records import EventSummary, StoredEvent


def header_of(event: EventSummary) -> dict[str, Any]:
    """:return: all fields of an event except its body."""
    header = asdict(event)
    header.pop("text", None)
    return header


def line_of(event: StoredEvent) -> str:
    """:return: all fields of an event and its body as delivered, as one line of JSON."""
    return json.dumps({**header_of(event), "body": event.body}) + "\n"
