"""Every output of every event type tells what it is: the sub-task, the template, what VOD measured, and its error."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from airflow_vod.events.parse import parse_event
from airflow_vod.events.results import Finding, ResultFile, TaskResult, result_of
from airflow_vod.events.types import EVENT_TYPES
from airflow_vod.exceptions import ResultError
from tests.unit import vendor

MEDIA = {
    **{"Size": 7700180, "Container": "mp4", "Bitrate": 1021028, "Height": 480, "Width": 640, "Duration": 59.9},
    **{"Rotate": 0, "VideoStreamSet": [], "AudioStreamSet": [], "VideoDuration": 59.9, "AudioDuration": 59.9},
    "Md5": "b3ae6ed07d9bf4efeeb94ed2d37ff3e3",
}
"""VOD's MediaMetaData."""
MEASURED = {
    **{"duration": 59.9, "size": 7700180, "width": 640, "height": 480, "bitrate": 1021028},
    "md5": "b3ae6ed07d9bf4efeeb94ed2d37ff3e3",
}
"""The same in a result."""
ENDED = {"TaskId": "t", "Status": "FINISH", "ErrCode": 0, "ErrCodeExt": "", "Message": "SUCCESS"}
BROKEN = {"TaskId": "t", "Status": "FINISH", "ErrCode": 70000, "ErrCodeExt": "InternalError.Some", "Message": "sorry"}
OUTPUT = {"FileType": "mp4", "FileUrl": "http://x/f0.mp4", "FileId": "7", "MediaName": "cut"}
GOOD = {"Status": "SUCCESS", "ErrCode": 0, "ErrCodeExt": "", "Message": "SUCCESS"}
BAD = {"Status": "FAIL", "ErrCode": 60000, "ErrCodeExt": "SourceFileError.Codec", "Message": "codec", "Output": None}
ERROR = {"error_code": "SourceFileError.Codec", "message": "codec"}
SORRY = {"error_code": "InternalError.Some", "message": "sorry"}


class Case(NamedTuple):
    """One event and its result: of the files and findings, what differs from the default."""

    event_type: str
    payload: dict[str, Any]
    outcome: str
    files: list[dict[str, Any]]
    findings: list[dict[str, Any]] = []
    suggestion: str | None = None
    error: dict[str, Any] = {}


def made(kind: str, url: str | None = "http://x/f0.mp4", type_: str | None = "mp4", **more: Any) -> dict[str, Any]:
    """A file of a result."""
    return {"kind": kind, **({"url": url} if url else {}), **({"type": type_} if type_ else {}), **more}


def edited(kind: str, **more: Any) -> dict[str, Any]:
    """The file of a task that makes one."""
    return made(kind, file_id="7", name="cut", metadata=MEASURED, **more)


def sub_task(kind: str, field: str, definition: int, result: dict[str, Any], **output: Any) -> dict[str, Any]:
    """One item of a procedure's lists."""
    return {
        "Type": kind,
        field: {**result, "Input": {"Definition": definition}, **({"Output": output} if output else {})},
    }


def procedure(name: str, *items: dict[str, Any]) -> dict[str, Any]:
    """A procedure that ended."""
    source = {"FileId": "1", "FileName": "source", "FileUrl": "http://x/source.mp4", "MetaData": MEDIA}
    return {**ENDED, **source, name: list(items)}


TRANSCODED = {
    **{
        "Url": "http://x/v.f20.mp4",
        "Size": 4189073,
        "Container": "mp4",
        "Height": 480,
        "Width": 640,
        "Bitrate": 552218,
    },
    **{"Md5": "eff7031ad7877865f9a3240e9ab165ad", "Duration": 60.5, "Definition": 0},
}
AIGC = {"FileInfos": [{**OUTPUT, "StorageMode": "Permanent", "MetaData": MEDIA}]}
REVIEWED = {"Confidence": 98.0, "Suggestion": "block", "Label": "porn", "SegmentSet": []}
FRAGMENT = {"MediaBasicInfo": {"Name": "part", "MediaUrl": "http://x/part.mp4", "Type": "mp4"}, "FileId": "9"}

