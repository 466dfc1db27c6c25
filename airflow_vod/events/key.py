"""The canonical content of an event and its key.

Invariant: the same content has the same key, whichever source delivered it and however often. The key drops nothing but what
:func:`meaningful` drops, and whoever reads an event reads what that function leaves, so two events that can be read
differently have two keys. What cannot be read as an event has keys of its own. Everything returned here is
plain JSON that any database and any Airflow version can store: no null, NaN, NUL character or lone surrogate, no integer
over 64 bits, and for events no nesting deeper than :data:`MAX_DEPTH`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from airflow_vod.exceptions import EventParseError

MAX_DEPTH = 64
"""Maximum nesting depth of an event; the deepest one that VOD documents has about ten levels."""

_NOT_CONTENT = frozenset({"EventHandle", "Sign", "T"})
"""What differs between two deliveries of one event: the event handle, and a callback's signature with its expiry."""

_NOTHING: tuple[Any, ...] = ("", [], {}, None)
_UNSAFE = re.compile(r"[\x00\ud800-\udfff]")
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def key_of(content: Mapping[str, Any]) -> str:
    """Compute the key of an event.

    :param content: plain JSON, as `clean` returns it.
    :return: SHA-256 of the canonical content, 64 hexadecimal digits.
    """
    return hashlib.sha256(_canonical(meaningful(content)).encode("ascii")).hexdigest()


def key_of_unreadable(body: Any) -> str:
    """Compute the key of a body that is not an event; no event has the same.

    :param body: plain JSON, as `storable` returns it.
    :return: SHA-256 of the canonical body with a mark, 64 hexadecimal digits.
    """
    return hashlib.sha256(b"not an event:" + _canonical(meaningful(body)).encode("ascii")).hexdigest()


def meaningful(value: Any) -> Any:
    """Drop the fields that say nothing: VOD sends "", [], {} and null for "nothing", differently by source and year.

    An item of a list is never dropped, however empty: its place tells of an output of which nothing is known.

    :param value: plain JSON, as `clean` returns it.
    """
    if isinstance(value, dict):
        return {name: kept for name, item in value.items() if (kept := meaningful(item)) not in _NOTHING}
    if isinstance(value, list):
        return [meaningful(item) for item in value]
    return value


def load(body: Any) -> Any:
    """Parse JSON text; anything already parsed is returned as it is.

    :param body: text, bytes, or a loaded value.
    :raises EventParseError: the text is not JSON.
    """
    if not isinstance(body, str | bytes | bytearray):
        return body
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise EventParseError(f"A VOD event is JSON; this is not: {error}.") from None


def clean(value: Any) -> Any:
    """Copy a value as plain JSON; fields that are null are dropped, and an item of a list that is null becomes ``{}``.

    :raises EventParseError: it is not JSON, or is nested deeper than `MAX_DEPTH`.
    """
    return _clean(value, MAX_DEPTH, strict=True)


def storable(body: Any) -> Any:
    """Make a body that is not an event storable without loss: as JSON, or as text if it is too deep or not JSON.

    :param body: anything that a queue or a callback delivered.
    """
    with contextlib.suppress(EventParseError):
        body = load(body)  # from here on a callback's text equals what the queue's client has parsed
        return clean(body)
    if isinstance(body, bytes | bytearray):
        body = body.decode("utf-8", "backslashreplace")
    if not isinstance(body, str):
        # No queue or callback delivers objects that are not JSON; for those, naming the types inside is enough.
        with contextlib.suppress(TypeError, ValueError, RecursionError):
            content = content_of(body) if isinstance(body, dict) else body
            body = json.dumps(_without_nulls(content), sort_keys=True)
    return _clean(body, MAX_DEPTH, strict=False)


def content_of(delivered: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event without what belongs to its delivery: event handle and signature."""
    return {name: value for name, value in delivered.items() if name not in _NOT_CONTENT}


def _clean(value: Any, depth: int, *, strict: bool) -> Any:
    """Copy plain JSON; anything else raises if strict, and otherwise is replaced by the name of its type."""
    if isinstance(value, str):
        return _safe(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and value.bit_length() < 4096:
        return int(value) if -(2**63) <= value < 2**64 else str(int(value))
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, (dict, Mapping)) and depth:
        return {
            _safe(name): kept
            for name, item in value.items()
            if item is not None and (kept := _clean(item, depth - 1, strict=strict)) is not None
        }
    if isinstance(value, (list, tuple)) and depth:
        return [{} if (item := _clean(each, depth - 1, strict=strict)) is None else item for each in value]
    if strict:
        raise EventParseError(f"A VOD event is JSON of at most {MAX_DEPTH} levels; {type(value).__name__} is not.")
    return f"<{type(value).__name__}>"


def _safe(text: Any) -> str:
    if not isinstance(text, str):
        return f"<{type(text).__name__}>"
    return text if text.isascii() and "\0" not in text else _UNSAFE.sub("\ufffd", text)


def _without_nulls(value: Any) -> Any:
    """Drop the null fields of all other event types, which the queue adds to each event."""
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [{} if item is None else _without_nulls(item) for item in value]
    return value
