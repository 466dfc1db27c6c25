"""Parsing of VOD events: one parser for every source that delivers them.

Invariant: the same event has the same ``key`` from every source (pulled, called back in form 3.0 or in the legacy form 2.0,
built from an answer of ``DescribeTaskDetail``) and at every redelivery. Whatever arrives is either an event or raises
:class:`~airflow_vod.exceptions.EventParseError`, nothing else. Ids are strings and compare exactly; for the rest see
:mod:`airflow_vod.events.key`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_vod.events.errors import is_unfinished
from airflow_vod.events.identity import identity_of
from airflow_vod.events.key import clean, content_of, key_of, key_of_unreadable, load, meaningful, storable
from airflow_vod.events.legacy import payload_of_legacy
from airflow_vod.events.paths import values_at
from airflow_vod.events.types import EVENT_TYPES, UNKNOWN, type_of_detail, type_of_field
from airflow_vod.exceptions import EventParseError


@dataclass(frozen=True, slots=True)
class VodEvent:
    """A VOD event, in one form whichever source delivered it.

    :param key: SHA-256 (64 hexadecimal digits) of the canonical content; equal for equal events.
    :param event_type: such as ``ConcatComplete``.
    :param vod_task_id: the id of the VOD task that the event is about, compared exactly; None if there is none.
    :param file_id: the one media file that the event is about: its own, else the output's, else the source's.
    :param status: the payload's ``Status``, such as ``FINISH``; None if the type has none.
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
    def content(self) -> dict[str, Any]:
        """The payload without the fields that say nothing: what the key covers, and what readers read."""
        meaning: dict[str, Any] = meaningful(self.payload)
        return meaning

    @property
    def finished(self) -> bool:
        """Whether this event says that its VOD task has ended."""
        row = EVENT_TYPES.get(self.event_type)
        ends_task = row is None or row.ends_task
        return ends_task and self.vod_task_id is not None and not is_unfinished(self.status)


@dataclass(frozen=True, slots=True)
class UnparsedEvent:
    """A delivered body that could not be parsed as an event; kept so that it is not lost.

    :param key: SHA-256 of the content, so that a redelivery is recognised; never that of an event.
    :param raw: the body as JSON, or as text if it is not JSON.
    :param error: why it could not be parsed.
    :param event_type: the type that it names; None if it names none.
    """

    key: str
    raw: Any
    error: str
    event_type: str | None


def parse_event(body: Mapping[str, Any] | str | bytes) -> VodEvent:
    """Parse one event: an item of ``EventSet``, a callback's body of form 3.0, or one of the legacy form 2.0.

    :param body: the event, as JSON text or already loaded.
    :return: the event.
    :raises EventParseError: the body is not a VOD event.
    """
    delivered = clean(load(body))
    if not isinstance(delivered, dict):
        raise EventParseError(f"A VOD event is a JSON object; this is a {type(delivered).__name__}.")
    raw = content_of(delivered)
    if "EventType" not in raw and "eventType" in raw:
        event_type = _identifier(meaningful(raw), "eventType")
        payload = payload_of_legacy(event_type, raw.get("data"))
    else:
        event_type, payload = _payload(raw)
    if event_type is None:
        raise EventParseError("A VOD event names its EventType; this one does not.")
    payload = _with_ids_as_strings(payload)
    content = meaningful(payload)
    row = EVENT_TYPES.get(event_type, UNKNOWN)
    file_id = _file_id(content)
    return VodEvent(
        key=key_of(identity_of(event_type, row, content, file_id)),
        event_type=event_type,
        vod_task_id=_identifier(content, "TaskId"),
        file_id=file_id,
        status=_identifier(content, "Status"),
        payload=payload,
        raw=raw,
    )


def read_event(body: Any) -> VodEvent | UnparsedEvent:
    """Parse one event, or keep what cannot be parsed.

    :param body: anything that a queue or a callback delivered.
    :return: the event, or the body with the reason why it is not one.
    """
    try:
        return parse_event(body)
    except EventParseError as error:
        reason = error.text
    raw, event_type = storable(body), None
    if isinstance(raw, dict):
        raw = content_of(raw)
        named = raw.get("EventType", raw.get("eventType"))
        event_type = named if isinstance(named, str) and is_identifier(named) else None
    return UnparsedEvent(key=key_of_unreadable(raw), raw=raw, error=reason, event_type=event_type)


