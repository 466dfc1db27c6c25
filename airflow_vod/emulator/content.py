"""EventContent: one event in JSON, as the queue delivers it.

Invariant: a published event is served key by key as it was given; only its handle is added and, optionally, nulls for the
payload fields that do not apply.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ALWAYS_PRESENT = (
    "FileUploadEvent",
    "ProcedureStateChangeEvent",
    "FileDeleteEvent",
    "PullCompleteEvent",
    "EditMediaCompleteEvent",
    "SplitMediaCompleteEvent",
    "ComposeMediaCompleteEvent",
    "ClipCompleteEvent",
    "TranscodeCompleteEvent",
    "CreateImageSpriteCompleteEvent",
    "ConcatCompleteEvent",
    "SnapshotByTimeOffsetCompleteEvent",
    "WechatPublishCompleteEvent",
    "WechatMiniProgramPublishCompleteEvent",
    "RemoveWatermarkCompleteEvent",
    "RestoreMediaCompleteEvent",
    "RebuildMediaCompleteEvent",
    "ExtractTraceWatermarkCompleteEvent",
    "ExtractCopyRightWatermarkCompleteEvent",
    "ReviewAudioVideoCompleteEvent",
    "ReduceMediaBitrateCompleteEvent",
    "DescribeFileAttributesCompleteEvent",
    "QualityInspectCompleteEvent",
    "QualityEnhanceCompleteEvent",
    "MediaCastStatusChangedEvent",
    "PersistenceCompleteEvent",
    "ComplexAdaptiveDynamicStreamingCompleteEvent",
)
"""Payload fields that the schema describes as nullable and always present; newer ones may be absent.
Source: VOD API 2018-07-17, EventContent."""


def to_json(value: Any) -> bytes:
    """Serialize JSON as the service does: compact, in UTF-8, with minimal escaping.

    :param value: JSON primitives.
    :return: UTF-8; lone surrogates, which UTF-8 cannot encode, are escaped.
    """
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def event_body(event: Mapping[str, Any], *, null_fields: bool) -> bytes:
    """Serialize an event for the queue.

    :param event: as an item of ``EventSet``; an ``EventHandle`` is dropped.
    :param null_fields: whether to add null for every payload field that is always present.
    :return: one JSON object in UTF-8.
    """
    nulls = dict.fromkeys(ALWAYS_PRESENT) if null_fields else {}
    body = {"EventType": event.get("EventType"), **nulls, **event}
    body.pop("EventHandle", None)
    if "EventType" not in event:
        del body["EventType"]
    return to_json(body)


def with_handle(handle: str, body: bytes) -> bytes:
    """Add a handle to a serialized event.

    :param handle: plain ASCII.
    :param body: one JSON object.
    :return: the object with the handle as its first member.
    """
    rest = b"}" if body == b"{}" else b"," + body[1:]
    return b'{"EventHandle":"%b"%b' % (handle.encode(), rest)


def concat_complete(vod_task_id: str, files: Iterable[str | Mapping[str, Any]]) -> dict[str, Any]:
    """Build a ConcatComplete event (VOD API 2018-07-17, ConcatTask2017).

    :param vod_task_id: of the splice.
    :param files: URLs, or mappings with any of ``ErrCode``, ``Message``, ``FileId``, ``FileUrl`` and ``FileType``. For a
        plain URL, the type is its suffix and the file id is derived from it.
    :return: the event, without handle.
    """
    items = [_concat_file({"FileUrl": file} if isinstance(file, str) else file) for file in files]
    return {"EventType": "ConcatComplete", "ConcatCompleteEvent": {"TaskId": vod_task_id, "FileInfoSet": items}}


def _concat_file(given: Mapping[str, Any]) -> dict[str, Any]:
    url = given.get("FileUrl") or ""
    path = url.partition("?")[0]
    derived = {
        "ErrCode": 0,
        "Message": "",
        "FileId": file_id(url),
        "FileUrl": url,
        "FileType": path.rpartition(".")[2] if "." in path.rpartition("/")[2] else "",
    }
    return {**derived, **given}


def file_id(seed: str) -> str:
    """Derive a file id.

    :param seed: any string.
    :return: a file id in the vendor's format (20 digits), always the same for the same seed.
    """
    return f"{10**19 + int.from_bytes(sha256(seed.encode()).digest()[:7]):020d}"
