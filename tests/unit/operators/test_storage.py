"""Files from VOD to a storage, run by Airflow against the emulator: what arrives, what does not, and what is left."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_vod.emulator import EmulatorOptions
from airflow_vod.emulator.media import MediaFile
from airflow_vod.exceptions import MediaError, ResultError, VodSettingsError
from airflow_vod.operators.storage import VodToObjectStorageOperator
from airflow_vod.sensors.vod import VodTaskSensor
from airflow_vod.tencent.signing import sign
from tests.airflow_fixtures import SUB_APP_ID, Vod
from tests.dag_runs import DagRun, run_dag

pytestmark = pytest.mark.usefixtures("airflow_db")

KEY = "24FEQmTzro4V5u3D5epW"
SIZE = 3_000_001


@pytest.fixture
def vod_options() -> EmulatorOptions:
    """A domain with hotlink protection, and edits whose outputs can be downloaded."""
    return EmulatorOptions(hold=0.2, task_seconds=0.0, serve_media=True, playback_key=KEY)


def add(vod: Vod, name: str = "f0.mp4", **more: Any) -> MediaFile:
    """Put a file into the application."""
    return vod.emulator.add_media(name, sub_app_id=SUB_APP_ID, **{"size": SIZE} | more)


def result(*files: MediaFile, **more: Any) -> dict[str, Any]:
    """What a sensor returns of a task that made these files."""
    items = [
        {
            **{"file_id": file.file_id, "url": file.url, "type": file.suffix, "kind": "EditMedia"},
            "metadata": {"size": file.size, "md5": file.md5},
            **more,
        }
        for file in files
    ]
    return {"vod_task_id": "t", "event_type": "EditMediaComplete", "outcome": "succeeded", "files": items}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where copies go; the operator makes it."""
    return tmp_path / "copies"


def fetch(folder: Path, **arguments: Any) -> DagRun:
    """Run the operator alone."""
    arguments = {"allow_private_addresses": True, "destination": f"file://{folder}"} | arguments
    return run_dag(lambda: VodToObjectStorageOperator(task_id="fetch", **arguments))


def execute(folder: Path, **arguments: Any) -> list[str]:
    """Run the operator without Airflow around it."""
    arguments = {"allow_private_addresses": True, "destination": f"file://{folder}"} | arguments
    ti = SimpleNamespace(xcom_push=lambda key, value: None)
    return VodToObjectStorageOperator(task_id="fetch", **arguments).execute({"ti": ti})  # type: ignore[typeddict-item]


def left(folder: Path) -> list[str]:
    """All files in a folder, however deep."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def md5_of(path: str | Path) -> str:
    """The MD5 of a local file."""
    return hashlib.md5(Path(str(path).removeprefix("file://")).read_bytes()).hexdigest()


# What arrives


def test_files_arrive(vod: Vod, folder: Path) -> None:
    """Each file of a result is copied, byte for byte, and its path returned in VOD's order."""
    files = [add(vod), add(vod, "playback.webm", size=5), add(vod, "empty.bin", content=b"")]
    run = fetch(folder, result=result(*files))
    assert run.state == "success", run.error("fetch")
    assert left(folder) == sorted(f"{file.file_id}/{file.name}" for file in files)
    assert [md5_of(path) for path in run.xcom("fetch")] == [file.md5 for file in files]
    pushed = run.xcom("fetch", "files")
    assert [(each["path"], each["size"]) for each in pushed] == list(zip(run.xcom("fetch"), [SIZE, 5, 0], strict=True))
    assert {key: pushed[0][key] for key in ("url", "file_id", "kind", "type")} == {
        **{"url": files[0].url, "file_id": files[0].file_id},
        **{"kind": "EditMedia", "type": "mp4"},
    }


def test_urls_alone(vod: Vod, folder: Path) -> None:
    """URLs can be given without a result: one, several, mapped, and signed ones."""
    files = [add(vod, size=10), add(vod, size=20)]
    signed = sign(files[0].url, KEY, valid_for=60)
    assert len(fetch(folder / "one", urls=signed).xcom("fetch")) == 1
    assert len(fetch(folder / "two", urls=[file.url for file in files]).xcom("fetch")) == 2
    fixed = {"allow_private_addresses": True, "destination": f"file://{folder / 'mapped'}"}
    run = run_dag(
        lambda: VodToObjectStorageOperator.partial(task_id="fetch", **fixed).expand(urls=[f.url for f in files])
    )
    assert run.state == "success"
    assert left(folder / "mapped") == sorted(f"{file.file_id}/f0.mp4" for file in files)


