"""EditMedia tasks: splicing and cutting, the modern way to what ConcatComplete once announced.

Invariant: the detail of a task and the event that announces its end are one value, of the schema EditMediaTask (VOD API
2018-07-17) with every field present. Nothing is edited, of course, and a ``ProcedureName`` starts no second task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow_vod.emulator.content import file_id
from airflow_vod.emulator.tasks import timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_vod.emulator.options import EditFailure

_SUFFIX = {"mp4": ("f0.mp4", "mp4"), "hls": ("playlist.f6.m3u8", "m3u8")}


def new_task_id(sub_app_id: int) -> str:
    """:param sub_app_id: 0 for the primary application.
    :return: an id of the vendor's shape.
    """
    return f"{sub_app_id or 1250000000}-EditMedia-{uuid4().hex}"


def running(vod_task_id: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """:param vod_task_id: of the task.
    :param params: of the EditMedia call.
    :return: the task while it runs.
    """
    return {
        "TaskId": vod_task_id,
        "Status": "PROCESSING",
        "ErrCode": 0,
        "ErrCodeExt": "",
        "Message": "",
        "Progress": 0,
        "Input": {
            "InputType": params["InputType"],
            "FileInfoSet": params.get("FileInfos"),
            "StreamInfoSet": params.get("StreamInfos"),
        },
        "Output": None,
        "MetaData": None,
        "ProcedureTaskId": "",
        "ReviewAudioVideoTaskId": "",
        "SessionId": params.get("SessionId", ""),
        "SessionContext": params.get("SessionContext", ""),
    }


def failed(task: Mapping[str, Any], failure: EditFailure) -> dict[str, Any]:
    """:param task: while it ran.
    :param failure: how it failed.
    :return: the task at its end: ``FINISH`` all the same, but with an error.
    """
    return {
        **task,
        "Status": "FINISH",
        "Progress": 100,
        "ErrCode": failure.err_code,
        "ErrCodeExt": failure.err_code_ext,
        "Message": failure.message,
    }


def succeeded(task: Mapping[str, Any], params: Mapping[str, Any], sub_app_id: int) -> dict[str, Any]:
    """:param task: while it ran.
    :param params: of the EditMedia call.
    :param sub_app_id: 0 for the primary application.
    :return: the task at its end, with an output.
    """
    config = params.get("OutputConfig") or {}
    name, suffix = _SUFFIX.get(config.get("Type") or "mp4", _SUFFIX["mp4"])
    output = file_id(task["TaskId"])
    duration = _duration(params)
    return {
        **task,
        "Status": "FINISH",
        "Progress": 100,
        "Message": "SUCCESS",
        "Output": {
            "FileType": suffix,
            "FileUrl": f"http://{sub_app_id or 1250000000}.vod2.myqcloud.com/emulator/{output}/{name}",
            "FileId": output,
            "MediaName": config.get("MediaName") or "emulated",
            "ClassId": config.get("ClassId") or 0,
            "ExpireTime": config.get("ExpireTime") or timestamp(None),
        },
        "MetaData": _meta_data(suffix, duration),
    }


def _duration(params: Mapping[str, Any]) -> float:
    # A source whose end is not given counts ten seconds: nobody here knows the file.
    seconds = 0.0
    for source in params.get("FileInfos") or ():
        start = float(source.get("StartTimeOffset") or 0)
        seconds += max(0.0, float(source.get("EndTimeOffset") or start + 10) - start)
    return seconds or 10.0


def _meta_data(container: str, duration: float) -> dict[str, Any]:
    return {
        "Size": int(duration * 125_000),
        "Container": container,
        "Bitrate": 1_000_000,
        "Height": 720,
        "Width": 1280,
        "Duration": duration,
        "Rotate": 0,
        "VideoStreamSet": [],
        "AudioStreamSet": [],
        "VideoDuration": duration,
        "AudioDuration": duration,
        "Md5": "",
    }
