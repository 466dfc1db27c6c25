"""The table of the actions that process media files or examine them, and of the kinds of tasks that they start.

Source: VOD API 2018-07-17, the pages of the actions, their error codes, and the data types that they name. A kind without an
event is one that no event type names.
"""

from __future__ import annotations

from airflow_vod.emulator import results
from airflow_vod.emulator.kinds import Kind
from airflow_vod.emulator.starter import DAY, Starter, announced, filled, one_of, sources

PROCEDURE = Kind(
    task_type="Procedure",
    event=("ProcedureStateChanged", "ProcedureStateChangeEvent"),
    lacks="ErrCodeExt Progress",
    copies="FileId TasksPriority TasksNotifyMode",
    parts=results.processed,
    id_form="{app}-procedurev2-{hex}tt0",
)
REVIEW = Kind(
    task_type="ReviewAudioVideo",
    event=("ReviewAudioVideoComplete", "ReviewAudioVideoCompleteEvent"),
    lacks="ErrCode Progress",
    input="FileId Definition ReviewContents",
    result=results.values(Suggestion="pass", Label="", Form="", SegmentSet=[]),
)
KNOWLEDGE = Kind(
    task_type="ImportMediaKnowledge",
    lacks="ErrCodeExt Progress SessionId SessionContext",
    copies="FileId",
    input="Definition KnowledgeBaseIds",
)
_REBUILD = Kind(
    task_type="RebuildMedia",
    event=("RebuildMediaComplete", "RebuildMediaCompleteEvent"),
    input=(
        "FileId StartTimeOffset EndTimeOffset Definition RepairInfo VideoFrameInterpolationInfo SuperResolutionInfo HDRInfo "
        "VideoDenoiseInfo AudioDenoiseInfo ColorInfo SharpInfo FaceInfo LowLightInfo ScratchRepairInfo "
        "ArtifactRepairInfo TargetInfo"
    ),
    result=results.media,
)
_ENHANCE = Kind(
    task_type="QualityEnhance",
    event=("QualityEnhanceComplete", "QualityEnhanceCompleteEvent"),
    input="FileId Definition",
    result=results.media,
)
_TASK_DUPLICATE = "FailedOperation.TaskDuplicate"
_BARE = "ErrCodeExt Progress SessionId SessionContext"

MEDIA_TASKS = (
    Starter(
        "EditMedia",
        announced(
            "EditMedia",
            "EditMediaComplete",
            input="InputType FileInfoSet=FileInfos StreamInfoSet=StreamInfos",
            result=results.edited,
        ),
        check=sources,
    ),
    Starter(
        "ComposeMedia",
        announced(
            "ComposeMedia",
            "ComposeMediaComplete",
            lacks="ErrCodeExt",
            input="Tracks Canvas Output",
            result=results.composed,
        ),
        check=filled("Tracks", "Output"),
    ),
    Starter(
        "SplitMedia",
        announced("SplitMedia", "SplitMediaComplete", result=results.split),
        check=filled("FileId", "Segments"),
    ),
    Starter(
        "PullUpload",
        announced("PullUpload", "PullComplete", lacks="ErrCodeExt", result=results.pulled),
        check=filled("MediaUrl"),
    ),
    Starter("ProcessMedia", PROCEDURE, _TASK_DUPLICATE, check=one_of("FileId", "MediaStoragePath", "Url")),
    Starter("ProcessMediaByUrl", PROCEDURE, _TASK_DUPLICATE, check=filled("InputInfo")),
    Starter(
        "ProcessMediaByMPS",
        announced("ProcessMediaByMPS", "ProcessMediaByMPSComplete", lacks=_BARE, parts=results.processed_by_mps),
    ),
    Starter(
        "CreateComplexAdaptiveDynamicStreamingTask",
        announced(
            "ComplexAdaptiveDynamicStreaming",
            "ComplexAdaptiveDynamicStreamingComplete",
            lacks=f"{_BARE} ErrCode Message",
            parts=results.streamed,
        ),
    ),
    Starter("RebuildMedia", _REBUILD),
    Starter("RebuildMediaByTemplate", _REBUILD),
    Starter("EnhanceMediaByTemplate", _REBUILD),
    Starter("EnhanceMediaQuality", _ENHANCE, check=one_of("FileId", "MediaStoragePath")),
    Starter(
        "RemoveWatermark",
        announced(
            "RemoveWatermarkTask",
            "RemoveWatermark",
            "RemoveWatermarkCompleteEvent",
            lacks="Progress",
            input="FileId",
            result=results.output("FileId FileType FileUrl MediaName MetaData"),
        ),
        _TASK_DUPLICATE,
        window=7 * DAY,
    ),
    # What a file is like.
    Starter("ReviewAudioVideo", REVIEW, check=one_of("FileId", "MediaStoragePath")),
    Starter(
        "InspectMediaQuality",
        announced(
            "QualityInspect",
            "QualityInspectComplete",
            lacks="ErrCode Progress",
            input="FileId Definition",
            result=results.values(NoAudio=0, NoVideo=0, QualityEvaluationScore=80, QualityInspectResultSet=[]),
        ),
    ),
    Starter(
        "DescribeFileAttributes",
        announced(
            "DescribeFileAttributesTask",
            "DescribeFileAttributesComplete",
            copies="FileId",
            result=results.values(
                Md5="d41d8cd98f00b204e9800998ecf8427e", Sha1="da39a3ee5e6b4b0d3255bfef95601890afd80709"
            ),
            ended=("SUCCESS", "FAIL"),
        ),
        _TASK_DUPLICATE,
    ),
    Starter(
        "ExtractTraceWatermark",
        announced(
            "ExtractTraceWatermark",
            "ExtractTraceWatermarkComplete",
            lacks="Progress",
            input="Url FileId",
            result=results.values(Uv="", Uid=""),
        ),
    ),
    Starter(
        "ExtractCopyRightWatermark",
        announced(
            "ExtractCopyRightWatermark",
            "ExtractCopyRightWatermarkComplete",
            lacks="Progress",
            input="Url",
            result=results.values(Text="emulated"),
        ),
    ),
    Starter(
        "ExtractBlindWatermark",
        announced(
            "ExtractBlindWatermark",
            "ExtractBlindWatermarkComplete",
            "ExtractBlindWatermarkComplete",
            lacks="ErrCodeExt Progress",
            copies="Type InputInfo ExtractBlindWatermarkConfig",
            result=lambda job: {"IsDetected": True, "Result": "emulated", "ResultUV": ""},
        ),
    ),
    Starter("ImportMediaKnowledge", KNOWLEDGE),
    Starter(
        "WeChatMiniProgramPublish",
        announced(
            "WechatMiniProgramPublish",
            "WechatMiniProgramPublishComplete",
            lacks=_BARE,
            copies="FileId SourceDefinition",
            result=lambda job: {"PublishResult": "Pass"},
        ),
    ),
    Starter(
        "ProcessMediaByProcedure",
        PROCEDURE,
        "InvalidParameterValue.UniqueIdentifier",
        window=7 * DAY,
        check=one_of("FileId", "MediaStoragePath"),
        form="flow",
    ),
    Starter("LiveRealTimeClip", PROCEDURE, answers="VodTaskId", form="clip"),
    Starter("SimpleHlsClip", PROCEDURE, form="clip"),
)
