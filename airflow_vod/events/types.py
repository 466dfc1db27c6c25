"""The table of VOD's event types: where each type keeps its task, its outcome, its errors and its files.

Invariant: everything that distinguishes one event type from another is in its row here; no other module tests for an event
type by name, but for the names of form 2.0, which are in :mod:`airflow_vod.events.legacy`.

Source: VOD API 2018-07-17, data types EventContent and DescribeTaskDetail's response, and the types that they name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple


class Part(NamedTuple):
    """Sub-results of a task that have their own error code.

    :param path: where they are in the payload.
    :param files: paths, relative to each sub-result, of the files (or plain URLs) that it made.
    :param kind: the field of each sub-result that names the sub-task; empty if all are of the task's own kind.
    :param nested: True if each object at `path` names the sub-task in ``Type`` and holds the sub-result in a field beside it.
    :param makers: the names of those fields whose sub-tasks make files; None if all do. The others report findings.
    """

    path: str
    files: tuple[str, ...] = ()
    kind: str = ""
    nested: bool = False
    makers: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class EventType:
    """One row of the table.

    Paths are names joined by dots: ``[]`` stands for each item of a list, ``*`` for each object inside, and ``.`` alone
    for the object itself.

    :param name: the ``EventType`` on the wire.
    :param field: the field of EventContent that holds the payload.
    :param detail: the field of DescribeTaskDetail's answer that holds the same structure; None if there is none.
    :param ends_task: False for events that do not report the end of a task (an upload, a deletion, a cast).
    :param parts: the sub-results that have their own error code.
    :param files: if there are no parts: paths, relative to the payload, of the files (or plain URLs) that the task made.
    :param findings: if there are no parts: paths of the objects that hold the suggestion of a review.
    :param metadata: the path of what VOD measured of all files that the task made; empty if it is said with each file.
    :param outputs: fields of the payload that hold outputs other than files.
    :param stated: only for types whose form 2.0 says less than form 3.0: the paths of what both say besides ids, errors and
        outputs; see :mod:`airflow_vod.events.identity`. None: both say the same, or there is no form 2.0.
    :param word: VOD's word for the task, where it is not `detail` without its suffix ``Task``.
    :param verdict: a field of the payload, and the only value of it that means success.
    :param proof_in_parts: True if the payload itself has no error code, so that only its parts can prove success.
    """

    name: str
    field: str
    detail: str | None = None
    ends_task: bool = True
    parts: tuple[Part, ...] = ()
    files: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    metadata: str = ""
    outputs: tuple[str, ...] = ("Output", "MetaData")
    verdict: tuple[str, str] | None = None
    proof_in_parts: bool = False
    stated: tuple[str, ...] | None = None
    word: str = ""

    @property
    def kind(self) -> str:
        """VOD's word for the task, which is the kind of its outputs; empty for a type that the table lacks."""
        return self.word or (self.detail or "").removesuffix("Task")


_MEDIA_FILES = ("Output", "Output.PicInfoSet[]", "Output.ImageUrlSet[]", "Output.WebVttUrl", "Output.SubtitleSet[]")
_PROCEDURE = (
    Part("MediaProcessResultSet[]", _MEDIA_FILES, nested=True),
    Part("AiContentReviewResultSet[]", nested=True, makers=()),
    Part(
        "AiAnalysisResultSet[]",
        ("Output.CoverSet[]", "Output.HighlightSet[]"),
        nested=True,
        makers=("CoverTask", "HighlightTask"),
    ),
    Part(
        "AiRecognitionResultSet[]",
        ("Output.SegmentSet[]", "Output.SubtitleSet[]", "Output.SubtitleUrl"),
        nested=True,
        makers=("SegmentTask",),
    ),
)
_AIGC_FILES = ("Output.FileInfos[]",)

