"""What a task makes: files in the vendor's many shapes, and the metadata of a media file.

Invariant: the same task makes the same files, however often its result is asked for. Nothing is actually processed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_vod.emulator.content import file_id
from airflow_vod.emulator.tasks import timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PRIMARY_APP_ID = 1250000000
"""Stands in for the id of the primary application in task ids and URLs."""
SECONDS = 10.0
"""Length of a media file about which nothing is known."""
TEMPORARY = 7 * 86400.0
"""Seconds that a file in temporary storage is kept (VOD API 2018-07-17, AIGC outputs: about seven days)."""
_NAMES = {"mp4": "f0.mp4", "m3u8": "playlist.f6.m3u8"}


@dataclass(frozen=True, slots=True)
class FollowUps:
    """The tasks that a task flow has started."""

    procedure: str = ""
    review: str = ""
    knowledge: tuple[str, ...] = ()


def no_follow_ups(procedure: str, file_id: str) -> FollowUps:
    """:return: nothing, whatever the task flow: the task has not ended."""
    return FollowUps()


@dataclass(frozen=True, slots=True)
class Job:
    """One task, as far as its result depends on it."""

    vod_task_id: str
    params: Mapping[str, Any]
    """As given, by their names on the wire."""
    sub_app_id: int
    now: float
    """Unix seconds."""
    follow: Callable[[str, str], FollowUps] = no_follow_ups
    """Starts what the task flow of this name does with the file of this id."""

    @property
    def output(self) -> Mapping[str, Any]:
        """What the request wants of the output."""
        for name in ("OutputConfig", "Output", "TargetInfo"):
            if isinstance(self.params.get(name), dict):
                return self.params[name]
        return self.params


def app_id(sub_app_id: int) -> int:
    """:param sub_app_id: 0 for the primary application.
    :return: the id that stands in task ids and host names.
    """
    return sub_app_id or PRIMARY_APP_ID


def url_of(job: Job, output: str, name: str) -> str:
    """:param job: the task.
    :param output: the file's id.
    :param name: of the file.
    :return: where the file would be.
    """
    return f"http://{app_id(job.sub_app_id)}.vod2.myqcloud.com/emulator/{output}/{name}"


def made(job: Job, fields: str, *, suffix: str = "mp4", seconds: float = SECONDS, part: str = "") -> dict[str, Any]:
    """Describe a file that a task makes.

    :param job: the task.
    :param fields: those that the structure has, separated by spaces.
    :param suffix: of the file.
    :param seconds: its length.
    :param part: tells several files of one task apart.
    :return: the structure.
    """
    wanted = fields.split()
    config, output = job.output, file_id(job.vod_task_id + part)
    temporary = "StorageMode" in wanted and config.get("StorageMode") != "Permanent"
    expires = timestamp(job.now + TEMPORARY) if temporary else config.get("ExpireTime") or timestamp(None)
    url = url_of(job, output, _NAMES.get(suffix, f"f0.{suffix}"))
    everything = {
        "FileType": suffix,
        "FileUrl": url,
        "PreviewFileUrl": url_of(job, output, "preview.jpg"),
        "FileId": "" if temporary and "FileId" in wanted else output,
        "MediaName": config.get("MediaName") or config.get("FileName") or "emulated",
        "ClassId": config.get("ClassId") or 0,
        "ExpireTime": expires,
        "StorageMode": "Temporary" if temporary else "Permanent",
        "MetaData": meta_data(suffix, seconds),
        "Duration": seconds,
    }
    return {name: everything[name] for name in wanted}


def meta_data(container: str, seconds: float) -> dict[str, Any]:
    """:param container: such as ``mp4``.
    :param seconds: length of the media.
    :return: MediaMetaData (VOD API 2018-07-17).
    """
    return {
        "Size": int(seconds * 125_000),
        "Container": container,
        "Bitrate": 1_000_000,
        "Height": 720,
        "Width": 1280,
        "Duration": seconds,
        "Rotate": 0,
        "VideoStreamSet": [],
        "AudioStreamSet": [],
        "VideoDuration": seconds,
        "AudioDuration": seconds,
        "Md5": "",
    }


def basic_info(job: Job, file: Mapping[str, Any]) -> dict[str, Any]:
    """:param job: the task.
    :param file: that it made.
    :return: MediaBasicInfo (VOD API 2018-07-17).
    """
    at = timestamp(job.now)
    return {
        "Name": file["MediaName"],
        "Description": "",
        "CreateTime": at,
        "UpdateTime": at,
        "ExpireTime": file["ExpireTime"],
        "ClassId": file["ClassId"],
        "ClassName": "",
        "ClassPath": "",
        "CoverUrl": job.params.get("CoverUrl") or "",
        "Type": file["FileType"],
        "MediaUrl": file["FileUrl"],
        "TagSet": [],
        "StorageRegion": job.params.get("StorageRegion") or "ap-chongqing",
        "Category": "Video",
        "Status": "Normal",
        "StorageClass": "STANDARD",
    }