TABLE = [
    Case(  # the template is named by the input only, as in VOD's own sample
        "ProcedureStateChanged",
        procedure(
            "MediaProcessResultSet",
            sub_task("Transcode", "TranscodeTask", 20, GOOD, **TRANSCODED),
            sub_task("Transcode", "TranscodeTask", 30, BAD),
            sub_task(
                "AnimatedGraphics",
                "AnimatedGraphicTask",
                20000,
                GOOD,
                Url="http://x/a.gif",
                Definition=20000,
                Height=90,
                Width=120,
                Bitrate=9000,
                Size=1000,
                Md5="0f",
                StartTimeOffset=1.5,
                EndTimeOffset=3.0,
            ),
            sub_task(
                "SnapshotByTimeOffset",
                "SnapshotByTimeOffsetTask",
                10,
                GOOD,
                Definition=10,
                PicInfoSet=[
                    {"TimeOffset": 300, "Url": "http://x/300.jpg"},
                    {"TimeOffset": 400, "Url": "http://x/400.jpg"},
                ],
            ),
            sub_task("SampleSnapshot", "SampleSnapshotTask", 11, GOOD, ImageUrlSet=["http://x/1.jpg"]),
            sub_task(
                "ImageSprites",
                "ImageSpriteTask",
                12,
                GOOD,
                Definition=12,
                Height=9,
                ImageUrlSet=["http://x/s.jpg"],
                WebVttUrl="http://x/s.vtt",
            ),
            sub_task("CoverBySnapshot", "CoverBySnapshotTask", 13, GOOD, CoverUrl="http://x/c.jpg"),
            sub_task(
                "AdaptiveDynamicStreaming",
                "AdaptiveDynamicStreamingTask",
                14,
                GOOD,
                Definition=14,
                Url="http://x/a.m3u8",
                Size=5,
                SubtitleSet=[{"Url": "http://x/a.vtt"}],
            ),
        ),
        "partly_failed",
        [
            made(
                "Transcode",
                "http://x/v.f20.mp4",
                definition=20,
                metadata={
                    **{"duration": 60.5, "size": 4189073, "width": 640, "height": 480, "bitrate": 552218},
                    "md5": "eff7031ad7877865f9a3240e9ab165ad",
                },
            ),
            made("Transcode", None, None, definition=30, **ERROR),
            made(
                "AnimatedGraphics",
                "http://x/a.gif",
                "gif",
                definition=20000,
                metadata={
                    **{"size": 1000, "width": 120, "height": 90, "bitrate": 9000, "md5": "0f"},
                    **{"start_time_offset": 1.5, "end_time_offset": 3.0},
                },
            ),
            made("SnapshotByTimeOffset", "http://x/300.jpg", "jpg", definition=10, metadata={"time_offset": 0.3}),
            made("SnapshotByTimeOffset", "http://x/400.jpg", "jpg", definition=10, metadata={"time_offset": 0.4}),
            made("SampleSnapshot", "http://x/1.jpg", "jpg", definition=11),
            made("ImageSprites", "http://x/s.jpg", "jpg", definition=12),
            made("ImageSprites", "http://x/s.vtt", "vtt", definition=12),
            made("CoverBySnapshot", "http://x/c.jpg", "jpg", definition=13),
            made("AdaptiveDynamicStreaming", "http://x/a.m3u8", "m3u8", definition=14, metadata={"size": 5}),
            made("AdaptiveDynamicStreaming", "http://x/a.vtt", "vtt", definition=14),
        ],
        error={
            "error_code": "SourceFileError.Codec",
            "message": "1 of 8 outputs failed; the first: Transcode 30: codec",
        },
    ),
    Case(
        "ProcedureStateChanged",
        procedure(
            "AiContentReviewResultSet",
            sub_task("Porn", "PornTask", 10, GOOD, **{**REVIEWED, "Suggestion": "review"}),
            sub_task("Terrorism", "TerrorismTask", 10, GOOD, **REVIEWED),
            sub_task("Porn.Asr", "PornAsrTask", 10, BAD),
            sub_task("Political", "PoliticalTask", 10, GOOD, Suggestion="pass"),
        ),
        "partly_failed",
        [],
        [
            {"kind": "Porn", "definition": 10, "suggestion": "review", "label": "porn"},
            {"kind": "Terrorism", "definition": 10, "suggestion": "block", "label": "porn"},
            {"kind": "Porn.Asr", "definition": 10, **ERROR},
            {"kind": "Political", "definition": 10, "suggestion": "pass"},
        ],
        suggestion="block",
        error={
            "error_code": "SourceFileError.Codec",
            "message": "1 of 4 reviews and analyses failed; the first: Porn.Asr 10: codec",
        },
    ),
    Case(
        "ProcedureStateChanged",
        procedure(
            "AiAnalysisResultSet",
            sub_task("Cover", "CoverTask", 5, GOOD, CoverSet=[{"CoverUrl": "http://x/c.jpg", "Confidence": 9.0}]),
            sub_task("Cover", "CoverTask", 6, BAD),
            sub_task("Tag", "TagTask", 7, GOOD, TagSet=[{"Tag": "cat", "Confidence": 9.0}]),
            sub_task("Classification", "ClassificationTask", 7, BAD),
            sub_task(
                "Highlight", "HighlightTask", 8, GOOD, HighlightSet=[{"HighlightUrl": "http://x/h.mp4", "Duration": 4}]
            ),
        ),
        "partly_failed",
        [
            made("Cover", "http://x/c.jpg", "jpg", definition=5),
            made("Cover", None, None, definition=6, **ERROR),
            made("Highlight", "http://x/h.mp4", definition=8, metadata={"duration": 4}),
        ],
        [{"kind": "Tag", "definition": 7}, {"kind": "Classification", "definition": 7, **ERROR}],
        error={
            "error_code": "SourceFileError.Codec",
            "message": "1 of 3 outputs failed and 1 of 2 reviews and analyses failed; the first: Cover 6: codec",
        },
    ),
    Case(
        "ProcedureStateChanged",
        procedure(
            "AiRecognitionResultSet",
            sub_task(
                "AsrFullTextRecognition",
                "AsrFullTextTask",
                3,
                GOOD,
                SubtitleSet=[{"Url": "http://x/s.vtt", "Format": "vtt"}],
            ),
            sub_task("FaceRecognition", "FaceTask", 3, BAD),
            sub_task(
                "SegmentRecognition",
                "SegmentTask",
                4,
                GOOD,
                SegmentSet=[
                    {"FileId": "8", "SegmentUrl": "http://x/g.mp4", "StartTimeOffset": 1.0, "EndTimeOffset": 2.0}
                ],
            ),
        ),
        "partly_failed",
        [
            made("AsrFullTextRecognition", "http://x/s.vtt", "vtt", definition=3),
            made(
                "SegmentRecognition",
                "http://x/g.mp4",
                file_id="8",
                definition=4,
                metadata={"start_time_offset": 1.0, "end_time_offset": 2.0},
            ),
        ],
        [{"kind": "FaceRecognition", "definition": 3, **ERROR}],
        error={
            "error_code": "SourceFileError.Codec",
            "message": "1 of 1 reviews and analyses failed; the first: FaceRecognition 3: codec",
        },
    ),
    Case(
        "PullComplete",
        {
            **ENDED,
            "FileId": "7",
            "FileUrl": "http://x/f0.mp4",
            "MediaBasicInfo": {"Name": "cut", "SourceInfo": {"SourceType": "Upload", "SourceContext": "order 9"}},
            "MetaData": MEDIA,
        },
        "succeeded",
        [edited("PullUpload")],
    ),
    Case(
        "PullComplete",
        {**BROKEN, "FileId": ""},
        "failed",
        [made("PullUpload", None, None, error_code=70000, message="sorry")],
        error={"error_code": 70000, "message": "sorry"},
    ),
    Case(
        "SplitMediaComplete",
        {
            **ENDED,
            "FileInfoSet": [
                {"Input": {"FileId": "1", "StartTimeOffset": 0.0, "EndTimeOffset": 10.0}, "Output": FRAGMENT},
                {"Input": {"FileId": "1", "StartTimeOffset": 10.0, "EndTimeOffset": -5.0}, "Output": FRAGMENT},
            ],
        },
        "succeeded",
        [
            made("SplitMedia", "http://x/part.mp4", file_id="9", name="part", metadata=offsets)
            for offsets in (
                {"start_time_offset": 0.0, "end_time_offset": 10.0},
                {"start_time_offset": 10.0, "end_time_offset": -5.0},
            )
        ],
    ),
    Case("SplitMediaComplete", {**BROKEN, "FileInfoSet": []}, "failed", [], error=SORRY),
    Case(
        "ClipComplete",
        {"TaskId": "t", "SrcFileId": "1", "FileInfo": {"ErrCode": 0, "FileId": "7", "FileUrl": "http://x/f0.mp4"}},
        "succeeded",
        [made("Clip", file_id="7")],
    ),
    Case(
        "ClipComplete",
        {"TaskId": "t", "SrcFileId": "1", "FileInfo": {"ErrCode": 4, "Message": "no", "FileType": "mp4"}},
        "failed",
        [made("Clip", None, error_code=4, message="no")],
        error={"error_code": 4, "message": "1 of 1 outputs failed; the first: Clip: no"},
    ),
    Case(
        "TranscodeComplete",
        {
            **{"TaskId": "t", "ErrCode": 0, "FileId": "1", "FileName": "source", "Duration": 599},
            "PlayInfoSet": [
                {"Url": "http://x/f0.mp4", "Definition": 0, "Bitrate": 246000, "Height": 480, "Width": 640},
                {"Url": "http://x/f10.mp4", "Definition": 10, "Bitrate": 149193, "Height": 240, "Width": 320},
            ],
        },
        "succeeded",
        [
            made("Transcode", definition=0, metadata={"duration": 599, "width": 640, "height": 480, "bitrate": 246000}),
            made(
                "Transcode",
                "http://x/f10.mp4",
                definition=10,
                metadata={"duration": 599, "width": 320, "height": 240, "bitrate": 149193},
            ),
        ],
    ),
    Case(
        "TranscodeComplete",
        {"TaskId": "t", "ErrCode": -1, "Message": "no"},
        "failed",
        [],
        error={"error_code": -1, "message": "no"},
    ),
    Case(
        "CreateImageSpriteComplete",
        {
            **{"TaskId": "t", "ErrCode": 0, "FileId": "1", "Definition": 10, "TotalCount": 9},
            **{"ImageSpriteUrlSet": ["http://x/1.png"], "WebVttUrl": "http://x/1.vtt"},
        },
        "succeeded",
        [
            made("ImageSprites", "http://x/1.png", "png", definition=10),
            made("ImageSprites", "http://x/1.vtt", "vtt", definition=10),
        ],
    ),
    Case(
        "CreateImageSpriteComplete",
        {"TaskId": "t", "ErrCode": 4, "Message": "no", "Definition": 10},
        "failed",
        [],
        error={"error_code": 4, "message": "no"},
    ),
    Case(
        "ConcatComplete",
        {
            "TaskId": "t",
            "FileInfoSet": [
                {"ErrCode": 0, "Message": "", "FileId": "7", "FileUrl": "http://x/f0.mp4", "FileType": "mp4"},
                {"ErrCode": -1, "Message": "no", "FileId": "", "FileUrl": "", "FileType": "m3u8"},
            ],
        },
        "partly_failed",
        [made("Concat", file_id="7"), made("Concat", None, "m3u8", error_code=-1, message="no")],
        error={"error_code": -1, "message": "1 of 2 outputs failed; the first: Concat: no"},
    ),
    Case(
        "CreateSnapshotByTimeOffsetComplete",
        {
            **{"TaskId": "t", "FileId": "1", "Definition": 10},
            "SnapshotInfoSet": [
                {"ErrCode": 0, "TimeOffset": 10000, "Url": "http://x/1.png"},
                {"ErrCode": 4, "TimeOffset": 20000, "Url": ""},
            ],
        },
        "partly_failed",
        [
            made("SnapshotByTimeOffset", "http://x/1.png", "png", definition=10, metadata={"time_offset": 10.0}),
            made("SnapshotByTimeOffset", None, None, definition=10, metadata={"time_offset": 20.0}, error_code=4),
        ],
        error={"error_code": 4, "message": "1 of 2 outputs failed; the first: SnapshotByTimeOffset 10: error 4"},
    ),
    Case("WechatPublishComplete", {**ENDED, "FileId": "1", "WechatStatus": "SUCCESS"}, "succeeded", []),
    Case(
        "WechatPublishComplete",
        {**ENDED, "FileId": "1", "WechatStatus": "AUDITNOTPASS", "Message": ""},
        "failed",
        [],
        error={"error_code": "AUDITNOTPASS", "message": "WechatStatus is AUDITNOTPASS"},
    ),
    Case("WechatMiniProgramPublishComplete", {**ENDED, "FileId": "1", "PublishResult": "Pass"}, "succeeded", []),
    Case(
        "RestoreMediaComplete",
        {"FileId": "7", "OriginalStorageClass": "ARCHIVE", "RestoreTier": "Bulk", "Status": 1, "Message": ""},
        "succeeded",
        [made("RestoreMedia", None, None, file_id="7")],
    ),
    Case(
        "PersistenceComplete",
        {"FileId": "7", "PersistenceSource": "FastEditMedia"},
        "succeeded",
        [made("Persistence", None, None, file_id="7")],
    ),
    Case(
        "ReviewAudioVideoComplete",
        {
            **{
                "TaskId": "t",
                "Status": "FINISH",
                "ErrCodeExt": "",
                "Message": "",
                "Input": {"FileId": "1", "Definition": 20},
            },
            "Output": {
                **{"Suggestion": "review", "Label": "Ad", "Form": "Text", "SegmentSet": []},
                "CoverReviewResult": {"Suggestion": "pass", "Label": ""},
            },
        },
        "succeeded",
        [],
        [
            {"kind": "ReviewAudioVideo", "definition": 20, "suggestion": "review", "label": "Ad"},
            {"kind": "CoverReviewResult", "definition": 20, "suggestion": "pass"},
        ],
        suggestion="review",
    ),
    Case(
        "ReviewAudioVideoComplete",
        {
            "TaskId": "t",
            "Status": "FINISH",
            "ErrCodeExt": "InternalError.Some",
            "Message": "sorry",
            "Input": {"Definition": 20},
        },
        "failed",
        [],
        [{"kind": "ReviewAudioVideo", "definition": 20, **SORRY}],
        error=SORRY,
    ),
    Case(
        "ReduceMediaBitrateComplete",
        {
            **{"TaskId": "t", "Status": "FINISH", "FileId": "1"},
            "MediaProcessResultSet": [
                sub_task(
                    "Transcode",
                    "TranscodeTask",
                    20,
                    {"Status": "SUCCESS", "ErrCodeExt": "", "Message": ""},
                    Url="http://x/f0.mp4",
                    FileId="7",
                ),
                sub_task(
                    "AdaptiveDynamicStreaming",
                    "AdaptiveDynamicStreamingTask",
                    14,
                    {"Status": "FAIL", "ErrCodeExt": "SourceFileError.Codec", "Message": "codec"},
                ),
            ],
        },
        "partly_failed",
        [
            made("Transcode", file_id="7", definition=20),
            made("AdaptiveDynamicStreaming", None, None, definition=14, **ERROR),
        ],
        error={
            "error_code": "SourceFileError.Codec",
            "message": "1 of 2 outputs failed; the first: AdaptiveDynamicStreaming 14: codec",
        },
    ),
    Case(
        "ComplexAdaptiveDynamicStreamingComplete",
        {
            **{"TaskId": "t", "Status": "FINISH"},
            "ComplexAdaptiveDynamicStreamingTaskResultSet": [
                {
                    "Status": "SUCCESS",
                    "ErrCodeExt": "",
                    "Output": {"Definition": 12, "Format": "HLS", "Url": "http://x/a.m3u8"},
                },
                {
                    **{"Status": "FAIL", "ErrCodeExt": "SourceFileError.Codec", "Message": "codec"},
                    "Input": {"StreamPara": {"Definition": 13}},
                },
            ],
        },
        "partly_failed",
        [
            made("ComplexAdaptiveDynamicStreaming", "http://x/a.m3u8", "m3u8", definition=12),
            made("ComplexAdaptiveDynamicStreaming", None, None, definition=13, **ERROR),
        ],
        error={
            "error_code": "SourceFileError.Codec",
            "message": "1 of 2 outputs failed; the first: ComplexAdaptiveDynamicStreaming 13: codec",
        },
    ),
    Case(
        "ProcessMediaByMPSComplete",
        {
            **{"TaskId": "t", "Status": "FINISH", "ErrCode": 0, "Message": ""},
            "SubTaskSet": [
                {
                    **{"TaskType": "MediaProcess.Transcode", "Status": "SUCCESS", "ErrCode": "0", "Message": ""},
                    "Output": {
                        "OutputFiles": [
                            {
                                **{
                                    "FileType": "MediaProcess.Transcode.Video",
                                    "StorageMode": "Permanent",
                                    "FileId": "7",
                                },
                                **{"Url": "http://x/f0.mp4", "Definition": "100010"},
                            }
                        ]
                    },
                },
                {"TaskType": "AiAnalysis.DeLogo", "Status": "FAIL", "ErrCode": "60000", "Message": "codec"},
            ],
        },
        "partly_failed",
        [
            made("MediaProcess.Transcode", file_id="7", definition=100010),
            made("AiAnalysis.DeLogo", None, None, error_code=60000, message="codec"),
        ],
        error={"error_code": 60000, "message": "1 of 2 outputs failed; the first: AiAnalysis.DeLogo: codec"},
    ),
    Case(
        "AigcHunyuan3DTaskComplete",
        {
            **ENDED,
            "Output": {"FileInfos": [{"FileType": "glb", "FileUrl": "http://x/a.glb", "StorageMode": "Temporary"}]},
        },
        "succeeded",
        [made("AigcHunyuan3D", "http://x/a.glb", "glb")],
    ),
    Case(
        "ProcessImageAsyncCompleteEvent",
        {
            **ENDED,
            "Input": {"ImageTaskInput": {"Definition": 50}},
            "Output": {"FileInfo": {**OUTPUT, "MetaData": MEDIA}},
        },
        "succeeded",
        [edited("ProcessImageAsync", definition=50)],
    ),
]
for name, kind in (
    ("EditMediaComplete", "EditMedia"),
    ("ComposeMediaComplete", "ComposeMedia"),
    ("RebuildMediaComplete", "RebuildMedia"),
    ("QualityEnhanceComplete", "QualityEnhance"),
):
    TABLE.append(
        Case(
            name,
            {**ENDED, "Output": OUTPUT, "MetaData": MEDIA},
            "succeeded",
            [edited(kind)],
        )
    )
