"""Makes values fit for the columns, and events into rows.

Invariant: no database refuses a value that was checked or made here: it has no NUL and no unpaired surrogate, and is no longer
than its column or `MAX_BODY`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeGuard, TypeVar

from airflow_vod.events.parse import UnparsedEvent, VodEvent
from airflow_vod.events.results import outcome_of
from airflow_vod.exceptions import InboxError, ResultError
from airflow_vod.inbox.columns import ID_LENGTH, WORD_LENGTH

MAX_BODY = 4 * 1024 * 1024  # characters, a quarter of what MEDIUMTEXT holds; VOD's events have a few thousand
MAX_TEXT = 2000  # characters of a text for people
CHUNK = 500  # values in one IN (...); SQLite before 3.32 takes 999 parameters in all

PER_EVENT = (
    *("position", "key", "event_type", "vod_task_id", "file_id", "status", "finished", "outcome", "body", "error"),
)
"""The columns of an event that `InboxStore.receive` writes and that differ within one call."""

PER_CALL = ("queue", "source", "received_at")
"""Those that are the same for all events of one call."""

T = TypeVar("T")

_ID = re.compile(rf"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{{1,{ID_LENGTH}}}")
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


def is_id(value: Any) -> TypeGuard[str]:
    """Say whether a value can be an id in the inbox: 1 to 255 characters without control characters."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def checked_id(value: str, name: str) -> str:
    """Check an id.

    :param value: the id.
    :param name: what it is called in the error.
    :return: the id.
    :raises InboxError: it is empty, too long, or has control characters.
    """
    if not is_id(value):
        raise InboxError(f"{name} must have 1 to {ID_LENGTH} characters and no control characters, not {value!r:.80}.")
    return value


def storable(text: Any, limit: int = MAX_TEXT) -> str:
    """Make a text fit for a column: truncate it, and replace characters that a database would refuse.

    :param text: anything; it is converted to a string.
    :param limit: characters to keep.
    """
    return _UNSTORABLE.sub("\ufffd", str(text)[:limit])


def chunks(values: Collection[T], size: int = CHUNK) -> Iterator[list[T]]:
    """:return: the values in lists of at most `size`, as many as one statement can take."""
    rest = iter(values)
    while chunk := list(islice(rest, size)):
        yield chunk


def row_of(event: VodEvent | UnparsedEvent) -> tuple[Any, ...]:
    """Make the values of the columns `PER_EVENT`, except the position."""
    body, error = _body(event.raw), None
    if isinstance(event, VodEvent) and len(body) <= MAX_BODY:
        status = event.status
        if status is not None and len(status) > WORD_LENGTH:
            status = status[:WORD_LENGTH]
        return (
            event.key,
            event.event_type,
            event.vod_task_id,
            event.file_id,
            status,
            event.finished,
            _outcome(event),
            body,
            None,
        )
    if len(body) > MAX_BODY:
        error = f"A body of {len(body)} characters is larger than the {MAX_BODY} that the inbox keeps; this is its beginning."
        body = _encode(body[:MAX_TEXT])
    elif isinstance(event, UnparsedEvent):
        error = storable(event.error)
    event_type = event.event_type if is_id(event.event_type) else None
    return (event.key, event_type, None, None, None, False, None, body, error)


def _outcome(event: VodEvent) -> str | None:
    """Tell how the VOD task ended; None if the event ends no task."""
    try:
        return outcome_of(event).value if event.finished else None
    except ResultError:
        return None


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else storable(value)


# The output is ASCII, so NUL, surrogates and the database's character set do not matter.
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, default=_plain).encode


def _body(raw: Any) -> str:
    try:
        return _encode(raw)
    except (
        RecursionError,
        ValueError,
        TypeError,
    ) as error:  # keys that are not strings, circular references, nested too deeply
        return _encode(f"<a {type(raw).__name__} that cannot be written as JSON: {type(error).__name__}>")


def small_json(value: Mapping[str, Any] | None, name: str, limit: int = 16_000) -> str:
    """Encode a small dictionary as JSON.

    :param value: the dictionary; None for an empty one.
    :param name: what it is called in the error.
    :param limit: characters at most.
    :raises InboxError: it is larger, or cannot be written as JSON.
    """
    try:
        text = json.dumps(dict(value or {}), separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise InboxError(f"{name} must be a dictionary that can be written as JSON: {error}.") from error
    if len(text) > limit:
        raise InboxError(f"{name} must be at most {limit} characters of JSON; this is {len(text)}.")
    return text


def words(values: Sequence[str]) -> str:
    """:return: a few short strings as JSON, for one column."""
    return _encode([storable(value, ID_LENGTH) for value in values])
