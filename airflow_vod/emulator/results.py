"""The result of each kind of task: the fields that its detail gets when it succeeds.

Invariant: what a function here returns is of the schema that the vendor documents (VOD API 2018-07-17, the data types
that DescribeTaskDetail names); the values are made up from the request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_vod.emulator.content import file_id
from airflow_vod.emulator.outputs import SECONDS, basic_info, made, meta_data, url_of
from airflow_vod.emulator.tasks import timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_vod.emulator.options import TaskFailure
    from airflow_vod.emulator.outputs import Job

    Result = Callable[[Job], dict[str, Any]]

MEDIA = "FileType FileUrl FileId MediaName ClassId ExpireTime"
STORED = f"StorageMode {MEDIA} MetaData"


def output(fields: str, suffix: str = "mp4") -> Result:
    """:param fields: of the structure ``Output``.
    :param suffix: of the file.
    :return: a result whose output is one file.
    """
    return lambda job: {"Output": made(job, fields, suffix=suffix)}


def media(job: Job) -> dict[str, Any]:
    """:return: one file, and its metadata beside it."""
    return {"Output": made(job, MEDIA), "MetaData": meta_data("mp4", SECONDS)}


def listed(name: str, fields: str, suffix: str = "mp4") -> Result:
    """:param name: of the list in ``Output``.
    :param fields: of each item.
    :param suffix: of the files.
    :return: a result whose output is a list of one file.
    """
    return lambda job: {"Output": {name: [made(job, fields, suffix=suffix)]}}


def values(**fields: Any) -> Result:
    """:param fields: of the structure ``Output``.
    :return: a result that is no file.
    """
    return lambda job: {"Output": dict(fields)}


def edited(job: Job) -> dict[str, Any]:
    """:return: of EditMedia: one file as long as its clips together, in the container asked for."""
    seconds = sum(map(_clip, job.params.get("FileInfos") or ())) or SECONDS
    suffix = "m3u8" if job.output.get("Type") == "hls" else "mp4"
    file = made(job, MEDIA, suffix=suffix, seconds=seconds)
    return {"Output": file, "MetaData": meta_data(suffix, seconds), **_followed(job, "ProcedureName", file["FileId"])}


def _clip(source: Mapping[str, Any]) -> float:
    start = float(source.get("StartTimeOffset") or 0)
    return max(0.0, float(source.get("EndTimeOffset") or start + SECONDS) - start)


def _followed(job: Job, parameter: str, made_file: str) -> dict[str, str]:
    name = job.params.get(parameter) or ""
    followed = job.follow(name, made_file) if name else None
    return {
        "ProcedureTaskId": followed.procedure if followed else "",
        "ReviewAudioVideoTaskId": followed.review if followed else "",
    }


def composed(job: Job) -> dict[str, Any]:
    """:return: of ComposeMedia: one file in the container asked for."""
    suffix = job.output.get("Container") or "mp4"
    return {"Output": made(job, MEDIA, suffix=suffix), "MetaData": meta_data(suffix, SECONDS)}


def split(job: Job) -> dict[str, Any]:
    """:return: of SplitMedia: one file for each segment, each with follow-up tasks of its own."""
    return {"FileInfoSet": [_segment(job, number, each) for number, each in enumerate(job.params["Segments"])]}


def _segment(job: Job, number: int, segment: Mapping[str, Any]) -> dict[str, Any]:
    config = segment.get("OutputConfig") or {}
    file = made(job, MEDIA, suffix="m3u8" if config.get("Type") == "hls" else "mp4", part=str(number))
    file["MediaName"] = config.get("MediaName") or file["MediaName"]
    followed = job.follow(segment.get("ProcedureName") or "", file["FileId"])
    return {
        "Input": {"FileId": job.params["FileId"], **segment},
        "Output": {"FileId": file["FileId"], "MediaBasicInfo": basic_info(job, file)},
        "ProcedureTaskId": followed.procedure,
        "ReviewAudioVideoTaskId": followed.review,
    }


def pulled(job: Job) -> dict[str, Any]:
    """:return: of PullUpload: the file, of the type that its URL names."""
    path = job.params["MediaUrl"].partition("?")[0].rpartition("/")[2]
    suffix = job.params.get("MediaType") or (path.rpartition(".")[2] if "." in path else "mp4")
    file = made(job, MEDIA, suffix=suffix)
    return {
        "FileId": file["FileId"],
        "FileUrl": file["FileUrl"],
        "MediaBasicInfo": basic_info(job, file),
        "MetaData": meta_data(suffix, SECONDS),
        **_followed(job, "Procedure", file["FileId"]),
    }


def generated_video(job: Job) -> dict[str, Any]:
    """:return: of CreateAigcVideoTask: one file, and what the procedure does with it."""
    fields = "StorageMode MediaName ClassId ExpireTime FileType FileUrl FileId MetaData"
    followed = job.follow(job.params.get("Procedure") or "", file_id(job.vod_task_id))
    ids = [followed.procedure] if followed.procedure else []
    return {"Output": {"FileInfos": [made(job, fields)], "ProcedureTaskIds": ids}}


def spoken(job: Job) -> dict[str, Any]:
    """:return: of TextToSpeechAsync: the audio file."""
    file = made(job, "FileUrl FileId", suffix="mp3")
    voice = job.params.get("VoiceId") or ""
    return {"Output": {"AudioUrl": file["FileUrl"], "VoiceId": voice, "ExtInfo": "", "FileId": file["FileId"]}}


_UNITS: Mapping[str, Callable[[Job, str, Mapping[str, Any]], dict[str, Any]]] = {
    "Transcode": lambda job, f, given: {
        "Url": url_of(job, f, f"v.f{given.get('Definition', 0)}.mp4"),
        "Container": "mp4",
        **{name: meta_data("mp4", SECONDS)[name] for name in ("Bitrate", "Height", "Width", "Size", "Duration", "Md5")},
        "VideoStreamSet": [],
        "AudioStreamSet": [],
    },
    "AnimatedGraphics": lambda job, f, given: {
        "Url": url_of(job, f, "animated.gif"),
        "Container": "gif",
        "StartTimeOffset": given.get("StartTimeOffset") or 0.0,
        "EndTimeOffset": given.get("EndTimeOffset") or 1.0,
    },
    "SnapshotByTimeOffset": lambda job, f, given: {
        "PicInfoSet": [
            {"TimeOffset": at, "Url": url_of(job, f, f"snapshot{number}.jpg"), "WaterMarkDefinition": []}
            for number, at in enumerate(given.get("TimeOffsetSet") or [0.0])
        ]
    },
    "SampleSnapshot": lambda job, f, given: {
        "SampleType": "Percent",
        "Interval": 10,
        "ImageUrlSet": [url_of(job, f, f"sample{number}.jpg") for number in range(10)],
    },
    "ImageSprites": lambda job, f, given: {
        "TotalCount": 10,
        "ImageUrlSet": [url_of(job, f, "sprite.jpg")],
        "WebVttUrl": url_of(job, f, "sprite.vtt"),
    },
    "CoverBySnapshot": lambda job, f, given: {"CoverUrl": url_of(job, f, "cover.jpg")},
    "AdaptiveDynamicStreaming": lambda job, f, given: {
        "Package": "hls",
        "DrmType": "",
        "Url": url_of(job, f, "adp.m3u8"),
        "Size": 1_250_000,
    },
}
_PARTS = {"AnimatedGraphics": "AnimatedGraphic", "ImageSprites": "ImageSprite"}
"""Where a sub-task's ``Type`` differs from the name of its field and of its parameter."""


