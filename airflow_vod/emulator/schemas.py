"""The parameters of the actions that start tasks.

Invariant: every parameter that the vendor documents for an action is here with its type, in the vendor's order; a star marks
those that are required. `SubAppId`, which every action has, is listed only where its type is another.

Source: VOD API 2018-07-17, the pages of the actions.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, create_model

from airflow_vod.emulator.parameters import Integer, Number, Object, Objects, Parameters, String, Strings

if TYPE_CHECKING:
    from collections.abc import Mapping

_DIGITS = Annotated[
    int,
    BeforeValidator(lambda value: int(value) if isinstance(value, str) and value.isdecimal() else value),
    Field(ge=0, lt=2**64, description="a string of digits"),
]
_TYPES: Mapping[str, Any] = {
    "": String,
    "integer": Integer,
    "number": Number,
    "object": Object,
    "objects": Objects,
    "strings": Strings,
    "digits": _DIGITS,
}
_ABSENT: Mapping[str, Any] = {
    "": "",
    "integer": 0,
    "number": 0.0,
    "object": None,
    "objects": None,
    "strings": [],
    "digits": 0,
}

SCHEMAS: Mapping[str, str] = {
    "CloneVoiceAsync": (
        "SubAppId:digits AudioData AudioUrl AudioFileId LanguageBoost ExtParam SessionContext SessionId"
    ),
    "ComposeMedia": "Tracks:objects* Output:object* Canvas:object SessionContext SessionId",
    "CreateAigcAdvancedCustomElement": (
        "ElementName ElementDescription ReferenceType ElementVoiceId ElementVideoList ElementImageList TagList "
        "DisableModeration SessionId SessionContext TasksPriority:integer"
    ),
    "CreateAigcAudioClone": (
        "AudioFileInfo:object* VoiceId* Text* PromptAudioFileInfo:object PromptText Payload SessionId SessionContext "
        "TasksPriority:integer ExtInfo"
    ),
    "CreateAigcAudioTask": (
        "ModelName ModelVersion SceneType Prompt VideoInfos:objects AudioInfos:objects OutputConfig:object "
        "AdditionalParameters"
    ),
    "CreateAigcCustomVoice": (
        "VoiceName VoiceUrl VideoId DisableModeration SessionId SessionContext TasksPriority:integer"
    ),
    "CreateAigcHunyuan3DTask": (
        "ImageInfos:objects MultiViewImageInfos:objects Prompt GenerateType MeshInfos:objects EnablePBR "
        "FaceCount:integer KeepUV ResultFormat Seed:integer Style OutputConfig:object SessionId SessionContext "
        "TasksPriority:integer"
    ),
    "CreateAigcImageTask": (
        "ModelName* ModelVersion* FileInfos:objects Prompt NegativePrompt EnhancePrompt OutputConfig:object "
        "InputRegion SceneType Seed:integer SessionId SessionContext TasksPriority:integer ExtInfo"
    ),
    "CreateAigcSubject": (
        "SubjectName SubjectImages:strings SubjectVideos:strings VoiceId SessionId SessionContext TasksPriority:integer"
    ),
    "CreateAigcVideoRedrawTask": (
        "FileInfo:object TaskInfo:object OutputConfig:object SessionId SessionContext TasksPriority:integer ExtInfo"
    ),
    "CreateAigcVideoTask": (
        "ModelName* ModelVersion* FileInfos:objects SubjectInfos:objects LastFrameFileId LastFrameUrl Prompt "
        "NegativePrompt EnhancePrompt OutputConfig:object InputRegion SceneType Procedure Seed:integer SessionId "
        "SessionContext TasksPriority:integer ExtInfo"
    ),
    "CreateComplexAdaptiveDynamicStreamingTask": (
        "FileId* StreamParaSet:objects* HeadTailSet:objects AudioSet:objects SubtitleSet:objects"
    ),
    "CreateSceneAigcImageTask": (
        "SceneInfo:object* FileInfos:objects OutputConfig:object SessionId SessionContext TasksPriority:integer ExtInfo"
    ),
    "CreateSceneAigcVideoTask": (
        "SceneInfo:object* OutputConfig:object FileInfos:objects SessionId SessionContext TasksPriority:integer "
        "ExtInfo Prompt"
    ),
    "DescribeAigcFaceInfoAsync": "FileInfos:objects SessionId SessionContext TasksPriority:integer",
    "DescribeFileAttributes": "FileId* SessionId SessionContext TasksPriority:integer ExtInfo",
    "DesignVoiceAsync": ("Prompt* SubAppId:digits VoiceSettings:object PreviewText ExtParam SessionContext SessionId"),
    "EditMedia": (
        "InputType* FileInfos:objects StreamInfos:objects Definition:integer ProcedureName OutputConfig:object "
        "SessionContext TasksPriority:integer SessionId ExtInfo"
    ),
    "EnhanceMediaByTemplate": (
        "FileId* Definition:integer* StartTimeOffset:number EndTimeOffset:number OutputConfig:object SessionId "
        "SessionContext TasksPriority:integer ExtInfo"
    ),
    "EnhanceMediaQuality": (
        "Definition:integer* FileId MediaStoragePath OutputConfig:object SessionId SessionContext TasksPriority:integer"
    ),
    "ExtractBlindWatermark": (
        "Type* InputInfo:object* ExtractBlindWatermarkConfig:object SessionContext SessionId TasksPriority:integer"
    ),
    "ExtractCopyRightWatermark": "Url* SessionContext SessionId TasksPriority:integer ExtInfo",
    "ExtractTraceWatermark": "Url* FileId SessionContext SessionId TasksPriority:integer ExtInfo",
    "ImportMediaKnowledge": "FileId* Definition:integer KnowledgeBaseIds:strings ImportTasks:strings",
    "InspectMediaQuality": "FileId* Definition:integer* TasksPriority:integer SessionContext SessionId ExtInfo",
    "LiveRealTimeClip": (
        "StreamId* StartTime* EndTime* IsPersistence:integer ExpireTime Procedure ClassId:integer SourceContext "
        "SessionContext MetaDataRequired:integer Host StreamInfo:object ExtInfo"
    ),
    "ProcessImageAsync": (
        "FileId Url Base64 ImageTaskInput:object OutputConfig:object SessionId SessionContext TasksPriority:integer "
        "ExtInfo"
    ),
    "ProcessMedia": (
        "FileId MediaStoragePath MediaProcessTask:object AiContentReviewTask:object AiAnalysisTask:object "
        "AiRecognitionTask:object TasksPriority:integer TasksNotifyMode SessionContext SessionId ExtInfo Url "
        "OutputAsIndependentMedia"
    ),
    "ProcessMediaByMPS": (
        "FileId* MPSProcessMediaParams AiAnalysisTask:object SmartSubtitlesTask:object SmartEraseTask:object ExtInfo"
    ),
    "ProcessMediaByProcedure": (
        "ProcedureName* FileId MediaStoragePath TasksPriority:integer TasksNotifyMode SessionContext SessionId ExtInfo"
    ),
    "ProcessMediaByUrl": (
        "InputInfo:object OutputInfo:object AiContentReviewTask:object AiAnalysisTask:object AiRecognitionTask:object "
        "TasksPriority:integer TasksNotifyMode SessionContext SessionId"
    ),
    "PullUpload": (
        "MediaUrl* MediaType MediaName CoverUrl Procedure ExpireTime StorageRegion ClassId:integer "
        "TasksPriority:integer SessionContext SessionId ExtInfo SourceContext MediaStoragePath"
    ),
    "RebuildMedia": (
        "FileId* StartTimeOffset:number EndTimeOffset:number RepairInfo:object VideoFrameInterpolationInfo:object "
        "SuperResolutionInfo:object HDRInfo:object VideoDenoiseInfo:object AudioDenoiseInfo:object ColorInfo:object "
        "SharpInfo:object FaceInfo:object LowLightInfo:object ScratchRepairInfo:object ArtifactRepairInfo:object "
        "TargetInfo:object SessionId SessionContext TasksPriority:integer ExtInfo"
    ),
    "RebuildMediaByTemplate": (
        "FileId* Definition:integer* SubAppId:digits StartTimeOffset:number EndTimeOffset:number OutputConfig:object "
        "SessionId SessionContext TasksPriority:integer ExtInfo"
    ),
    "RemoveWatermark": "FileId* SessionId SessionContext TasksPriority:integer TasksNotifyMode",
    "ReviewAudioVideo": (
        "FileId MediaStoragePath ReviewContents:strings Definition:integer TasksPriority:integer SessionContext "
        "SessionId ExtInfo"
    ),
    "SimpleHlsClip": (
        "Url* StartTimeOffset:number EndTimeOffset:number IsPersistence:integer ExpireTime Procedure ClassId:integer "
        "SourceContext SessionContext Precision OutputMediaType ExtInfo"
    ),
    "SplitMedia": "FileId* Segments:objects* SessionContext SessionId TasksPriority:integer",
    "TextToSpeechAsync": (
        "Text* VoiceId* SubAppId:digits LanguageBoost ExtParam Output:object SessionContext SessionId"
    ),
    "VideoDepthEstimation": "Url OutputConfig:object SessionId SessionContext TasksPriority:integer ExtInfo",
    "WeChatMiniProgramPublish": "FileId* SourceDefinition:integer",
}
"""Action to parameters: name, type after a colon (a string if there is none), star."""


def names_of(action: str) -> list[str]:
    """:param action: that starts tasks.
    :return: the names of its parameters.
    """
    return [word.rstrip("*").partition(":")[0] for word in SCHEMAS[action].split()]


@cache
def model_of(action: str) -> type[Parameters]:
    """:param action: that starts tasks.
    :return: the model that reads its parameters.
    """
    fields: dict[str, Any] = {}
    for word in SCHEMAS[action].split():
        name, _, kind = word.rstrip("*").partition(":")
        absent = ... if word.endswith("*") else _ABSENT[kind]
        attribute = "sub_app_id" if name == "SubAppId" else f"field_{name}"
        fields[attribute] = (_TYPES[kind], Field(absent, alias=name))
    return create_model(action, __base__=Parameters, **fields)
