"""Media files as VOD describes them: name, length, versions and where each can be downloaded.

Invariant: what VOD does not say is None or empty, never a guess.

Source: VOD API 2018-07-17, MediaInfo (DescribeMediaInfos).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

FILTERS = ("basicInfo", "metaData", "transcodeInfo", "adaptiveDynamicStreamingInfo")
"""The sections of MediaInfo that are read here (``Filters`` of DescribeMediaInfos)."""


@dataclass(frozen=True, slots=True)
class MediaVersion:
    """One version of a media file.

    :param url: where it can be downloaded.
    :param definition: id of the template that it was made with; 0 for the original.
    :param type: container or packaging, such as ``mp4`` or ``hls``.
    :param duration: seconds.
    :param size: bytes; of an HLS version, all of its parts.
    :param width: pixels.
    :param height: pixels.
    :param bitrate: bit/s.
    :param md5: lower-case hexadecimal.
    """

    url: str | None
    definition: int | None
    type: str | None = None
    duration: float | None = None
    size: int | None = None
    width: int | None = None
    height: int | None = None
    bitrate: int | None = None
    md5: str | None = None


@dataclass(frozen=True, slots=True)
class MediaFileInfo:
    """A media file.

    :param file_id: its id.
    :param name: as it is shown in the VOD console.
    :param url: where the original can be downloaded.
    :param cover_url: of its cover image.
    :param type: container, such as ``mp4``.
    :param category: ``Video``, ``Audio`` or ``Image``.
    :param created_at: ISO 8601, in UTC.
    :param expires_at: when VOD deletes it, ISO 8601; ``9999-12-31T23:59:59Z`` for never.
    :param duration: seconds.
    :param size: bytes.
    :param width: pixels.
    :param height: pixels.
    :param bitrate: bit/s.
    :param md5: lower-case hexadecimal; VOD knows it only after DescribeFileAttributes.
    :param versions: the original, transcoded and adaptive versions, as far as there are any.
    """

    file_id: str
    name: str | None = None
    url: str | None = None
    cover_url: str | None = None
    type: str | None = None
    category: str | None = None
    created_at: str | None = None
    expires_at: str | None = None
    duration: float | None = None
    size: int | None = None
    width: int | None = None
    height: int | None = None
    bitrate: int | None = None
    md5: str | None = None
    versions: tuple[MediaVersion, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the form that goes into XCom: the fields of this class by name, JSON primitives only."""
        return {**asdict(self), "versions": [asdict(version) for version in self.versions]}


def read_media_info(info: Mapping[str, Any]) -> MediaFileInfo:
    """Read one item of ``MediaInfoSet``.

    :param info: as it came.
    :return: the file; whatever is missing or malformed in `info` is None.
    """
    basic, about = _object(info.get("BasicInfo")), _object(info.get("MetaData"))
    return MediaFileInfo(
        file_id=str(info.get("FileId") or ""),
        name=_text(basic.get("Name")),
        url=_text(basic.get("MediaUrl")),
        cover_url=_text(basic.get("CoverUrl")),
        type=_text(basic.get("Type")),
        category=_text(basic.get("Category")),
        created_at=_text(basic.get("CreateTime")),
        expires_at=_text(basic.get("ExpireTime")),
        **_measures(about),
        versions=(
            *(_version(item, "Container") for item in _items(info, "TranscodeInfo", "TranscodeSet")),
            *(
                _version(item, "Package")
                for item in _items(info, "AdaptiveDynamicStreamingInfo", "AdaptiveDynamicStreamingSet")
            ),
        ),
    )


def _version(item: Mapping[str, Any], kind: str) -> MediaVersion:
    definition = _number(item.get("Definition"))
    return MediaVersion(
        url=_text(item.get("Url")),
        definition=int(definition) if definition is not None else None,
        type=_text(item.get(kind)),
        **_measures(item),
    )


def _measures(about: Mapping[str, Any]) -> dict[str, Any]:
    names = {"size": "Size", "width": "Width", "height": "Height", "bitrate": "Bitrate"}
    whole = {key: int(number) if (number := _number(about.get(name))) else None for key, name in names.items()}
    md5 = _text(about.get("Md5"))
    return {**whole, "duration": _number(about.get("Duration")), "md5": md5.lower() if md5 else None}


def _items(info: Mapping[str, Any], section: str, name: str) -> list[Mapping[str, Any]]:
    items = _object(info.get(section)).get(name)
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
