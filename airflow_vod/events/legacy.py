"""The legacy callback form 2.0, translated into the names and places of form 3.0.

Invariant: names and places change, and two words that form 3.0 has others for; no value is lost. What form 2.0 is not
documented to hold is not guessed at: it raises, and is kept as it came.

Source: VOD's "Legacy Callback Formats" (266/33962, which is no longer updated) and the event pages that it links to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_vod.events.paths import values_at
from airflow_vod.events.types import EVENT_TYPES
from airflow_vod.exceptions import EventParseError

_NAMES = {
    "vodTaskId": "TaskId",
    "playSet": "PlayInfoSet",
    "imageSpriteUrl": "ImageSpriteUrlSet",
    "picInfo": "SnapshotInfoSet",
    "vbitrate": "Bitrate",
    "vheight": "Height",
    "vwidth": "Width",
    "videoStreamList": "VideoStreamSet",
    "audioStreamList": "AudioStreamSet",
    "segments": "SegmentSet",
    "classifications": "ClassificationSet",
    "tags": "TagSet",
}
_OUTPUT_NAMES = {"imageUrls": "ImageUrlSet", "urlList": "ImageUrlSet", "imgInfo": "PicInfoSet", "imageUrl": "CoverUrl"}
_SUB_TASKS = {
    "processTaskList": "MediaProcessResultSet",
    "contentReviewList": "AiContentReviewResultSet",
    "aIAnalysisList": "AiAnalysisResultSet",
}
"""The lists of a procedure's sub-tasks: each item has its kind in ``taskType``; form 3.0 has a field for each kind."""
_SUB_TASK_FIELDS = {"AnimatedGraphics": "AnimatedGraphicTask", "ImageSprites": "ImageSpriteTask"}
"""The fields that are not named after their kind with the suffix ``Task``."""
_UPLOAD = {
    "fileName": ("Name",),
    "coverUrl": ("CoverUrl",),
    "fileUrl": ("MediaUrl",),
    "sourceType": ("SourceInfo", "SourceType"),
    "sourceContext": ("SourceInfo", "SourceContext"),
    "streamId": ("SourceInfo", "LiveRecordInfo", "StreamId"),
}
"""Where form 3.0 keeps these, inside ``MediaBasicInfo``."""
_SOURCES = {"ClientUpload": "Upload", "ServerUpload": "Upload"}
"""Words for the source of a file that form 3.0 has one word for."""


def payload_of_legacy(event_type: str | None, data: Any) -> dict[str, Any]:
    """Translate the ``data`` of a form 2.0 event into a payload of form 3.0.

    :param event_type: the event's type; None if it names none.
    :param data: the value of ``data``, plain JSON.
    :raises EventParseError: `data` is not an object with content, or form 2.0 of this type is not documented.
    """
    if not isinstance(data, dict) or not data:
        raise EventParseError("A VOD event of form 2.0 holds its content in an object `data`; this one does not.")
    if event_type is None:
        raise EventParseError("A VOD event of form 2.0 names its eventType; this one does not.")
    if event_type not in _TRANSLATIONS:
        raise EventParseError(
            f"VOD documents no form 2.0 of the event {event_type}, so this one is kept unread. Move the callback to form 3.0."
        )
    return _TRANSLATIONS[event_type](data)


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    payload: dict[str, Any] = _renamed(data, _NAMES)
    return payload


def _upload(data: dict[str, Any]) -> dict[str, Any]:
    payload = _plain({name: value for name, value in data.items() if name not in _UPLOAD})
    basic: dict[str, Any] = {}
    for name, (*path, last) in _UPLOAD.items():
        if name in data:
            value = data[name]
            holder = basic
            for step in path:
                holder = holder.setdefault(step, {})
            holder[last] = _SOURCES.get(value, value) if isinstance(value, str) else value
    return {**payload, "MediaBasicInfo": basic}


def _pull(data: dict[str, Any]) -> dict[str, Any]:
    # Form 2.0 is sent at the end only and has no state; form 3.0 has one.
    return {**_plain(data), "Status": "FINISH"}


def _deletion(data: dict[str, Any]) -> dict[str, Any]:
    payload = _plain(data)
    files = payload.pop("FileInfoSet", None)
    if not isinstance(files, list) or not all(isinstance(file, dict) and file.keys() <= {"FileId"} for file in files):
        raise EventParseError("fileInfo of a FileDeleted event of form 2.0 is a list of file ids; this one is not.")
    return {**payload, "FileIdSet": [file["FileId"] for file in files if file]}


def _procedure(data: dict[str, Any]) -> dict[str, Any]:
    payload = _plain({name: value for name, value in data.items() if name not in _SUB_TASKS})
    for name, field in _SUB_TASKS.items():
        if name in data:
            payload[field] = [_sub_task(name, item) for item in _list(name, data[name])]
    return payload


def _sub_task(where: str, item: Any) -> dict[str, Any]:
    kind = item.get("taskType") if isinstance(item, dict) else None
    if not isinstance(kind, str) or not kind:
        raise EventParseError(f"{where} of form 2.0 is a list of objects with a taskType; this one is not.")
    result = _plain({name: value for name, value in item.items() if name not in ("taskType", "output")})
    if "output" in item:
        result["Output"] = _renamed(item["output"], {**_NAMES, **_OUTPUT_NAMES})
    return {"Type": kind, _SUB_TASK_FIELDS.get(kind, f"{kind}Task"): result}


def _parts_with_outcome(event_type: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Translate a type whose outcome form 3.0 states per file; the oldest samples of form 2.0 state one for all files."""

    def translate(data: dict[str, Any]) -> dict[str, Any]:
        payload = _plain(data)
        if "ErrCode" not in payload:
            return payload
        paths = [part.path for part in EVENT_TYPES[event_type].parts]
        parts = [part for path in paths for part in values_at(payload, path) if isinstance(part, dict)]
        without_outcome = [part for part in parts if "ErrCode" not in part]
        if without_outcome or payload["ErrCode"] in (0, "0"):
            shared = {name: payload.pop(name) for name in ("ErrCode", "Message") if name in payload}
            for part in without_outcome:
                part.update(shared)
        return payload

    return translate


_TRANSLATIONS: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "NewFileUpload": _upload,
    "PullComplete": _pull,
    "FileDeleted": _deletion,
    "ProcedureStateChanged": _procedure,
    "TranscodeComplete": _plain,
    "CreateImageSpriteComplete": _plain,
    "CreateSnapshotByTimeOffsetComplete": _parts_with_outcome("CreateSnapshotByTimeOffsetComplete"),
    "ClipComplete": _parts_with_outcome("ClipComplete"),
    "ConcatComplete": _parts_with_outcome("ConcatComplete"),
}
"""The event types that form 2.0 is documented for."""


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise EventParseError(f"{name} of form 2.0 is a list; this one is not.")
    return value


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    return {_name_of_form_3(name, item, names): _renamed(item, names) for name, item in value.items()}


def _name_of_form_3(name: str, value: Any, names: Mapping[str, str]) -> str:
    if name == "fileInfo":
        return "FileInfoSet" if isinstance(value, list) else "FileInfo"
    if name == "imageUrl" and isinstance(value, list):  # the page calls it a list, its samples show a text
        return "ImageUrlSet"
    if name == "status" and not (isinstance(value, str) and value.isalpha()):
        return "ErrCode"  # a number is an outcome, a word is a state
    return names.get(name, name[:1].upper() + name[1:])