TABLE.append(
    Case(
        "RemoveWatermark", {**ENDED, "Output": {**OUTPUT, "MetaData": MEDIA}}, "succeeded", [edited("RemoveWatermark")]
    )
)
for name, kind in (
    ("AigcImageTaskComplete", "AigcImage"),
    ("AigcVideoTaskComplete", "AigcVideo"),
    ("SceneAigcImageCompleteEvent", "SceneAigcImage"),
):
    TABLE.append(Case(name, {**ENDED, "Output": AIGC}, "succeeded", [edited(kind)]))
for name, output in (
    ("ExtractTraceWatermarkComplete", {"Output": {"Uv": "ab12cd"}}),
    ("ExtractCopyRightWatermarkComplete", {"Output": {"Text": "mine"}}),
    ("DescribeFileAttributesComplete", {"Status": "SUCCESS", "Output": {"Md5": "0f", "Sha1": "1f"}}),
    ("QualityInspectComplete", {"Output": {"NoAudio": 1, "QualityEvaluationScore": 90}}),
    ("DescribeAigcFaceInfoAsyncComplete", {"Output": {"FaceInfoSet": []}}),
    ("ExtractBlindWatermarkComplete", {"IsDetected": True, "Result": "mine"}),
    ("CreateAigcAdvancedCustomElementCompleteEvent", {"Output": {"InfoList": [{"ElementId": "e"}]}}),
    ("CreateAigcCustomVoiceCompleteEvent", {"Output": {"InfoList": [{"VoiceId": "v"}]}}),
):
    TABLE.append(Case(name, {**ENDED, **output}, "succeeded", []))


