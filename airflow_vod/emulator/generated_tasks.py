"""The table of the actions that generate media files, voices and the like, and of the kinds of tasks that they start.

Source: VOD API 2018-07-17, the pages of the actions, their error codes, and the data types that they name. A kind without an
event is one that no event type names.
"""

from __future__ import annotations

from airflow_vod.emulator import results
from airflow_vod.emulator.kinds import Kind
from airflow_vod.emulator.outputs import made
from airflow_vod.emulator.results import MEDIA, STORED
from airflow_vod.emulator.starter import Starter, announced

GENERATED_TASKS = (
    Starter(
        "ProcessImageAsync",
        announced(
            "ProcessImageAsync",
            "ProcessImageAsyncCompleteEvent",
            "ProcessImageAsyncCompleteEvent",
            lacks="ErrCodeExt",
            input="FileId Url ImageTaskInput OutputConfig",
            result=lambda job: {"Output": {"FileInfo": made(job, f"{MEDIA} MetaData", suffix="jpg")}},
            event_without_task=True,
        ),
    ),
    Starter(
        "CreateAigcImageTask",
        announced(
            "AigcImageTask",
            "AigcImageTaskComplete",
            "AigcImageCompleteEvent",
            input="ModelName ModelVersion FileInfos Prompt NegativePrompt EnhancePrompt OutputConfig Seed SceneType ExtInfo",
            result=results.listed("FileInfos", STORED, "png"),
        ),
    ),
    Starter(
        "CreateSceneAigcImageTask",
        announced(
            "SceneAigcImageTask",
            "SceneAigcImageCompleteEvent",
            "SceneAigcImageCompleteEvent",
            lacks="ErrCodeExt",
            input="SceneInfo FileInfos OutputConfig",
            result=results.listed("FileInfos", STORED, "png"),
        ),
    ),
    Starter(
        "CreateAigcVideoTask",
        announced(
            "AigcVideoTask",
            "AigcVideoTaskComplete",
            "AigcVideoCompleteEvent",
            input=(
                "ModelName ModelVersion FileInfos SubjectInfos LastFrameFileId LastFrameUrl Prompt NegativePrompt "
                "EnhancePrompt OutputConfig InputRegion SceneType Seed ExtInfo"
            ),
            result=results.generated_video,
        ),
    ),
    Starter(
        "CreateSceneAigcVideoTask",
        Kind(
            task_type="SceneAigcVideoTask",
            lacks="ErrCodeExt",
            input="SceneInfo FileInfos OutputConfig",
            result=results.listed("FileInfos", STORED),
        ),
    ),
    Starter(
        "CreateAigcVideoRedrawTask",
        Kind(
            task_type="AigcVideoRedrawTask",
            input="FileInfo TaskInfo OutputConfig",
            result=lambda job: {"Output": {"FileInfo": made(job, STORED)}},
        ),
    ),
    Starter(
        "CreateAigcHunyuan3DTask",
        announced(
            "AigcHunyuan3DTask",
            "AigcHunyuan3DTaskComplete",
            "AigcHunyuan3DCompleteEvent",
            input=(
                "ImageInfos MultiViewImageInfos Prompt GenerateType MeshInfos EnablePBR FaceCount KeepUV ResultFormat Seed "
                "Style OutputConfig"
            ),
            result=results.listed("FileInfos", "StorageMode ExpireTime FileType FileUrl PreviewFileUrl", "glb"),
        ),
    ),
    Starter(
        "CreateAigcAudioTask",
        Kind(
            task_type="AigcAudioTask",
            lacks="SessionId SessionContext",
            input="ModelName ModelVersion SceneType Prompt AudioInfos VideoInfos OutputConfig AdditionalParameters",
            result=results.listed("AudioInfos", f"{STORED} Duration", "mp3"),
        ),
    ),
    Starter(
        "CreateAigcAudioClone",
        Kind(
            task_type="CreateAigcAudioClone",
            input="AudioFileInfo VoiceId Text PromptAudioFileInfo PromptText Payload",
            result=results.values(State="success", VoiceId="voice-emulated", DemoAudio="", Payload="", CreatedAt=""),
        ),
    ),
    Starter(
        "CreateAigcSubject",
        Kind(
            task_type="CreateAigcSubject",
            lacks="Progress",
            input="SubjectName SubjectImages SubjectVideos VoiceId",
            result=results.values(SubjectId="subject-emulated", SubjectInfo=""),
        ),
    ),
    Starter(
        "CreateAigcAdvancedCustomElement",
        announced(
            "CreateAigcAdvancedCustomElement",
            "CreateAigcAdvancedCustomElementCompleteEvent",
            "CreateAigcAdvancedCustomElementCompleteEvent",
            input="ElementName ElementDescription ReferenceType ElementVoiceId ElementVideoList ElementImageList TagList",
            result=results.values(InfoList=[{"ElementId": "element-emulated", "ElementInfo": ""}]),
        ),
    ),
    Starter(
        "CreateAigcCustomVoice",
        announced(
            "CreateAigcCustomVoice",
            "CreateAigcCustomVoiceCompleteEvent",
            "CreateAigcCustomVoiceCompleteEvent",
            input="VoiceName VoiceUrl VideoId",
            result=results.values(InfoList=[{"VoiceId": "voice-emulated", "VoiceInfo": ""}]),
        ),
    ),
    Starter(
        "DescribeAigcFaceInfoAsync",
        announced(
            "DescribeAigcFaceInfoAsync",
            "DescribeAigcFaceInfoAsyncComplete",
            input="FileInfos",
            result=results.values(FaceInfoSet=[{"SessionId": "face-emulated", "FaceInfoList": []}]),
        ),
    ),
    Starter(
        "DesignVoiceAsync",
        Kind(
            task_type="DesignVoiceAsync",
            input="Prompt VoiceSettings PreviewText ExtParam",
            result=results.values(VoiceId="voice-emulated", TrialAudio=""),
        ),
    ),
    Starter(
        "CloneVoiceAsync",
        Kind(
            task_type="CloneVoiceAsync",
            input="AudioUrl AudioFileId LanguageBoost ExtParam",
            result=results.values(VoiceId="voice-emulated", DemoAudio="", ExtInfo=""),
        ),
    ),
    Starter(
        "TextToSpeechAsync",
        Kind(
            task_type="TextToSpeechAsync",
            input="VoiceId Text LanguageBoost ExtParam",
            result=results.spoken,
        ),
    ),
    Starter(
        "VideoDepthEstimation",
        Kind(
            task_type="VideoDepthEstimation",
            input="Url",
            result=results.output("StorageMode MediaName ExpireTime FileType FileId FileUrl MetaData"),
        ),
    ),
)
