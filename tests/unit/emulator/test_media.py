"""Media files of the emulator, over HTTP and through the official SDK."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse, IncompleteRead, RemoteDisconnected

import pytest
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.vod.v20180717 import models
from tencentcloud.vod.v20180717.vod_client import VodClient

from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.emulator.media import MediaFile

SIZE = 3_000_001


@pytest.fixture
def vod() -> Iterator[Emulator]:
    """An emulator without protection."""
    with Emulator(options=EmulatorOptions(serve_media=True, task_seconds=0.0)) as emulator:
        yield emulator


@pytest.fixture
def sdk(vod: Emulator) -> VodClient:
    """The official client."""
    profile = ClientProfile(httpProfile=HttpProfile(protocol="http", endpoint=f"{vod.host}:{vod.port}"))
    return VodClient(Credential(vod.secret_id, vod.secret_key), "", profile)


def ask(vod: Emulator, file: MediaFile, method: str = "GET", **headers: str) -> HTTPResponse:
    """Request a file."""
    connection = HTTPConnection(vod.host, vod.port)
    connection.request(
        method, file.url.removeprefix(vod.endpoint), headers={k.replace("_", "-"): v for k, v in headers.items()}
    )
    return connection.getresponse()


def test_a_whole_file(vod: Emulator) -> None:
    """A file has the size, the MD5 and the content that are told of it."""
    file = vod.add_media("f0.mp4", size=SIZE)
    response = ask(vod, file)
    body = response.read()
    assert (response.status, response.headers["content-type"], len(body)) == (200, "video/mp4", SIZE)
    assert hashlib.md5(body).hexdigest() == file.md5
    assert len({body[offset : offset + 16] for offset in range(0, 1_000_000, 4096)}) > 200


def test_given_content(vod: Emulator) -> None:
    """A file may have the content that a test gives it, even none."""
    assert ask(vod, vod.add_media("a.m3u8", content=b"#EXTM3U")).read() == b"#EXTM3U"
    assert ask(vod, vod.add_media("empty.mp4", content=b"")).read() == b""


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=2999990-", 2999990, SIZE),
        ("bytes=-5", SIZE - 5, SIZE),
        ("bytes=5-99999999", 5, SIZE),
    ],
)
def test_a_part(vod: Emulator, text: str, start: int, end: int) -> None:
    """A range is served as asked for, with its place in the file."""
    file = vod.add_media(size=SIZE)
    whole = ask(vod, file).read()
    response = ask(vod, file, range=text)
    assert response.status == 206
    assert response.headers["content-range"] == f"bytes {start}-{end - 1}/{SIZE}"
    assert response.read() == whole[start:end]


def test_a_part_of_another_file(vod: Emulator) -> None:
    """A range is served only if the file is the one that the client knows, and exists."""
    file = vod.add_media(size=100)
    etag = ask(vod, file, "HEAD").headers["etag"]
    assert ask(vod, file, range="bytes=10-", if_range=etag).status == 206
    assert ask(vod, file, range="bytes=10-", if_range='"other"').status == 200
    assert ask(vod, file, range="bytes=100-").status == 416


def test_a_server_without_ranges() -> None:
    """As an option, the whole file is served whatever part is asked for."""
    with Emulator(options=EmulatorOptions(media_ranges=False)) as vod:
        response = ask(vod, vod.add_media(size=100), range="bytes=10-")
        assert (response.status, len(response.read()), response.headers["accept-ranges"]) == (200, 100, None)


def test_what_does_not_exist(vod: Emulator) -> None:
    """A file that was deleted is gone for HTTP and for the API."""
    file = vod.add_media()
    vod.api.media.remove(file.file_id)
    assert ask(vod, file).status == 404


def test_faults(vod: Emulator) -> None:
    """Requests for files can be hit by faults as calls can."""
    file = vod.add_media(size=SIZE)
    vod.faults.script({"media": ["truncate", "drop_request", "http_500"]})
    with pytest.raises(IncompleteRead) as broken:
        ask(vod, file).read()
    assert len(broken.value.partial) == SIZE // 2
    with pytest.raises((RemoteDisconnected, ConnectionResetError)):
        ask(vod, file)
    assert ask(vod, file).status == 500
    assert ask(vod, file).status == 200


def test_protection() -> None:
    """With a key nothing is served without a signature, not even what does not exist."""
    with Emulator(options=EmulatorOptions(playback_key="24FEQmTzro4V5u3D5epW")) as vod:
        response = ask(vod, vod.add_media())
        assert (response.status, response.read()) == (403, b"not signed")
        assert vod.api.media_requests()[-1][1] == "not signed"


def test_describe(vod: Emulator, sdk: VodClient) -> None:
    """The official SDK reads what is known of files, each once, and which do not exist here."""
    file, foreign = vod.add_media("f0.mp4", size=1000), vod.add_media(sub_app_id=7)
    request = models.DescribeMediaInfosRequest()
    request.FileIds = [file.file_id, "nothing", foreign.file_id, file.file_id]
    response = sdk.DescribeMediaInfos(request)
    [info] = response.MediaInfoSet
    assert (info.FileId, info.BasicInfo.MediaUrl, info.MetaData.Size) == (file.file_id, file.url, 1000)
    assert info.TranscodeInfo.TranscodeSet[0].Md5 == info.MetaData.Md5 == file.md5
    assert response.NotExistFileIdSet == ["nothing", foreign.file_id]
    request.Filters = ["metaData"]
    [info] = sdk.DescribeMediaInfos(request).MediaInfoSet
    assert info.BasicInfo is None
    assert info.MetaData.Size == 1000


@pytest.mark.parametrize("number", [0, 21])
def test_describe_too_many(sdk: VodClient, number: int) -> None:
    """One to twenty files can be asked about at once."""
    request = models.DescribeMediaInfosRequest()
    request.FileIds = [str(each) for each in range(number)]
    with pytest.raises(TencentCloudSDKException, match="InvalidParameterValue"):
        sdk.DescribeMediaInfos(request)


def test_what_an_edit_makes_can_be_downloaded(vod: Emulator, sdk: VodClient) -> None:
    """The output of an edit is a media file with the URL, the size and the MD5 that its event tells."""
    request = models.EditMediaRequest()
    request._deserialize({"InputType": "File", "FileInfos": [{"FileId": "1"}]})
    sdk.EditMedia(request)
    [event] = sdk.PullEvents(models.PullEventsRequest()).EventSet
    output, about = event.EditMediaCompleteEvent.Output, event.EditMediaCompleteEvent.MetaData
    body = ask(vod, vod.api.media.at(output.FileUrl.removeprefix(vod.endpoint))).read()
    assert (len(body), hashlib.md5(body).hexdigest()) == (about.Size, about.Md5)