def defaults(structure: type, said: dict[str, Any]) -> dict[str, Any]:
    """Add what a result says by default."""
    blank = {field.name: None for field in fields(structure)}
    return {**blank, "error_code": 0, **({"metadata": {}} if "metadata" in blank else {}), **said}


def in_pull_form(event_type: str, payload: dict[str, Any]) -> dict[str, Any]:
    """An event as the queue serves it, through the vendor's own models."""
    row = EVENT_TYPES[event_type]
    if event_type == "ProcessImageAsyncCompleteEvent":  # the models describe its settings only: a slip of the vendor
        return {"EventHandle": "h", "EventType": event_type, row.field: payload}
    has = {field.name for field in vendor.fields(vendor.payload_fields()[row.field])}
    # Not every type has each of the fields that tell the outcome.
    payload = {name: value for name, value in payload.items() if name in has or name not in ENDED}
    return vendor.on_the_wire(event_type, row.field, payload)


@pytest.mark.parametrize("case", TABLE, ids=lambda case: f"{case.event_type}-{case.outcome}")
@pytest.mark.filterwarnings("error:.*useless")
def test_every_output_tells_what_it_is(case: Case) -> None:
    """A vendor-shaped event gives these files and findings, with kind, template, measures and error, failed ones included."""
    event = parse_event(in_pull_form(case.event_type, case.payload))
    result = result_of(event).to_dict()
    assert result["outcome"] == case.outcome
    assert result["files"] == [defaults(ResultFile, file) for file in case.files]
    assert result["findings"] == [defaults(Finding, finding) for finding in case.findings]
    assert result["suggestion"] == case.suggestion
    if case.outcome != "succeeded":
        assert {name: result[name] for name in ("error_code", "message")} == case.error
    else:
        assert result["error_code"] == 0
    assert TaskResult.from_dict(json.loads(json.dumps(result))) == result_of(event)