def event_of_detail(detail: Mapping[str, Any], vod_task_id: str) -> VodEvent | None:
    """Convert an answer of DescribeTaskDetail into the event that the task sends, or would have sent.

    The answer holds the structure of the event under a name like ``EditMediaTask``. The id inside may differ from the one
    that was asked for; the latter is used, because it is the one that is waited for. A task whose type has no event gets
    the name of that type followed by ``Complete``.

    :param detail: the ``Response`` of DescribeTaskDetail.
    :param vod_task_id: the id that was asked for.
    :return: the event; None if the task has not ended, or if the answer does not describe it.
    :raises EventParseError: the value is not an answer of DescribeTaskDetail.
    """
    answer = clean(detail)
    if not isinstance(answer, dict):
        raise EventParseError(f"An answer of DescribeTaskDetail is a JSON object; this is a {type(answer).__name__}.")
    status = str(answer.get("Status", "")).upper()
    if status not in {"FINISH", "ABORTED"}:
        return None
    tasks = {name: value for name, value in answer.items() if isinstance(value, dict) and value}
    if status == "ABORTED" and not tasks and isinstance(answer.get("TaskType"), str):
        tasks = {answer["TaskType"]: {}}  # a task that never started has no structure of its own
    if not tasks:
        return None
    name = next((name for name, task in tasks.items() if task.get("TaskId") == vod_task_id), next(iter(tasks)))
    task = {**tasks[name], "TaskId": vod_task_id}
    if status == "ABORTED" or is_unfinished(task.get("Status")):
        task["Status"] = status
    row = type_of_detail(name)
    return parse_event({"EventType": row.name, row.field: task})


def is_identifier(text: str) -> bool:
    """Whether an event could have this text as an id."""
    return _IDENTIFIER.fullmatch(text) is not None


_IDENTIFIER = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd]{1,255}")
_ID_NAME = re.compile(r"(?<!Class)(?<!App)Id(s|Set)?$")  # ClassId and SdkAppId are numbers by VOD's documentation
_FILE_ID_PATHS = (
    *("FileId", "Output.FileId", "Output.FileInfos[].FileId", "FileInfo.FileId"),
    *("FileInfoSet[].FileId", "FileInfoSet[].Output.FileId", "SrcFileId", "Input.FileId", "InputInfo.FileId"),
    "FileIdSet[]",
)


def _identifier(holder: Mapping[str, Any], name: str) -> str | None:
    """Read a value that is stored in an indexed column; VOD sends an empty string for "none"."""
    value = holder.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not is_identifier(value):
        raise EventParseError(f"{name} is a string of 1 to 255 characters without control characters; this one is not.")
    return value


def _file_id(payload: dict[str, Any]) -> str | None:
    for path in _FILE_ID_PATHS:
        found = [value for value in values_at(payload, path) if value != ""]
        if len(found) == 1:
            return _identifier({"FileId": found[0]}, "FileId")
    return None


def _payload(raw: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Find the type, and the payload under the table's name, under the variants in VOD's own samples, or as the only object.

    One of VOD's samples names no type at all; there the field tells it.
    """
    said = meaningful(raw)
    event_type = _identifier(said, "EventType")
    objects = [name for name, value in said.items() if isinstance(value, dict)]
    row = EVENT_TYPES.get(event_type or "")
    field = row.field if row else f"{event_type}Event"
    name = next((name for name in (field, field.removesuffix("Event"), event_type) if name in objects), None)
    if name is None and len(objects) == 1:
        name = objects[0]
        told = type_of_field(name)
        event_type = event_type or (told.name if told else None)
    if name is None:
        raise EventParseError(f"A VOD event holds one object with its content; this one holds {len(objects)}.")
    return event_type, raw[name]


def _with_ids_as_strings(value: Any, name: str = "") -> Any:
    """Turn ids that VOD sends as bare numbers into strings."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return {key: _with_ids_as_strings(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_ids_as_strings(item, name) for item in value]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number and _ID_NAME.search(name) else value
