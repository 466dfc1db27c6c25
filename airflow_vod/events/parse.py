"""What VOD announced: one parse for every road by which an event arrives.

Invariant: the same event has the same ``key`` by any road (pulled, called back in form 3.0 or in the legacy form 2.0,
answered by ``DescribeTaskDetail``) and at any redelivery; and whatever arrives either is an event or raises
:class:`~airflow_vod.exceptions.EventParseError`, nothing else.

Everything in an event is plain JSON that any database and any Airflow version stores: no null, NaN, NUL character or
lone surrogate, no integer over 64 bits, no nesting deeper than :data:`MAX_DEPTH`. Ids are strings and compare exactly.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_vod.events.types import EVENT_TYPES, EventType, type_of_detail, values_at
from airflow_vod.exceptions import EventParseError

__all__ = [
    "EVENT_TYPES",
    "EventType",
    "UnparsedEvent",
    "VodEvent",
    "event_of_detail",
    "is_unfinished",
    "parse_event",
    "read_event",
]

MAX_DEPTH = 64
"""Levels of nesting that an event may have; the deepest that VOD documents has about ten."""

UNFINISHED = frozenset({"PROCESSING", "WAITING"})
"""What ``Status`` says while a VOD task has not ended."""


@dataclass(frozen=True, slots=True)
class VodEvent:
    """What VOD announced, in one form whatever road it took.

    :param key: SHA-256 (64 hexadecimal digits) of the canonical content; equal for equal events.
    :param event_type: such as ``ConcatComplete``.
    :param vod_task_id: the id of the VOD task that the event is about, compared exactly; None where there is none.
    :param file_id: the one media file that the event is about: its own, else the one made, else the one read.
    :param status: the payload's ``Status``, such as ``FINISH``; None where the type has none.
    :param payload: the content, under the names of form 3.0, ids as strings.
    :param raw: the event as delivered, in its own form, without event handle and signature.
    """

    key: str
    event_type: str
    vod_task_id: str | None
    file_id: str | None
    status: str | None
    payload: Mapping[str, Any]
    raw: Mapping[str, Any]

    @property
    def finished(self) -> bool:
        """Whether this event says that its VOD task has ended."""
        row = EVENT_TYPES.get(self.event_type)
        ends_task = row is None or row.ends_task
        return ends_task and self.vod_task_id is not None and not is_unfinished(self.status)


@dataclass(frozen=True, slots=True)
class UnparsedEvent:
    """Something that arrived as an event and is none; kept so that nobody loses it.

    :param key: SHA-256 of the content, so that a second delivery is recognised.
    :param raw: what arrived, as JSON; text where it is not even that.
    :param error: what is wrong with it.
    :param event_type: what it calls itself; None where it does not.
    """

    key: str
    raw: Any
    error: str
    event_type: str | None


def parse_event(body: Mapping[str, Any] | str | bytes) -> VodEvent:
    """Read one event: an item of ``EventSet``, a callback's body of form 3.0, or one of the legacy form 2.0.

    :param body: the event, as JSON text or already loaded.
    :return: the event.
    :raises EventParseError: if this is not a VOD event.
    """
    delivered = _clean(_load(body))
    if not isinstance(delivered, dict):
        raise EventParseError(f"A VOD event is a JSON object; this is a {type(delivered).__name__}.")
    raw = _content(delivered)
    if "EventType" not in raw and "eventType" in raw:
        event_type = _identifier(raw, "eventType")
        payload = _legacy_payload(event_type, raw.get("data"))
    else:
        event_type = _identifier(raw, "EventType")
        payload = _payload(event_type, raw)
    if event_type is None:
        raise EventParseError("A VOD event names its EventType; this one does not.")
    return VodEvent(
        key=_key({"EventType": event_type, _field(event_type): payload}),
        event_type=event_type,
        vod_task_id=_identifier(payload, "TaskId"),
        file_id=_file_id(payload),
        status=_identifier(payload, "Status"),
        payload=payload,
        raw=raw,
    )


def read_event(body: Any) -> VodEvent | UnparsedEvent:
    """Read one event, and keep what cannot be read.

    :param body: anything that a queue or a callback delivered.
    :return: the event, or what arrived with the reason why it is none.
    """
    try:
        return parse_event(body)
    except EventParseError as error:
        reason = str(error)
    raw, event_type = _kept(body), None
    if isinstance(raw, dict):
        raw = _content(raw)
        named = raw.get("EventType", raw.get("eventType"))
        event_type = named if isinstance(named, str) and _IDENTIFIER.fullmatch(named) else None
    return UnparsedEvent(key=_key(raw), raw=raw, error=reason, event_type=event_type)


def _kept(body: Any) -> Any:
    """Make what cannot be read storable, whole: as JSON, or as text where it is too deep or too big for an event."""
    with contextlib.suppress(EventParseError):
        body = _load(body)  # from here on a callback's text is the same as what the queue has loaded
        return _clean(body)
    if isinstance(body, bytes | bytearray):
        body = body.decode("utf-8", "backslashreplace")
    if not isinstance(body, str):
        # What is no JSON at all comes by no queue and no callback: to name its parts will do.
        with contextlib.suppress(TypeError, ValueError, RecursionError):
            content = _content(body) if isinstance(body, dict) else body
            body = json.dumps(_without_nulls(content), sort_keys=True)
    return _clean(body, strict=False)


def _without_nulls(value: Any) -> Any:
    """Leave out what the queue adds to an event: the fields of all other types."""
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value if item is not None]
    return value


def event_of_detail(detail: Mapping[str, Any], vod_task_id: str) -> VodEvent | None:
    """Read the answer of DescribeTaskDetail as the event that the task sends, or would have sent.

    The answer holds the structure of the event under a name like ``EditMediaTask``. The id inside may differ from the
    id that was asked for; the latter wins, for it is the one that somebody waits for. A task of a type without event
    gets the name of that type with ``Complete`` behind it.

    :param detail: the ``Response`` of DescribeTaskDetail.
    :param vod_task_id: the id that was asked for.
    :return: the event; None as long as the task has not ended, or if the answer tells nothing about it.
    :raises EventParseError: if this is not such an answer.
    """
    answer = _clean(detail)
    if not isinstance(answer, dict):
        raise EventParseError(f"An answer of DescribeTaskDetail is a JSON object; this is a {type(answer).__name__}.")
    status = str(answer.get("Status", "")).upper()
    if status not in {"FINISH", "ABORTED"}:
        return None
    tasks = {name: value for name, value in answer.items() if isinstance(value, dict) and value}
    if status == "ABORTED" and not tasks and isinstance(answer.get("TaskType"), str):
        tasks = {answer["TaskType"]: {}}  # a task that never began has no structure of its own
    if not tasks:
        return None
    name = next((name for name, task in tasks.items() if task.get("TaskId") == vod_task_id), next(iter(tasks)))
    task = {**tasks[name], "TaskId": vod_task_id}
    if status == "ABORTED" or is_unfinished(task.get("Status")):
        task["Status"] = status
    row = type_of_detail(name)
    return parse_event({"EventType": row.name, row.field: task})


def is_unfinished(status: Any) -> bool:
    """Whether this ``Status`` says that a VOD task goes on.

    :param status: the value of ``Status``; None where a type has none, which means that it is sent at the end only.
    :return: True while the task goes on.
    """
    return isinstance(status, str) and status.upper() in UNFINISHED


def is_identifier(text: str) -> bool:
    """Say whether an event could have this as an id."""
    return _IDENTIFIER.fullmatch(text) is not None


_NOT_CONTENT = frozenset({"EventHandle", "Sign", "T"})
"""What differs between two deliveries of one event: the event handle, and the callback's signature with its expiry."""

