"""EditMedia tasks: splicing and clipping, the successor of the tasks that ConcatComplete announces.

Invariant: the detail of a task and the event that announces its end are the same value, of the schema EditMediaTask (VOD API
2018-07-17) with every field present. Nothing is actually edited, and a ``ProcedureName`` starts no second task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow_vod.emulator.content import file_id
from airflow_vod.emulator.tasks import timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_vod.emulator.options import EditFailure
    from airflow_vod.emulator.parameters import EditMedia

PRIMARY_APP_ID = 1250000000
"""Stands in for the id of the primary application in task ids and URLs."""
_DEFAULT_SECONDS = 10.0  # length of a source whose end is not given: the emulator does not know the file
_SUFFIX = {"mp4": ("f0.mp4", "mp4"), "hls": ("playlist.f6.m3u8", "m3u8")}


def new_task_id(sub_app_id: int) -> str:
    """:param sub_app_id: 0 for the primary application.
    :return: a new id in the vendor's format.
    """
    return f"{sub_app_id or PRIMARY_APP_ID}-EditMedia-{uuid4().hex}"


def running(vod_task_id: str, params: EditMedia) -> dict[str, Any]:
    """:param vod_task_id: of the task.
    :param params: of the EditMedia call.
    :return: the detail of the task while it is running.
    """
    return {
        "TaskId": vod_task_id,
        "Status": "PROCESSING",
        "ErrCode": 0,
        "ErrCodeExt": "",
        "Message": "",
        "Progress": 0,
        "Input": {
            "InputType": params.input_type,
            "FileInfoSet": params.file_infos,
            "StreamInfoSet": params.stream_infos,
        },
        "Output": None,
        "MetaData": None,
        "ProcedureTaskId": "",
        "ReviewAudioVideoTaskId": "",
        "SessionId": params.session_id,
        "SessionContext": params.session_context,
    }


def failed(task: Mapping[str, Any], failure: EditFailure) -> dict[str, Any]:
    """:param task: its detail while it was running.
    :param failure: how it failed.
    :return: its final detail: ``FINISH`` as well, but with an error.
    """
    return {
        **task,
        "Status": "FINISH",
        "Progress": 100,
        "ErrCode": failure.err_code,
        "ErrCodeExt": failure.err_code_ext,
        "Message": failure.message,
    }


def succeeded(task: Mapping[str, Any], params: EditMedia, sub_app_id: int) -> dict[str, Any]:
    """:param task: its detail while it was running.
    :param params: of the EditMedia call.
    :param sub_app_id: 0 for the primary application.
    :return: its final detail, with an output.
    """
    config = params.output_config or {}
    name, suffix = _SUFFIX.get(config.get("Type") or "mp4", _SUFFIX["mp4"])
    output = file_id(task["TaskId"])
    return {
        **task,
        "Status": "FINISH",
        "Progress": 100,
        "Message": "SUCCESS",
        "Output": {
            "FileType": suffix,
            "FileUrl": f"http://{sub_app_id or PRIMARY_APP_ID}.vod2.myqcloud.com/emulator/{output}/{name}",
            "FileId": output,
            "MediaName": config.get("MediaName") or "emulated",
            "ClassId": config.get("ClassId") or 0,
            "ExpireTime": config.get("ExpireTime") or timestamp(None),
        },
        "MetaData": _meta_data(suffix, _duration(params)),
    }


def _duration(params: EditMedia) -> float:
    seconds = 0.0
    for source in params.file_infos or ():
        start = float(source.get("StartTimeOffset") or 0)
        seconds += max(0.0, float(source.get("EndTimeOffset") or start + _DEFAULT_SECONDS) - start)
    return seconds or _DEFAULT_SECONDS


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
