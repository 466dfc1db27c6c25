"""The legacy format 2.0 of callbacks, which accounts created before 2019 may still have.

Invariant: what is written has the fields that the vendor documents for format 2.0, under its names, and no others; so a reader
that is tested against it is tested against the documentation. Events without a documented format 2.0 have none here.

Source: "Legacy Callback Formats" (266/33962, 2021-10-29), its tables and samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Fields = dict[str, Any]


def legacy_form(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """Convert an event to format 2.0.

    :param event: in format 3.0.
    :return: the same event in format 2.0; None if that has no such event.
    """
    write = _WRITERS.get(str(event.get("EventType")))
    payload = next((value for value in event.values() if isinstance(value, dict)), {})
    return {"version": "4.0", "eventType": event["EventType"], "data": write(payload)} if write else None


def _upload(payload: Fields) -> Fields:
    basic: Fields = payload.get("MediaBasicInfo") or {}
    source: Fields = basic.get("SourceInfo") or {}
    kind = source.get("SourceType")
    data = _some(payload, fileId="FileId") | _some(basic, fileName="Name", coverUrl="CoverUrl", fileUrl="MediaUrl")
    data |= {"sourceType": "ServerUpload" if kind == "Upload" else kind} if kind else {}
    data |= _some(source, sourceContext="SourceContext")
    data |= _some(source.get("LiveRecordInfo") or {}, streamId="StreamId")
    return data | _some(payload, procedureTaskId="ProcedureTaskId")


def _pull(payload: Fields) -> Fields:
    return _outcome(payload) | _some(payload, vodTaskId="TaskId", fileId="FileId", fileUrl="FileUrl")


def _deletion(payload: Fields) -> Fields:
    files = [{"fileId": file_id} for file_id in payload.get("FileIdSet") or []]
    return {"status": 0, "message": "", "fileInfo": files}


def _transcoding(payload: Fields) -> Fields:
    data = _outcome(payload) | _some(
        payload, vodTaskId="TaskId", fileId="FileId", fileName="FileName", duration="Duration", coverUrl="CoverUrl"
    )
    names = {"url": "Url", "definition": "Definition", "vbitrate": "Bitrate", "vheight": "Height", "vwidth": "Width"}
    return data | {"playSet": [_some(each, **names) for each in payload.get("PlayInfoSet") or []]}


def _snapshots(payload: Fields) -> Fields:
    data = _some(payload, vodTaskId="TaskId", fileId="FileId", definition="Definition")
    names = {"status": "ErrCode", "timeOffset": "TimeOffset", "url": "Url"}
    return data | {"picInfo": [_some(each, **names) for each in payload.get("SnapshotInfoSet") or []]}


def _sprites(payload: Fields) -> Fields:
    return _outcome(payload) | _some(
        payload,
        vodTaskId="TaskId",
        fileId="FileId",
        definition="Definition",
        totalCount="TotalCount",
        imageSpriteUrl="ImageSpriteUrlSet",
        webVttUrl="WebVttUrl",
    )


def _clip(payload: Fields) -> Fields:
    return _some(payload, vodTaskId="TaskId", srcFileId="SrcFileId") | {
        "fileInfo": _file(payload.get("FileInfo") or {})
    }


def _splice(payload: Fields) -> Fields:
    files = [_file(each) for each in payload.get("FileInfoSet") or []]
    return _some(payload, vodTaskId="TaskId") | {"fileInfo": files}


def _file(file: Fields) -> Fields:
    return _some(file, fileType="FileType", status="ErrCode", message="Message", fileId="FileId", fileUrl="FileUrl")


def _procedure(payload: Fields) -> Fields:
    data = _some(payload, vodTaskId="TaskId", status="Status", message="Message", errCode="ErrCode", fileId="FileId")
    data |= {"metaData": _media(payload["MetaData"])} if payload.get("MetaData") else {}
    lists = {
        "contentReviewList": "AiContentReviewResultSet",
        "aIAnalysisList": "AiAnalysisResultSet",
        "processTaskList": "MediaProcessResultSet",
    }
    for name, field in lists.items():
        tasks = [task for each in payload.get(field) or [] if (task := _sub_task(each))]
        data |= {name: tasks} if tasks else {}
    return data


def _sub_task(item: Fields) -> Fields | None:
    kind = item.get("Type")
    write = _OUTPUTS.get(str(kind))
    result = next((value for value in item.values() if isinstance(value, dict)), None)
    if write is None or result is None:
        return None
    task = {"taskType": kind} | _some(result, status="Status", errCode="ErrCode") | {"message": _message(result)}
    task |= {"input": _some(result["Input"], **_INPUT)} if result.get("Input") else {}
    return task | ({"output": write(result["Output"])} if result.get("Output") else {})


def _media(described: Fields) -> Fields:
    names = {name: name[:1].upper() + name[1:] for name in ("size", "container", "bitrate", "height", "width", "md5")}
    streams = {
        name: [_lower(stream) for stream in described[field]]
        for name, field in (("videoStreamList", "VideoStreamSet"), ("audioStreamList", "AudioStreamSet"))
        if described.get(field)
    }
    length = {"duration": round(described["Duration"])} if described.get("Duration") else {}  # whole seconds
    return _some(described, **names, rotate="Rotate") | length | streams


def _transcoded(output: Fields) -> Fields:
    return _some(output, url="Url") | _media(output)


def _animation(output: Fields) -> Fields:
    return _some(output, url="Url", container="Container", height="Height", width="Width")


def _samples(output: Fields) -> Fields:
    return _some(output, imageUrls="ImageUrlSet")


def _pictures(output: Fields) -> Fields:
    return {"imgInfo": [_some(each, timeOffset="TimeOffset", url="Url") for each in output.get("PicInfoSet") or []]}


def _cover(output: Fields) -> Fields:
    return _some(output, imageUrl="CoverUrl")


def _sprite_images(output: Fields) -> Fields:
    return _some(output, totalCount="TotalCount", urlList="ImageUrlSet", webVttUrl="WebVttUrl")


def _review(output: Fields) -> Fields:
    names = ("StartTimeOffset", "EndTimeOffset", "Confidence", "Suggestion", "Url", "PicUrlExpireTimeStamp")
    segments = [_lower(_some(each, **{name: name for name in names})) for each in output.get("SegmentSet") or []]
    return _some(output, confidence="Confidence", suggestion="Suggestion") | {"segments": segments}


def _classes(output: Fields) -> Fields:
    return {"classifications": [_lower(each) for each in output.get("ClassificationSet") or []]}


def _tags(output: Fields) -> Fields:
    return {"tags": [_lower(each) for each in output.get("TagSet") or []]}


_OUTPUTS: dict[str, Callable[[Fields], Fields]] = {
    "Transcode": _transcoded,
    "AnimatedGraphics": _animation,
    "SampleSnapshot": _samples,
    "SnapshotByTimeOffset": _pictures,
    "CoverBySnapshot": _cover,
    "ImageSprites": _sprite_images,
    "Porn": _review,
    "Classification": _classes,
    "Tag": _tags,
}
"""The kinds of sub-tasks that format 2.0 lists; it omits all others."""

_WRITERS: dict[str, Callable[[Fields], Fields]] = {
    "NewFileUpload": _upload,
    "PullComplete": _pull,
    "FileDeleted": _deletion,
    "ProcedureStateChanged": _procedure,
    "TranscodeComplete": _transcoding,
    "CreateSnapshotByTimeOffsetComplete": _snapshots,
    "CreateImageSpriteComplete": _sprites,
    "ClipComplete": _clip,
    "ConcatComplete": _splice,
}


_INPUT = {
    "definition": "Definition",
    "timeOffset": "TimeOffsetSet",
    "positionType": "PositionType",
    "position": "PositionValue",
    "startTime": "StartTimeOffset",
    "endTime": "EndTimeOffset",
}


def _outcome(payload: Fields) -> Fields:
    return {"status": payload.get("ErrCode", 0), "message": _message(payload)}


def _message(result: Fields) -> str:
    """Format 2.0 has no text for a success where format 3.0 says SUCCESS."""
    failed = result.get("ErrCode") or result.get("Status") == "FAIL"
    return (result.get("Message") or "") if failed else ""


def _some(holder: Fields, **names: str) -> Fields:
    """Take the fields that are there, under other names."""
    return {new: holder[name] for new, name in names.items() if holder.get(name) is not None}


def _lower(holder: Fields) -> Fields:
    return {name[:1].lower() + name[1:]: value for name, value in holder.items() if value is not None}