def test_a_splice_end_to_end(vod: Vod, folder: Path) -> None:
    """A DAG waits for a splice and fetches what was made, mapped, to a path made of templates."""
    client = vod_client()
    ids = [
        client.call("EditMedia", {"InputType": "File", "FileInfos": [{"FileId": str(n)}]})["TaskId"] for n in range(2)
    ]

    def define() -> None:
        sensor = VodTaskSensor.partial(task_id="wait", timeout=60).expand(vod_task_id=ids)
        VodToObjectStorageOperator(
            task_id="fetch",
            result=sensor.output,
            destination=f"file://{folder}/{{{{ dag.dag_id }}}}",
            file_name="{index}-{file_id}.{type}",
            file_types="{{ 'mp4' }}",
            allow_private_addresses=True,
        )

    run = run_dag(define)
    assert run.state == "success", run.error("fetch")
    names = left(folder / "dag")
    assert [name[0] for name in names] == ["0", "1"]
    assert {md5_of(path) for path in run.xcom("fetch")} == {
        info["MetaData"]["Md5"] for info in infos(client, [name[2:].partition(".")[0] for name in names])
    }


def vod_client() -> Any:
    """A client of the connection."""
    from airflow_vod.hooks.vod import VodHook

    return VodHook().get_client()


def infos(client: Any, file_ids: list[str]) -> list[dict[str, Any]]:
    """What the emulator's API says of files."""
    return list(client.call("DescribeMediaInfos", {"FileIds": file_ids})["MediaInfoSet"])


def test_a_url_that_is_missing(vod: Vod, folder: Path) -> None:
    """A file of which the event names only the id is fetched from where VOD says it is."""
    file = add(vod)
    run = fetch(folder, result=result(file, url=None))
    assert [md5_of(path) for path in run.xcom("fetch")] == [file.md5]


def test_a_path_object(vod: Vod, folder: Path) -> None:
    """The destination may be an ObjectStoragePath."""
    run = fetch(folder, urls=add(vod).url, destination=ObjectStoragePath(f"file://{folder}"))
    assert len(left(folder)) == 1, run.error("fetch")


def test_an_earlier_copy(vod: Vod, folder: Path) -> None:
    """A copy of an earlier try is replaced."""
    file = add(vod, size=10)
    for _ in range(2):
        assert fetch(folder, urls=file.url).state == "success"
    assert left(folder) == [f"{file.file_id}/f0.mp4"]


@pytest.mark.parametrize("faults", [["truncate"] * 3, ["http_500", "drop_request", "truncate"]], ids=["cut", "errors"])
@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no ranges"])
def test_a_connection_that_breaks(
    folder: Path, monkeypatch: pytest.MonkeyPatch, faults: list[str], ranges: bool
) -> None:
    """The copy is complete and right, however often the connection breaks; what came is asked for again only if it must be."""
    from airflow_vod.emulator import Emulator
    from airflow_vod.operators.fetching import Fetcher

    monkeypatch.setattr(Fetcher, "_pause", lambda self, seconds: None)
    with Emulator(options=EmulatorOptions(media_ranges=ranges, playback_key=KEY)) as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_VOD_DEFAULT", emulator.airflow_connection())
        file = emulator.add_media(size=SIZE * 5)
        emulator.faults.script({"media": faults})
        run = fetch(folder, result=result(file))
        assert run.state == "success", run.error("fetch")
        assert [md5_of(path) for path in run.xcom("fetch")] == [file.md5]
        assert len(emulator.api.media_requests()) == 4
        assert [objection for _, objection in emulator.api.media_requests()] == [""] * 4


