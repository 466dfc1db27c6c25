"""The table of VOD's event types: where each type keeps its task, its outcome, its errors and its files.

Invariant: all that tells one event type from another is one row here; no other module asks for an event type by name.

Source of the vendor facts: VOD API 2018-07-17, data types EventContent and DescribeTaskDetail's response, and the types
that they name; for form 2.0, "Legacy Callback Formats" and the pages of the events that it links.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple


class Part(NamedTuple):
    """The sub-results of a task that carry an error of their own.

    :param path: where they lie in the payload.
    :param files: paths, from each of them, to the files (or plain URLs) that it made.
    """

    path: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EventType:
    """One row of the table.

    Paths are names joined by dots: ``[]`` stands for each item of a list, ``*`` for each object inside, and ``.`` alone
    for the object itself.

    :param name: the ``EventType`` on the wire.
    :param field: the name in EventContent that holds the payload.
    :param detail: the name in the answer of DescribeTaskDetail that holds the same structure; None where there is none.
    :param ends_task: False for what reports no end of a task (an upload, a deletion, a cast).
    :param parts: the sub-results that carry an error of their own.
    :param files: where there are no parts: paths, from the payload, to the files (or plain URLs) that the task made.
    :param outputs: names in the payload that hold what the task made besides files.
    :param verdict: a name in the payload, and the one value of it that means success.
    :param proof_in_parts: True where the payload itself has no error code, so that its parts alone can show success.
    """

    name: str
    field: str
    detail: str | None = None
    ends_task: bool = True
    parts: tuple[Part, ...] = ()
    files: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ("Output", "MetaData")
    verdict: tuple[str, str] | None = None
    proof_in_parts: bool = False


_MEDIA_FILES = ("Output", "Output.PicInfoSet[]", "Output.ImageUrlSet[]", "Output.WebVttUrl", "Output.SubtitleSet[]")
_PROCEDURE = (
    Part("MediaProcessResultSet[].*", files=_MEDIA_FILES),
    Part("AiContentReviewResultSet[].*"),
    Part("AiAnalysisResultSet[].*", files=("Output.CoverSet[]", "Output.HighlightSet[]")),
    Part("AiRecognitionResultSet[].*", files=("Output.SegmentSet[]", "Output.SubtitleSet[]", "Output.SubtitleUrl")),
)
_LEGACY_PROCEDURE = Part("ProcessTaskList[]", ("Output", "Output.ImageUrls[]", "Output.ImageUrl", "Output.ImgInfo[]"))
_AIGC_FILES = ("Output.FileInfos[]",)

_ROWS = (
    EventType("NewFileUpload", "FileUploadEvent", ends_task=False),
    EventType("FileDeleted", "FileDeleteEvent", ends_task=False),
    EventType("MediaCastStatusChanged", "MediaCastStatusChangedEvent", ends_task=False),
    EventType(
        "ProcedureStateChanged",
        "ProcedureStateChangeEvent",
        "ProcedureTask",
        parts=(*_PROCEDURE, _LEGACY_PROCEDURE),
        outputs=("AiContentReviewResultSet", "AiAnalysisResultSet", "AiRecognitionResultSet"),
    ),
    EventType("PullComplete", "PullCompleteEvent", "PullUploadTask", files=(".",)),
    EventType("EditMediaComplete", "EditMediaCompleteEvent", "EditMediaTask", files=("Output",)),
    EventType("SplitMediaComplete", "SplitMediaCompleteEvent", "SplitMediaTask", files=("FileInfoSet[].Output",)),
    EventType("ComposeMediaComplete", "ComposeMediaCompleteEvent", "ComposeMediaTask", files=("Output",)),
    EventType(
        "ClipComplete", "ClipCompleteEvent", "ClipTask", parts=(Part("FileInfo", files=(".",)),), proof_in_parts=True
    ),
    EventType(
        "TranscodeComplete",
        "TranscodeCompleteEvent",
        "TranscodeTask",
        files=("PlayInfoSet[]",),
        outputs=("Duration", "CoverUrl"),
    ),
    EventType(
        "CreateImageSpriteComplete",
        "CreateImageSpriteCompleteEvent",
        "CreateImageSpriteTask",
        files=("ImageSpriteUrlSet[]", "WebVttUrl"),
        outputs=("Definition", "TotalCount"),
    ),
    EventType(
        "ConcatComplete",
        "ConcatCompleteEvent",
        "ConcatTask",
        parts=(Part("FileInfoSet[]", files=(".",)),),
        proof_in_parts=True,
    ),
    EventType(
        "CreateSnapshotByTimeOffsetComplete",
        "SnapshotByTimeOffsetCompleteEvent",
        "SnapshotByTimeOffsetTask",
        parts=(Part("SnapshotInfoSet[]", files=(".",)),),
        outputs=("Definition", "SnapshotInfoSet"),
        proof_in_parts=True,
    ),
    EventType(
        "WechatPublishComplete",
        "WechatPublishCompleteEvent",
        "WechatPublishTask",
        outputs=("WechatStatus", "WechatVid", "WechatUrl"),
        verdict=("WechatStatus", "SUCCESS"),
    ),
    EventType(
        "WechatMiniProgramPublishComplete",
        "WechatMiniProgramPublishCompleteEvent",
        "WechatMiniProgramPublishTask",
        outputs=("PublishResult",),
        verdict=("PublishResult", "Pass"),
    ),
    EventType("RemoveWatermark", "RemoveWatermarkCompleteEvent", "RemoveWatermarkTask", files=("Output",)),
    EventType(
        "RestoreMediaComplete",
        "RestoreMediaCompleteEvent",
        files=(".",),
        outputs=("OriginalStorageClass", "TargetStorageClass", "RestoreTier", "RestoreDay"),
    ),
    EventType("RebuildMediaComplete", "RebuildMediaCompleteEvent", "RebuildMediaTask", files=("Output",)),
    EventType("ExtractTraceWatermarkComplete", "ExtractTraceWatermarkCompleteEvent", "ExtractTraceWatermarkTask"),
    EventType(
        "ExtractCopyRightWatermarkComplete", "ExtractCopyRightWatermarkCompleteEvent", "ExtractCopyRightWatermarkTask"
    ),
    EventType("ReviewAudioVideoComplete", "ReviewAudioVideoCompleteEvent", "ReviewAudioVideoTask"),
    EventType(
        "ReduceMediaBitrateComplete",  # VOD names no type for this field, which it marks as void
        "ReduceMediaBitrateCompleteEvent",
        "ReduceMediaBitrateTask",
        parts=(Part("MediaProcessResultSet[].*", files=("Output", "Output.SubtitleSet[]")),),
        proof_in_parts=True,
    ),
    EventType("DescribeFileAttributesComplete", "DescribeFileAttributesCompleteEvent", "DescribeFileAttributesTask"),
    EventType("QualityInspectComplete", "QualityInspectCompleteEvent", "QualityInspectTask"),
    EventType("QualityEnhanceComplete", "QualityEnhanceCompleteEvent", "QualityEnhanceTask", files=("Output",)),
    EventType("PersistenceComplete", "PersistenceCompleteEvent", files=(".",), outputs=("PersistenceSource",)),
    EventType(
        "ComplexAdaptiveDynamicStreamingComplete",
        "ComplexAdaptiveDynamicStreamingCompleteEvent",
        "ComplexAdaptiveDynamicStreamingTask",
        parts=(Part("ComplexAdaptiveDynamicStreamingTaskResultSet[]", files=("Output",)),),
        proof_in_parts=True,
    ),
    EventType(
        "ProcessMediaByMPSComplete",
        "ProcessMediaByMPSCompleteEvent",
        "ProcessMediaByMPSTask",
        parts=(Part("SubTaskSet[]", files=("Output.OutputFiles[]",)),),
        outputs=("SubTaskSet",),
    ),
    EventType("AigcImageTaskComplete", "AigcImageCompleteEvent", "AigcImageTask", files=_AIGC_FILES),
    EventType("AigcVideoTaskComplete", "AigcVideoCompleteEvent", "AigcVideoTask", files=_AIGC_FILES),
    EventType("AigcHunyuan3DTaskComplete", "AigcHunyuan3DCompleteEvent", "AigcHunyuan3DTask", files=_AIGC_FILES),
    EventType(
        "DescribeAigcFaceInfoAsyncComplete", "DescribeAigcFaceInfoAsyncCompleteEvent", "DescribeAigcFaceInfoAsyncTask"
    ),
    # VOD's type list does not name the types below; these names stand in the descriptions of their fields.
    EventType(
        "ExtractBlindWatermarkComplete",
        "ExtractBlindWatermarkComplete",
        "ExtractBlindWatermarkTask",
        outputs=("Type", "IsDetected", "Result", "ResultUV"),
    ),
    EventType("SceneAigcImageCompleteEvent", "SceneAigcImageCompleteEvent", "SceneAigcImageTask", files=_AIGC_FILES),
    EventType(
        "ProcessImageAsyncCompleteEvent",
        "ProcessImageAsyncCompleteEvent",
        "ProcessImageAsyncTask",
        files=("Output.FileInfo",),
    ),
    EventType(
        "CreateAigcAdvancedCustomElementCompleteEvent",
        "CreateAigcAdvancedCustomElementCompleteEvent",
        "CreateAigcAdvancedCustomElementTask",
    ),
    EventType("CreateAigcCustomVoiceCompleteEvent", "CreateAigcCustomVoiceCompleteEvent", "CreateAigcCustomVoiceTask"),
)

EVENT_TYPES: Mapping[str, EventType] = MappingProxyType({row.name: row for row in _ROWS})
"""Every event type that VOD documents, by its name on the wire."""

UNKNOWN = EventType(
    "",
    "",
    files=(
        *("Output", "Output.FileInfo", "Output.FileInfos[]", "Output.AudioInfos[]", "Output.VideoInfos[]"),
        *("FileInfo", "FileInfoSet[]", "FileInfoSet[].Output"),
    ),
)
"""Where VOD's types usually keep what a type that the table lacks may keep there too."""