def test_the_table_has_every_event_type() -> None:
    """Every type that ends a task is in the table; of all others there is no result."""
    ending = {name for name, row in EVENT_TYPES.items() if row.ends_task}
    assert {case.event_type for case in TABLE} == ending
    for name in set(EVENT_TYPES) - ending:
        payload = vendor.example(vendor.payload_fields()[EVENT_TYPES[name].field])
        with pytest.raises(ResultError):
            result_of(parse_event(in_pull_form(name, payload)))


@pytest.mark.parametrize("name", sorted({case.event_type for case in TABLE if case.files}))
def test_a_failure_of_the_task_is_the_failure_of_what_it_left(name: str) -> None:
    """What a failed task left behind keeps kind and template, and has the task's error where it has none of its own."""
    row = EVENT_TYPES[name]
    if row.parts or "ErrCode" not in {field.name for field in vendor.fields(vendor.payload_fields()[row.field])}:
        return
    case = next(case for case in TABLE if case.event_type == name and case.files)
    payload = {**case.payload, "ErrCode": 70000, "Message": "sorry"}
    result = result_of(parse_event(in_pull_form(name, payload))).to_dict()
    error = {"error_code": 70000, "message": "sorry"}
    assert result["outcome"] == "failed"
    assert result["files"] == [defaults(ResultFile, {**file, **error}) for file in case.files]