# What does not arrive


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"metadata": {"size": SIZE + 1}}, f"has {SIZE} bytes, but {SIZE + 1} by VOD's account"),
        ({"metadata": {"md5": "0" * 32}}, f"but {'0' * 32} by VOD's account"),
    ],
    ids=["size", "md5"],
)
def test_another_file_than_vod_describes(vod: Vod, folder: Path, more: dict[str, Any], words: str) -> None:
    """A file of another size or MD5 than VOD tells is not kept, and an earlier copy stays."""
    file = add(vod)
    earlier = folder / file.file_id / "f0.mp4"
    earlier.parent.mkdir(parents=True)
    earlier.write_text("earlier")
    error = fetch(folder, result=result(file, **more)).error("fetch")
    assert isinstance(error, MediaError)
    assert words in str(error)
    assert left(folder) == [f"{file.file_id}/f0.mp4"]
    assert earlier.read_text() == "earlier"


def test_a_playlist_is_not_measured(vod: Vod, folder: Path) -> None:
    """VOD counts all parts of a playlist; the playlist alone is copied, and the log says so."""
    file = add(vod, "playlist.m3u8", content=b"#EXTM3U\n")
    run = fetch(folder, result=result(file, metadata={"size": 9_999_999, "md5": "0" * 32}))
    assert run.state == "success"
    assert left(folder) == [f"{file.file_id}/playlist.m3u8"]


