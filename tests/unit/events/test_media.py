"""What is read of VOD's description of media files; the samples are made from the official SDK's models."""

from __future__ import annotations

from typing import Any

import pytest
from tencentcloud.vod.v20180717 import models

from airflow_vod.events.media import MediaFileInfo, MediaVersion, read_media_info
from tests.samples import is_plain_json


def vendor(structure: Any, **values: Any) -> Any:
    """An object of the vendor's schema; a name that it does not have fails the test."""
    made = structure()
    for name, value in values.items():
        assert hasattr(made, name)
        setattr(made, name, value)
    return made


MEASURES = {"Size": 9, "Width": 16, "Height": 8, "Bitrate": 7, "Duration": 1.5, "Md5": "AB" * 16}


def test_everything() -> None:
    """Each field of the schema reaches the field that stands for it."""
    transcoded = vendor(models.MediaTranscodeItem, Url="http://h/v.mp4", Definition=20, Container="mp4", **MEASURES)
    adaptive = vendor(
        models.AdaptiveDynamicStreamingInfoItem, Url="http://h/a.m3u8", Definition=12, Package="hls", Size=5
    )
    basic = vendor(
        models.MediaBasicInfo,
        Name="holiday",
        MediaUrl="http://h/f0.mp4",
        CoverUrl="http://h/c.jpg",
        Type="mp4",
        Category="Video",
        CreateTime="2026-01-01T00:00:00Z",
        ExpireTime="9999-12-31T23:59:59Z",
    )
    info = vendor(
        models.MediaInfo,
        FileId="528",
        BasicInfo=basic,
        MetaData=vendor(models.MediaMetaData, **MEASURES),
        TranscodeInfo=vendor(models.MediaTranscodeInfo, TranscodeSet=[transcoded]),
        AdaptiveDynamicStreamingInfo=vendor(
            models.MediaAdaptiveDynamicStreamingInfo, AdaptiveDynamicStreamingSet=[adaptive]
        ),
    )
    measures = {"size": 9, "width": 16, "height": 8, "bitrate": 7, "duration": 1.5, "md5": "ab" * 16}
    read = read_media_info(info._serialize())
    assert read == MediaFileInfo(
        file_id="528",
        name="holiday",
        url="http://h/f0.mp4",
        cover_url="http://h/c.jpg",
        type="mp4",
        category="Video",
        created_at="2026-01-01T00:00:00Z",
        expires_at="9999-12-31T23:59:59Z",
        versions=(
            MediaVersion("http://h/v.mp4", 20, "mp4", **measures),  # type: ignore[arg-type]
            MediaVersion("http://h/a.m3u8", 12, "hls", size=5),
        ),
        **measures,  # type: ignore[arg-type]
    )
    assert is_plain_json(read.to_dict())


@pytest.mark.parametrize(
    "info",
    [
        {},
        {"BasicInfo": None, "MetaData": None, "TranscodeInfo": None},
        {"BasicInfo": "x", "MetaData": [], "TranscodeInfo": {"TranscodeSet": None}},
        {
            "BasicInfo": {"Name": ""},
            "MetaData": {"Size": "9", "Duration": True},
            "TranscodeInfo": {"TranscodeSet": ["x"]},
        },
    ],
)
def test_what_is_missing_is_none(info: dict[str, Any]) -> None:
    """What VOD does not say, or says in another form, is None, whatever it is."""
    assert read_media_info({"FileId": "528", **info}) == MediaFileInfo("528")