def test_pull_complete_keeps_name_and_source_context() -> None:
    """What the one who started the pull said of it is in the result."""
    case = next(case for case in TABLE if case.event_type == "PullComplete")
    result = result_of(parse_event(in_pull_form(case.event_type, case.payload))).to_dict()
    assert result["files"][0]["name"] == "cut"
    assert result["outputs"]["MediaBasicInfo"]["SourceInfo"]["SourceContext"] == "order 9"


@pytest.mark.parametrize(
    ("suggestions", "strictest"),
    [
        (["pass"], "pass"),
        (["pass", "review"], "review"),
        (["block", "pass"], "block"),
        (["pass", "Reject"], "Reject"),
        (["Reject", "block"], "block"),
        ([""], None),
        ([], None),
    ],
)
def test_the_strictest_suggestion_counts(suggestions: list[str], strictest: str | None) -> None:
    """A DAG that branches on the suggestion errs on the safe side, whatever word VOD adds."""
    items = [sub_task("Porn", "PornTask", 10, GOOD, Suggestion=word) for word in suggestions]
    payload = procedure("AiContentReviewResultSet", *items)
    assert result_of(parse_event(in_pull_form("ProcedureStateChanged", payload))).suggestion == strictest


def test_an_output_that_is_no_object_failed() -> None:
    """A text in a list of outputs is reported as an output that failed, not passed over."""
    payload = procedure("MediaProcessResultSet", sub_task("Transcode", "TranscodeTask", 20, GOOD, **TRANSCODED))
    payload["MediaProcessResultSet"].append("")
    event = parse_event({"EventType": "ProcedureStateChanged", "ProcedureStateChangeEvent": payload})
    assert result_of(event).outcome == "partly_failed"


def test_the_documentation_is_true() -> None:
    """The example of the page is a result, key by key, and each kind of the table is on the page."""
    page = (Path(__file__).parents[3] / "docs" / "results.md").read_text()
    example = json.loads(page.split("```json")[1].split("```")[0])
    result = TaskResult.from_dict(example)
    assert {**result.to_dict()} == example
    assert {file.keys() == ResultFile().to_dict().keys() for file in map(dict, example["files"])} == {True}
    kinds = {each["kind"] for case in TABLE for each in (*case.files, *case.findings)}
    missing = {kind for kind in kinds if f"`{kind}`" not in page}
    # Of these the page names the lists that they are from.
    assert missing <= {"AsrFullTextRecognition", "SegmentRecognition", "FaceRecognition", "AiAnalysis.DeLogo"}