def test_a_file_that_stops_coming(vod: Vod, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After five requests that bring nothing the task fails; nothing partial is left, also of others in progress."""
    from airflow_vod.operators.fetching import Fetcher

    monkeypatch.setattr(Fetcher, "_pause", lambda self, seconds: None)
    files = [add(vod), add(vod)]
    vod.emulator.faults.chaos(1, {"http_500": 1.0}, ["media"])
    error = fetch(folder, result=result(*files)).error("fetch")
    assert isinstance(error, MediaError)
    assert "cannot be read beyond byte 0: HTTPError (HTTP 500), 5 times in a row" in str(error)
    assert left(folder) == []


@pytest.mark.parametrize(
    ("secret", "signed_for", "words"),
    [
        (
            None,
            None,
            "It was not signed: if the domain has hotlink protection by key, give the connection its playback_secret",
        ),
        ("another0Key", None, "It was signed: check playback_secret"),
        (None, -10, "a URL that came with a signature of its own may have expired"),
    ],
    ids=["unsigned", "another key", "expired"],
)
def test_a_domain_that_refuses(
    vod: Vod, folder: Path, secret: str | None, signed_for: float | None, words: str
) -> None:
    """Without a valid signature VOD refuses, and the error says what to check, without showing a signature."""
    url = add(vod).url
    if signed_for:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("time.time", lambda: 1_000_000_000.0)
            url = sign(url, KEY, valid_for=60)
    extra = {"sub_app_id": SUB_APP_ID, **({"playback_secret": secret} if secret else {})}
    vod.connect(extra=extra)
    error = fetch(folder, urls=url).error("fetch")
    assert isinstance(error, MediaError)
    assert "was refused with HTTP 403" in str(error)
    assert words in str(error)
    assert "sign=" not in str(error)
    assert left(folder) == []


def test_a_file_that_is_gone(vod: Vod, folder: Path) -> None:
    """A file that VOD does not have any more fails the task, with the reason that is most likely."""
    file = add(vod)
    vod.emulator.api.media.remove(file.file_id)
    assert "temporary AIGC outputs do so after about 7 days" in str(fetch(folder, urls=file.url).error("fetch"))
    error = fetch(folder, result=result(file, url=None)).error("fetch")
    assert isinstance(error, ResultError)
    assert "VOD has no such file any more" in str(error)


def test_private_addresses(vod: Vod, folder: Path) -> None:
    """Unless it is allowed, nothing is requested from an address that is not public, and the error says how to allow it."""
    error = fetch(folder, urls=add(vod).url, allow_private_addresses=False).error("fetch")
    assert isinstance(error, MediaError)
    assert "127.0.0.1 has the address 127.0.0.1, which is private or reserved" in str(error)
    assert "allow_private_addresses=True" in str(error)
    assert vod.emulator.api.media_requests() == []
    assert left(folder) == []


def test_one_failure_ends_all(vod: Vod, folder: Path) -> None:
    """When one file fails, those in progress are given up, and those that have not begun are not requested."""
    files = [add(vod, size=400_000_000) for _ in range(3)]
    gone = add(vod)
    vod.emulator.api.media.remove(gone.file_id)
    run = fetch(folder, urls=[gone.url, *(file.url for file in files)], files_at_once=2)
    assert "HTTP 404" in str(run.error("fetch"))
    assert left(folder) == []
    assert len(vod.emulator.api.media_requests()) <= 3


def test_a_task_that_is_killed(vod: Vod, folder: Path) -> None:
    """A task that times out in the middle of a file leaves neither a part of it nor a thread behind."""
    file = add(vod, size=1_000_000_000)
    vod.emulator.faults.script({"media": ["truncate"] * 100})
    run = fetch(folder, urls=file.url, execution_timeout=timedelta(seconds=2))
    assert type(run.error("fetch")).__name__ == "AirflowTaskTimeout"
    assert left(folder) == []
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("vod-fetch")] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "needs exactly one of result and urls"),
        ({"urls": "http://h/f", "result": {}}, "needs exactly one of result and urls"),
        ({"urls": []}, "urls is an empty list"),
        ({"urls": "http://h/f.mp4", "kinds": ["Transcode"]}, "select from a result, not from urls"),
        ({"urls": "http://h/f.mp4", "destination": "bucket/videos"}, "destination must be a URL such as s3://"),
        ({"urls": "http://h/f.mp4", "destination": "nothing://bucket"}, "cannot be used"),
        ({"urls": ["http://h/a/f.mp4", "http://i/a/f.mp4"]}, "the same name 'a/f.mp4'"),
        ({"urls": "http://h/f.mp4", "file_name": "{title}"}, "file_name is '{title}', but may have only the fields"),
        ({"urls": "http://h/f.mp4", "file_name": "{kind}/"}, "no name"),
    ],
)
def test_arguments_that_cannot_work(vod: Vod, folder: Path, arguments: dict[str, Any], words: str) -> None:
    """An argument that cannot work fails the task before anything is requested."""
    with pytest.raises(VodSettingsError, match=re.escape(words)):
        execute(folder, **arguments)
    assert vod.emulator.api.media_requests() == []


@pytest.mark.parametrize("urls", ["f.mp4", "None", "ftp://h/f.mp4", ["http://h/f.mp4", None], {"a": 1}])
def test_what_is_no_url(vod: Vod, folder: Path, urls: Any) -> None:
    """Anything but HTTP URLs is refused by its value."""
    with pytest.raises(MediaError, match="is not the URL of a media file"):
        execute(folder, urls=urls)


# What is told


def test_no_signature_gets_out(vod: Vod, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the log, at any level, nor XCom has a signature or the key."""
    caplog.set_level(logging.DEBUG)
    file = add(vod)
    vod.emulator.faults.script({"media": ["truncate"]})
    run = fetch(folder, result=result(file))
    assert run.state == "success"
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("uvicorn")]
    text = "\n".join(ours) + json.dumps([run.xcom("fetch"), run.xcom("fetch", "files")])
    assert file.file_id in text
    assert "Fetched 2.9 MiB of 2.9 MiB of 1 files" in text
    assert [secret for secret in ("sign=", "&us=", KEY) if secret in text] == []


def test_lineage(vod: Vod, folder: Path) -> None:
    """OpenLineage is told what was read and what was written, without signatures."""
    file = add(vod)
    operator = VodToObjectStorageOperator(
        task_id="fetch",
        urls=sign(file.url, KEY, valid_for=60),
        destination=f"file://{folder}",
        allow_private_addresses=True,
    )
    ti = SimpleNamespace(xcom_push=lambda key, value: None)
    operator.execute({"ti": ti})  # type: ignore[typeddict-item]
    lineage = operator.get_openlineage_facets_on_complete(ti)
    path = f"/media/{file.file_id}/f0.mp4"
    assert [(each.namespace, each.name) for each in lineage.inputs] == [(vod.emulator.endpoint, path)]
    assert [(each.namespace, each.name) for each in lineage.outputs] == [("file", f"{folder}/{file.file_id}/f0.mp4")]