_UNSAFE = re.compile(r"[\x00\ud800-\udfff]")
_IDENTIFIER = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd]{1,255}")
_ID_NAME = re.compile(r"(?<!Class)(?<!App)Id(s|Set)?$")  # ClassId and SdkAppId are numbers by VOD's documentation
_FILE_ID_PATHS = (
    *("FileId", "Output.FileId", "Output.FileInfos[].FileId", "FileInfo.FileId"),
    *("FileInfoSet[].FileId", "FileInfoSet[].Output.FileId", "SrcFileId", "Input.FileId", "InputInfo.FileId"),
    "FileIdSet[]",
)
_LEGACY_NAMES = {
    "vodTaskId": "TaskId",
    "playSet": "PlayInfoSet",
    "imageSpriteUrl": "ImageSpriteUrlSet",
    "picInfo": "SnapshotInfoSet",
    "vbitrate": "Bitrate",
    "vheight": "Height",
    "vwidth": "Width",
}


def _load(body: Any) -> Any:
    """Load JSON text; what is loaded already passes."""
    if not isinstance(body, str | bytes | bytearray):
        return body
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise EventParseError(f"A VOD event is JSON; this is not: {error}.") from None


def _clean(value: Any, depth: int = MAX_DEPTH, *, strict: bool = True) -> Any:
    """Copy what is plain JSON as the module promises it; the rest raises, or is named in its place if not strict."""
    if isinstance(value, str):
        return _storable(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and value.bit_length() < 4096:
        return int(value) if -(2**63) <= value < 2**64 else str(int(value))
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, (dict, Mapping)) and depth:
        return {
            _storable(name): kept
            for name, item in value.items()
            if item is not None and (kept := _clean(item, depth - 1, strict=strict)) is not None
        }
    if isinstance(value, (list, tuple)) and depth:
        return [item for each in value if (item := _clean(each, depth - 1, strict=strict)) is not None]
    if strict:
        raise EventParseError(f"A VOD event is JSON of at most {MAX_DEPTH} levels; {type(value).__name__} is not.")
    return f"<{type(value).__name__}>"