_BY_DETAIL = {row.detail.removesuffix("Task").casefold(): row for row in _ROWS if row.detail}


def type_of_detail(name: str) -> EventType:
    """Find the event type whose structure DescribeTaskDetail gives under this name.

    :param name: such as ``EditMediaTask``; a ``TaskType`` such as ``EditMedia`` will do.
    :return: the row; for a task without event, one that is named after it.
    """
    stem = name.removesuffix("Task")
    return _BY_DETAIL.get(stem.casefold()) or EventType(f"{stem}Complete", f"{stem}CompleteEvent")


def values_at(value: Any, path: str) -> list[Any]:
    """Find what lies at a path of the table; nothing where the shape differs.

    :param value: the payload or a part of it.
    :param path: see :class:`EventType`.
    :return: the values, in their order.
    """
    values = [value]
    for step in _steps(path):
        found: list[Any] = []
        for each in values:
            if isinstance(each, (dict, Mapping)):
                found += step.of(each)
        values = found
    return values


class _Step(NamedTuple):
    name: str
    many: bool

    def of(self, value: Mapping[str, Any]) -> Iterable[Any]:
        if self.name == "*":
            return [child for child in value.values() if isinstance(child, Mapping)]
        found = value.get(self.name)
        if self.many:
            return found if isinstance(found, list) else ()
        return (found,) if self.name in value else ()


@cache  # the paths of the table, and no others
def _steps(path: str) -> tuple[_Step, ...]:
    return tuple(_Step(step.removesuffix("[]"), step.endswith("[]")) for step in path.split(".") if step)
