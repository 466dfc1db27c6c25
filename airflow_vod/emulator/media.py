"""Media files: what DescribeMediaInfos says of them, and the bytes that their URLs open.

Invariant: the size and the MD5 that are told of a file are those of its bytes, which are the same at each reading.

Source: VOD API 2018-07-17, MediaInfo. Made-up content is random and repeats after about a megabyte, so that a byte at a wrong
offset is noticed, and a large file costs no memory.
"""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import md5
from random import Random
from typing import TYPE_CHECKING, Any

from airflow_vod.emulator.content import file_id as derived_id
from airflow_vod.emulator.tasks import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FILE_IDS = 20
"""Per DescribeMediaInfos (documented: N of ``FileIds.N`` is at most 19)."""
PREFIX = "/media/"
"""Of the paths that files are served at."""
ACTION = "media"
"""Stands for the name of an action where faults of requests for files are scripted."""
_PERIOD = 1_048_573  # bytes; a prime, so that it divides no size of a block
_STEP = 256 * 1024  # bytes handed out at once; less than the period
_SECTIONS = {"basicInfo": "BasicInfo", "metaData": "MetaData", "transcodeInfo": "TranscodeInfo"}


@dataclass(frozen=True)
class MediaFile:
    """One media file, or one of its versions."""

    file_id: str
    name: str
    """The last part of its URL's path."""
    size: int
    """Bytes."""
    url: str
    sub_app_id: int = 0
    given: bytes | None = field(default=None, repr=False)
    """Its content; None for made-up content."""
    duration: float = 10.0
    """Seconds."""
    created_at: float = 0.0

    @property
    def suffix(self) -> str:
        """Container format, such as ``mp4``."""
        return self.name.rpartition(".")[2]

    @property
    def content_type(self) -> str:
        """For the HTTP header."""
        return mimetypes.guess_type(self.name)[0] or "application/octet-stream"

    @cached_property
    def md5(self) -> str:
        """MD5 of the content, lower-case hexadecimal."""
        digest = md5(usedforsecurity=False)
        for block in self.read(0, self.size):
            digest.update(block)
        return digest.hexdigest()

    @cached_property
    def etag(self) -> str:
        """Identifies the content; a strong validator in the sense of RFC 9110."""
        return f'"{derived_id(f"{self.file_id}/{self.name}/{self.size}")}"'

    @cached_property
    def _pattern(self) -> memoryview:
        once = Random(self.file_id).randbytes(_PERIOD)  # noqa: S311 - not for cryptography
        return memoryview(once + once[:_STEP])

    def read(self, start: int, end: int) -> Iterator[memoryview]:
        """Read a part of the content, block by block.

        :param start: offset of the first byte.
        :param end: offset behind the last one.
        """
        while start < end:
            length = min(_STEP, end - start)
            if self.given is not None:
                yield memoryview(self.given)[start : start + length]
            else:
                offset = start % _PERIOD
                yield self._pattern[offset : offset + length]
            start += length

    def meta_data(self) -> dict[str, Any]:
        """:return: the schema MediaMetaData."""
        return {
            "Size": self.size,
            "Container": self.suffix,
            "Bitrate": int(self.size * 8 / self.duration),
            "Height": 720,
            "Width": 1280,
            "Duration": self.duration,
            "Rotate": 0,
            "VideoStreamSet": [],
            "AudioStreamSet": [],
            "VideoDuration": self.duration,
            "AudioDuration": self.duration,
            "Md5": self.md5,
        }


class MediaLibrary:
    """The media files of all applications. Not thread-safe: its owner holds a lock."""

    def __init__(self) -> None:
        self.base_url = ""
        """Of the server that serves the files; empty while none is running."""
        self._files: dict[str, MediaFile] = {}
        self._by_path: dict[str, MediaFile] = {}

    def add(
        self,
        name: str,
        *,
        file_id: str = "",
        size: int = 1_250_000,
        content: bytes | None = None,
        sub_app_id: int = 0,
        duration: float = 10.0,
        created_at: float = 0.0,
    ) -> MediaFile:
        """Add a file; it replaces one with the same id.

        :param name: the last part of its URL's path, such as ``f0.mp4``.
        :param file_id: of the file; by default a new one.
        :param size: of made-up content, bytes.
        :param content: the content, if not made up.
        :param sub_app_id: of its application; 0 for the primary one.
        :param duration: in seconds.
        :param created_at: Unix seconds.
        :return: the file.
        """
        file_id = file_id or derived_id(f"media file {len(self._files)}")
        path = f"{PREFIX}{file_id}/{name}"
        size = size if content is None else len(content)
        file = MediaFile(file_id, name, size, self.base_url + path, sub_app_id, content, duration, created_at)
        self._files[file_id] = self._by_path[path] = file
        return file

    def at(self, path: str) -> MediaFile | None:
        """:param path: of a URL.
        :return: the file that it opens.
        """
        return self._by_path.get(path)

    def remove(self, file_id: str) -> None:
        """Delete a file: its URL answers with 404 and its id does not exist.

        :param file_id: of the file.
        """
        file = self._files.pop(file_id)
        del self._by_path[f"{PREFIX}{file_id}/{file.name}"]

    def describe(self, file_id: str, sub_app_id: int, sections: list[str]) -> dict[str, Any] | None:
        """:param file_id: of a file.
        :param sub_app_id: of the application that asks.
        :param sections: ``Filters`` of DescribeMediaInfos; none for everything.
        :return: the schema MediaInfo; None when the application has no such file.
        """
        file = self._files.get(file_id)
        if file is None or file.sub_app_id != sub_app_id:
            return None
        known = {
            "BasicInfo": {
                "Name": file.name.rpartition(".")[0],
                "Description": "",
                "CreateTime": timestamp(file.created_at),
                "UpdateTime": timestamp(file.created_at),
                "ExpireTime": "9999-12-31T23:59:59Z",
                "ClassId": 0,
                "CoverUrl": "",
                "Type": file.suffix,
                "MediaUrl": file.url,
                "Category": "Video",
                "Status": "Normal",
                "StorageClass": "STANDARD",
            },
            "MetaData": file.meta_data(),
            "TranscodeInfo": {"TranscodeSet": [{"Url": file.url, "Definition": 0, **_version(file)}]},
        }
        wanted = {_SECTIONS.get(section) for section in sections} or set(known)
        return {"FileId": file_id, **{name: value if name in wanted else None for name, value in known.items()}}


def _version(file: MediaFile) -> dict[str, Any]:
    about = file.meta_data()
    return {name: about[name] for name in ("Bitrate", "Height", "Width", "Size", "Duration", "Md5", "Container")}
