"""The legacy callback form 2.0, translated into the names of form 3.0.

Invariant: only names and the place of an outcome change; no value is added or lost.

Source: VOD's "Legacy Callback Formats" and the event pages that it links to.
"""

from __future__ import annotations

from typing import Any

from airflow_vod.events.types import EVENT_TYPES, values_at
from airflow_vod.exceptions import EventParseError

_NAMES = {
    "vodTaskId": "TaskId",
    "playSet": "PlayInfoSet",
    "imageSpriteUrl": "ImageSpriteUrlSet",
    "picInfo": "SnapshotInfoSet",
    "vbitrate": "Bitrate",
    "vheight": "Height",
    "vwidth": "Width",
}


def payload_of_legacy(event_type: str | None, data: Any) -> dict[str, Any]:
    """Translate the ``data`` of a form 2.0 event into a payload of form 3.0.

    :param event_type: the event's type; None if it names none.
    :param data: the value of ``data``, plain JSON.
    :raises EventParseError: `data` is not an object with content.
    """
    if not isinstance(data, dict) or not data:
        raise EventParseError("A VOD event of form 2.0 holds its content in an object `data`; this one does not.")
    payload: dict[str, Any] = _renamed(data)
    row = EVENT_TYPES.get(event_type or "")
    if row is None or not row.proof_in_parts or "ErrCode" not in payload:
        return payload
    # Old samples state one outcome for all files; form 3.0 has one per file.
    parts = [part for each in row.parts for part in values_at(payload, each.path) if isinstance(part, dict)]
    without_outcome = [part for part in parts if "ErrCode" not in part]
    if without_outcome or payload["ErrCode"] in (0, "0"):
        shared = {name: payload.pop(name) for name in ("ErrCode", "Message") if name in payload}
        for part in without_outcome:
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
    return _NAMES.get(name, name[:1].upper() + name[1:])