def _storable(text: Any) -> str:
    if not isinstance(text, str):
        return f"<{type(text).__name__}>"
    return text if text.isascii() and "\0" not in text else _UNSAFE.sub("\ufffd", text)


def _content(delivered: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in delivered.items() if name not in _NOT_CONTENT}


def _identifier(holder: Mapping[str, Any], name: str) -> str | None:
    """Read what is stored in indexed columns; an empty string is VOD's way of saying nothing."""
    value = holder.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
        raise EventParseError(f"{name} is a string of 1 to 255 characters without control characters; this one is not.")
    return value


def _file_id(payload: dict[str, Any]) -> str | None:
    for path in _FILE_ID_PATHS:
        found = [value for value in values_at(payload, path) if value != ""]
        if len(found) == 1:
            return _identifier({"FileId": found[0]}, "FileId")
    return None


def _field(event_type: str) -> str:
    row = EVENT_TYPES.get(event_type)
    return row.field if row else f"{event_type}Event"


def _payload(event_type: str | None, raw: dict[str, Any]) -> dict[str, Any]:
    """Find the payload under the table's name, under the names that VOD's own samples slip into, or wherever it is."""
    objects = {name: value for name, value in raw.items() if isinstance(value, dict) and value}
    field = _field(event_type or "")
    for name in (field, field.removesuffix("Event"), event_type):
        if name in objects:
            return _normal(objects[name])
    if len(objects) != 1:
        raise EventParseError(f"A VOD event holds one object with its content; this one holds {len(objects)}.")
    return _normal(next(iter(objects.values())))


def _normal(value: Any, name: str = "") -> Any:
    """Turn the ids that VOD sends as bare numbers into strings."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return {key: _normal(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_normal(item, name) for item in value]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number and _ID_NAME.search(name) else value


def _legacy_payload(event_type: str | None, data: Any) -> dict[str, Any]:
    """Bring the ``data`` of form 2.0 under the names of form 3.0."""
    if not isinstance(data, dict) or not data:
        raise EventParseError("A VOD event of form 2.0 holds its content in an object `data`; this one does not.")
    payload: dict[str, Any] = _normal(_renamed(data))
    row = EVENT_TYPES.get(event_type or "")
    if row is None or not row.proof_in_parts or "ErrCode" not in payload:
        return payload
    # Old samples state the outcome once for all files; form 3.0 knows it per file only.
    parts = [part for path, _ in row.parts for part in values_at(payload, path) if isinstance(part, dict)]
    untold = [part for part in parts if "ErrCode" not in part]
    if untold or payload["ErrCode"] in (0, "0"):
        shared = {name: payload.pop(name) for name in ("ErrCode", "Message") if name in payload}
        for part in untold:
            part.update(shared)
    return payload


def _renamed(value: Any) -> Any:
    if isinstance(value, list):
        return [_renamed(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {_name_of_form_3(name, item): _renamed(item) for name, item in value.items()}


def _name_of_form_3(name: str, value: Any) -> str:
    if name == "fileInfo":
        return "FileInfoSet" if isinstance(value, list) else "FileInfo"
    if name == "status" and not (isinstance(value, str) and value.isalpha()):
        return "ErrCode"  # a number is an outcome, a word is a state
    return _LEGACY_NAMES.get(name, name[:1].upper() + name[1:])


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def _key(content: Any) -> str:
    return hashlib.sha256(_canonical(_pruned(content)).encode("ascii")).hexdigest()


def _pruned(value: Any) -> Any:
    """Leave out what is empty: VOD sends "", [], {} and null for nothing, differently by road and year."""
    if isinstance(value, dict):
        return {name: kept for name, item in value.items() if (kept := _pruned(item)) or isinstance(kept, (int, float))}
    if isinstance(value, list):
        return [kept for item in value if (kept := _pruned(item)) or isinstance(kept, (int, float))]
    return value