_ROWS = (
    EventType(
        "NewFileUpload",
        "FileUploadEvent",
        ends_task=False,
        stated=(
            *("MediaBasicInfo.Name", "MediaBasicInfo.MediaUrl", "MediaBasicInfo.CoverUrl"),
            *("MediaBasicInfo.SourceInfo.SourceType", "MediaBasicInfo.SourceInfo.SourceContext"),
        ),
    ),
    EventType("FileDeleted", "FileDeleteEvent", ends_task=False, stated=("FileIdSet[]", "FileDeleteResultInfo[]")),
    EventType("MediaCastStatusChanged", "MediaCastStatusChangedEvent", ends_task=False),
    EventType(
        "ProcedureStateChanged",
        "ProcedureStateChangeEvent",
        "ProcedureTask",
        parts=_PROCEDURE,
        stated=(),
        outputs=("AiContentReviewResultSet", "AiAnalysisResultSet", "AiRecognitionResultSet"),
    ),
    EventType(
        "PullComplete",
        "PullCompleteEvent",
        "PullUploadTask",
        files=(".",),
        outputs=("MediaBasicInfo", "MetaData"),
        stated=(),
    ),
    EventType("EditMediaComplete", "EditMediaCompleteEvent", "EditMediaTask", files=("Output",), metadata="MetaData"),
    EventType("SplitMediaComplete", "SplitMediaCompleteEvent", "SplitMediaTask", files=("FileInfoSet[]",)),
    EventType(
        "ComposeMediaComplete", "ComposeMediaCompleteEvent", "ComposeMediaTask", files=("Output",), metadata="MetaData"
    ),
    EventType(
        "ClipComplete", "ClipCompleteEvent", "ClipTask", parts=(Part("FileInfo", files=(".",)),), proof_in_parts=True
    ),
    EventType(
        "TranscodeComplete",
        "TranscodeCompleteEvent",
        "TranscodeTask",
        files=("PlayInfoSet[]",),
        metadata=".",
        outputs=("Duration", "CoverUrl"),
    ),
    EventType(
        "CreateImageSpriteComplete",
        "CreateImageSpriteCompleteEvent",
        "CreateImageSpriteTask",
        word="ImageSprites",
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
        word="RestoreMedia",
        files=(".",),
        outputs=("OriginalStorageClass", "TargetStorageClass", "RestoreTier", "RestoreDay"),
    ),
    EventType(
        "RebuildMediaComplete", "RebuildMediaCompleteEvent", "RebuildMediaTask", files=("Output",), metadata="MetaData"
    ),
    EventType("ExtractTraceWatermarkComplete", "ExtractTraceWatermarkCompleteEvent", "ExtractTraceWatermarkTask"),
    EventType(
        "ExtractCopyRightWatermarkComplete", "ExtractCopyRightWatermarkCompleteEvent", "ExtractCopyRightWatermarkTask"
    ),
    EventType(
        "ReviewAudioVideoComplete",
        "ReviewAudioVideoCompleteEvent",
        "ReviewAudioVideoTask",
        findings=("Output", "Output.CoverReviewResult"),
    ),
    EventType(
        "ReduceMediaBitrateComplete",  # VOD documents no event type for this field, which it marks as void
        "ReduceMediaBitrateCompleteEvent",
        "ReduceMediaBitrateTask",
        parts=(Part("MediaProcessResultSet[]", ("Output", "Output.SubtitleSet[]"), nested=True),),
        proof_in_parts=True,
    ),
    EventType("DescribeFileAttributesComplete", "DescribeFileAttributesCompleteEvent", "DescribeFileAttributesTask"),
    EventType("QualityInspectComplete", "QualityInspectCompleteEvent", "QualityInspectTask"),
    EventType(
        "QualityEnhanceComplete",
        "QualityEnhanceCompleteEvent",
        "QualityEnhanceTask",
        files=("Output",),
        metadata="MetaData",
    ),
    EventType(
        "PersistenceComplete",
        "PersistenceCompleteEvent",
        word="Persistence",
        files=(".",),
        outputs=("PersistenceSource",),
    ),
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
        parts=(Part("SubTaskSet[]", ("Output.OutputFiles[]",), kind="TaskType"),),
        outputs=("SubTaskSet",),
    ),
    EventType("AigcImageTaskComplete", "AigcImageCompleteEvent", "AigcImageTask", files=_AIGC_FILES),
    EventType("AigcVideoTaskComplete", "AigcVideoCompleteEvent", "AigcVideoTask", files=_AIGC_FILES),
    EventType("AigcHunyuan3DTaskComplete", "AigcHunyuan3DCompleteEvent", "AigcHunyuan3DTask", files=_AIGC_FILES),
    EventType(
        "DescribeAigcFaceInfoAsyncComplete", "DescribeAigcFaceInfoAsyncCompleteEvent", "DescribeAigcFaceInfoAsyncTask"
    ),
    # VOD's list of types lacks the ones below; their names come from the descriptions of their fields.
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
        *("FileInfo", "FileInfoSet[]"),
    ),
)
"""The row for types that the table lacks: where VOD's types usually keep their files."""

_BY_FIELD = {
    name: row
    for row in reversed(_ROWS)
    for name in (row.field, row.field.removesuffix("Event"))
    if name not in EVENT_TYPES
} | {row.field: row for row in _ROWS}
_BY_DETAIL = {row.detail.removesuffix("Task").casefold(): row for row in _ROWS if row.detail}


def type_of_field(name: str) -> EventType | None:
    """Find the event type whose payload has this name in EventContent, or in VOD's own samples.

    :param name: such as ``ComposeMediaCompleteEvent``.
    """
    return _BY_FIELD.get(name)


def type_of_detail(name: str) -> EventType:
    """Find the event type whose structure DescribeTaskDetail returns under this name.

    :param name: such as ``EditMediaTask``, or a ``TaskType`` such as ``EditMedia``.
    :return: the row; for a task without an event type, a new row named after it.
    """
    stem = name.removesuffix("Task")
    return _BY_DETAIL.get(stem.casefold()) or EventType(f"{stem}Complete", f"{stem}CompleteEvent")


UNANNOUNCED = frozenset(
    {
        "aigcaudio",
        "aigcvideoredraw",
        "clonevoiceasync",
        "createaigcaudioclone",
        "createaigcsubject",
        "designvoiceasync",
        "importmediaknowledge",
        "sceneaigcvideo",
        "texttospeechasync",
        "videodepthestimation",
    }
)
"""The task types, in lower case and without ``Task`` at the end, for which EventContent has no field and no event type
(VOD API, EventContent and DescribeTaskDetail)."""


def is_unannounced(task_type: Any) -> bool:
    """Whether VOD sends no event when a task of this type ends, so that only a question finds out.

    :param task_type: ``TaskType`` of an answer, such as ``AigcAudioTask``; one that is not known counts as announced.
    """
    return isinstance(task_type, str) and task_type.strip().removesuffix("Task").casefold() in UNANNOUNCED