def processed(job: Job, failure: TaskFailure | None) -> dict[str, Any]:
    """:return: of the kind Procedure: one sub-result for each sub-task asked for. Errors stand in them."""
    wanted = job.params.get("MediaProcessTask") or {}
    parts = [
        _sub_result(job, kind, given, failure)
        for kind in _UNITS
        for given in wanted.get(f"{_PARTS.get(kind, kind)}TaskSet") or ()
    ]
    # The code of the task itself is deprecated, but without a sub-task there is no other place for it.
    errors = errors_of(failure)
    itself = {} if parts or failure is None else {name: errors[name] for name in ("ErrCode", "Message")}
    url = job.params.get("Url") or (job.params.get("InputInfo") or {}).get("Url") or ""
    return {
        **itself,
        "FileName": "emulated",
        "FileUrl": url or url_of(job, job.params.get("FileId") or "none", "source.mp4"),
        "MetaData": meta_data("mp4", SECONDS),
        "MediaProcessResultSet": parts,
        "AiContentReviewResultSet": [],
        "AiAnalysisResultSet": [],
        "AiRecognitionResultSet": [],
    }


def _sub_result(job: Job, kind: str, given: Mapping[str, Any], failure: TaskFailure | None) -> dict[str, Any]:
    at = timestamp(job.now)
    definition = {} if kind == "CoverBySnapshot" else {"Definition": given.get("Definition") or 0}
    made_file = job.params.get("FileId") or file_id(job.vod_task_id)
    result = {
        "Status": "FAIL" if failure else "SUCCESS",
        **errors_of(failure),
        "Progress": 100,
        "Input": given,
        "Output": None if failure else {**definition, **_UNITS[kind](job, made_file, given)},
        "BeginProcessTime": at,
        "FinishTime": at,
    }
    return {"Type": kind, f"{_PARTS.get(kind, kind)}Task": result}


