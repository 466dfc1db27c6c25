"""Removes signatures and tokens from what is kept of a callback.

Invariant: no secret of a connection and no signature that came in a body is ever stored, be the body an event or not; and what
is kept of a body that is not an event is never taken for one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_vod.events.parse import UnparsedEvent, VodEvent, read_event
from airflow_vod.web.signature import without_claim

if TYPE_CHECKING:
    from airflow_vod.tencent.settings import VodSettings

REDACTED = "***"
UNPARSED_KEPT = 16_384  # characters kept of a body that is not an event
_SHORTEST = 8  # characters; what is shorter would be found in ordinary text
_SIGNATURE = re.compile(r"(?i)(sign\W{0,12})[0-9a-f]{32}")


def event_in(body: bytes, settings: VodSettings) -> VodEvent | UnparsedEvent:
    """Read the event in a body that has been authenticated.

    :param body: as received.
    :param settings: of its connection, whose secrets are removed.
    :return: the event, or what can be kept of the body, with the reason why it is not one.
    """
    for secret in filter(None, (settings.callback_token, settings.callback_secret)):
        if len(secret) >= _SHORTEST:
            body = body.replace(secret.encode(), REDACTED.encode())
    content = load(body)
    event = read_event(without_claim(content) if isinstance(content, dict) else content)
    return _without_signature(event) if isinstance(event, UnparsedEvent) else event


def load(body: bytes) -> Any:
    """Parse JSON; anything else is returned as is, and fails when it is parsed as an event.

    :param body: from anybody.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body


def _without_signature(event: UnparsedEvent) -> UnparsedEvent:
    raw = _redacted(event.raw)
    text = raw if isinstance(raw, str) else json.dumps(raw)
    if len(text) > UNPARSED_KEPT:
        # The words in front also keep a beginning that is JSON by itself from being read as an event, now or later.
        raw = f"The first {UNPARSED_KEPT} of {len(text)} characters: {text[:UNPARSED_KEPT]}"
    return event if raw == event.raw else replace(event, raw=raw, key=read_event(raw).key)


def _redacted(value: Any) -> Any:
    """Copy JSON without signatures; it is nested no deeper than events may be."""
    if isinstance(value, str):
        return _SIGNATURE.sub(rf"\1{REDACTED}", value)
    if isinstance(value, dict):
        return dict(_members(value.items()))
    if isinstance(value, list):
        return [_redacted(item) for item in value]
    return value


def _members(items: Iterable[tuple[str, Any]]) -> Iterable[tuple[str, Any]]:
    for name, value in items:
        yield _redacted(name), REDACTED if name.lower() == "sign" else _redacted(value)