def streamed(job: Job, failure: TaskFailure | None) -> dict[str, Any]:
    """:return: of CreateComplexAdaptiveDynamicStreamingTask: one sub-result for each stream. Errors stand in them."""
    sets = []
    for number, given in enumerate(job.params.get("StreamParaSet") or [{}]):
        errors = errors_of(failure)
        del errors["ErrCode"]
        url = url_of(job, job.params.get("FileId") or "none", f"adp.{number}.m3u8")
        made_stream = {"Definition": given.get("Definition") or 0, "Format": "HLS", "DrmType": "", "Url": url}
        status = "FAIL" if failure else "SUCCESS"
        result = {"Status": status, **errors, "Progress": 100, "Input": {"StreamPara": given}}
        sets.append({**result, "Output": None if failure else made_stream})
    return {"ComplexAdaptiveDynamicStreamingTaskResultSet": sets}


def processed_by_mps(job: Job, failure: TaskFailure | None) -> dict[str, Any]:
    """:return: of ProcessMediaByMPS: one sub-result for each sub-task asked for; their error codes are strings."""
    wanted = [name for name in job.params if name.endswith("Task")] or ["AiAnalysisTask"]
    file = made(job, "FileId FileUrl")
    files = [{"FileType": "Video", "StorageMode": "Permanent", "FileId": file["FileId"], "Url": file["FileUrl"]}]
    errors = errors_of(failure)
    return {
        "SubTaskSet": [
            {
                "TaskType": name.removesuffix("Task"),
                "Status": "FAIL" if failure else "SUCCESS",
                "ErrCode": str(errors["ErrCode"]),
                "Message": errors["Message"],
                "Input": "",
                "Output": None if failure else {"OutputFiles": files, "OutputText": ""},
            }
            for name in wanted
        ]
    }


def errors_of(failure: TaskFailure | None) -> dict[str, Any]:
    """:param failure: None for a success.
    :return: the fields that say how a task or a part of it went.
    """
    if failure is None:
        return {"ErrCode": 0, "ErrCodeExt": "", "Message": "SUCCESS"}
    return {"ErrCode": failure.err_code, "ErrCodeExt": failure.err_code_ext, "Message": failure.message}
