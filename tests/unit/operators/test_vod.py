"""The operator that passes on URLs, run by Airflow downstream of sensors, and with mistaken arguments."""

from __future__ import annotations

import re
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import task

from airflow_vod.exceptions import ResultError, VodSettingsError
from airflow_vod.operators.vod import VodFileUrlsOperator
from airflow_vod.sensors.vod import VodConcatSensor
from tests.airflow_fixtures import SUB_APP_ID, Vod, urls_of
from tests.dag_runs import DagRun, run_dag
from tests.samples import is_plain_json

pytestmark = pytest.mark.usefixtures("airflow_db")

FILES = [
    {"file_id": "1", "url": "http://example.com/a.m3u8", "type": "m3u8", "error_code": 0, "message": None},
    {"file_id": "2", "url": "http://example.com/b.mp4", "type": "mp4", "error_code": 0, "message": None},
    {"file_id": "3", "url": "http://example.com/c.mp4", "type": "MP4", "error_code": 0, "message": None},
    {"file_id": None, "url": None, "type": "flv", "error_code": 70000, "message": "internal error"},
]
RESULT = {"vod_task_id": "Concat-1", "event_type": "ConcatComplete", "outcome": "partly_failed", "files": FILES}


KEY = "24FEQmTzro4V5u3D5epW"
PROCEDURE = [
    {"kind": "Transcode", "definition": 20, "url": "http://example.com/v.f20.mp4", "type": "mp4"},
    {"kind": "Transcode", "definition": 30, "url": "http://example.com/v.f30.mp4", "type": "mp4"},
    {"kind": "Transcode", "definition": 40, "url": None, "type": None, "error_code": 70000},
    {"kind": "CoverBySnapshot", "definition": 10, "url": "http://example.com/cover.jpg", "type": "jpg"},
    {"kind": "SampleSnapshot", "definition": 10, "url": "http://example.com/sample.jpg", "type": "jpg"},
]


def urls(**arguments: Any) -> DagRun:
    """Run the operator alone."""
    return run_dag(lambda: VodFileUrlsOperator(task_id="urls", **arguments))


def test_what_it_pushes() -> None:
    """URLs, files, ids and the URLs by type, in VOD's order, without what could not be made."""
    run = urls(result=RESULT)
    assert run.xcom("urls") == [file["url"] for file in FILES[:3]]
    assert run.xcom("urls", "file_ids") == ["1", "2", "3"]
    assert [file["url"] for file in run.xcom("urls", "files")] == run.xcom("urls")
    assert run.xcom("urls", "urls_by_type")["m3u8"] == ["http://example.com/a.m3u8"]
    assert sum(map(len, run.xcom("urls", "urls_by_type").values())) == 3


@pytest.mark.parametrize("arguments", [{}, {"file_types": ("mp4", "m3u8")}], ids=["all", "some"])
def test_what_it_pushes_is_plain_json(arguments: dict[str, Any]) -> None:
    """Whatever an XCom backend makes of them, the lists arrive downstream as lists."""
    pushed: dict[str, Any] = {}
    ti = SimpleNamespace(xcom_push=lambda key, value: pushed.update({key: value}))
    operator = VodFileUrlsOperator(task_id="urls", result=[RESULT, RESULT], **arguments)
    pushed["return_value"] = operator.execute({"ti": ti})  # type: ignore[typeddict-item]
    assert set(pushed) == {"return_value", "files", "file_ids", "urls_by_type"}
    assert {key: is_plain_json(value) for key, value in pushed.items()} == dict.fromkeys(pushed, True)


@pytest.mark.parametrize("file_types", [["mp4"], "mp4", "MP4", [".mp4"], ("mp4", "avi")])
def test_file_types(file_types: Any) -> None:
    """Only files of the requested types are passed on, in upper or lower case, with or without a dot."""
    run = urls(result=RESULT, file_types=file_types)
    assert run.xcom("urls") == ["http://example.com/b.mp4", "http://example.com/c.mp4"]
    assert run.xcom("urls", "file_ids") == ["2", "3"]


@pytest.mark.parametrize("file_types", [["mp4", None], [7], [""], " ", (["mp4"],), {None}])
def test_file_types_that_are_none(file_types: Any) -> None:
    """What is no name of a file type is refused when the DAG is parsed, and not only when its task has run."""
    with pytest.raises(VodSettingsError, match=r"file_types is .* must be a name such as mp4"):
        VodFileUrlsOperator(task_id="urls", result=RESULT, file_types=file_types)


def test_file_types_out_of_a_template() -> None:
    """A template is not judged before it is rendered, and then as what is written down."""
    run = urls(result=RESULT, file_types=["{{ 'mp4' }}"])
    assert len(run.xcom("urls")) == 2
    error = urls(result=RESULT, file_types=["{{ '' }}"]).error("urls")
    assert isinstance(error, VodSettingsError)
    assert "file_types is ['']" in str(error)


def test_behind_a_sensor(vod: Vod) -> None:
    """The sensor's output goes in, and the list of URLs can be expanded over."""
    vod.publish_concat("Concat-1")

    @task
    def publish(url: str) -> str:
        return f"published {url}"

    def define() -> None:
        sensor = VodConcatSensor(task_id="wait", vod_task_id="Concat-1", timeout=60)
        urls = VodFileUrlsOperator(task_id="urls", result=sensor.output)
        publish.expand(url=urls.output)

    run = run_dag(define)
    assert run.state == "success"
    assert [run.xcom("publish", map_index=index) for index in (0, 1)] == [f"published {u}" for u in urls_of("Concat-1")]


@pytest.mark.parametrize("mapped", [True, False], ids=["mapped", "list"])
def test_behind_a_sensor_for_several_tasks(vod: Vod, mapped: bool) -> None:
    """The lazy output of a mapped sensor and the list of one sensor mean the same: all files, task by task."""
    ids = ["Concat-1", "Concat-2"]
    for vod_task_id in ids:
        vod.publish_concat(vod_task_id)

    def define() -> None:
        sensor = (
            VodConcatSensor.partial(task_id="wait", timeout=60).expand(vod_task_id=ids)
            if mapped
            else VodConcatSensor(task_id="wait", timeout=60, vod_task_id=ids)
        )
        VodFileUrlsOperator(task_id="urls", result=sensor.output)

    run = run_dag(define)
    assert run.xcom("urls") == [*urls_of("Concat-1"), *urls_of("Concat-2")]


def test_by_task_id_alone(vod: Vod) -> None:
    """With a VOD task id instead of a result, the result is read from the inbox."""
    vod.publish_concat("Concat-1")

    def define() -> None:
        sensor = VodConcatSensor(task_id="wait", vod_task_id="Concat-1", timeout=60, do_xcom_push=False)
        sensor >> VodFileUrlsOperator(task_id="urls", vod_task_id="{{ 'Concat-1' }}", file_types=["mp4"])

    assert run_dag(define).xcom("urls") == [urls_of("Concat-1")[1]]


def test_a_task_that_the_inbox_does_not_know(vod: Vod) -> None:
    """Without an event of the task the error says what to put before the operator."""
    error = urls(vod_task_id="Concat-1").error("urls")
    assert isinstance(error, ResultError)
    assert f"no event that ends VOD task 'Concat-1' of queue {vod.queue}" in str(error)
    assert "Put a VodTaskSensor before this operator" in str(error)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"file_types": ["avi"]}, "no file of the types ['avi'], only: type MP4; type m3u8; type mp4"),
        ({"file_types": ["flv"]}, "no file of the types ['flv']"),
        ({"kinds": "Transcode"}, "no file of the kinds 'Transcode', only: type MP4"),
        ({"result": {**RESULT, "files": [FILES[3]]}}, "The VOD task made no file."),
        (
            {"result": {**RESULT, "files": [{**FILES[0], "url": None}]}, "resolve_urls": False},
            "File 1 of type m3u8 has no URL in VOD's event. Let the operator ask VOD for it with resolve_urls=True",
        ),
        (
            {"result": {**RESULT, "files": [{**FILES[0], "url": None, "file_id": None}]}},
            "has no URL in VOD's event, and no file id",
        ),
        ({"result": "Concat-1"}, "pass on what a VOD sensor returned"),
        ({"result": ["http://example.com/a.mp4"]}, "pass on what a VOD sensor returned"),
        ({"result": {"vod_task_id": "Concat-1"}}, "pass on what a VOD sensor returned"),
        ({"result": []}, "result is an empty list"),
    ],
)
def test_what_cannot_be_passed_on(arguments: dict[str, Any], words: str) -> None:
    """An invalid result, or one without the requested files, fails with an error that names the cause."""
    error = urls(**{"result": RESULT} | arguments).error("urls")
    assert isinstance(error, ResultError)
    assert words in str(error)


@pytest.mark.parametrize("arguments", [{}, {"result": RESULT, "vod_task_id": "Concat-1"}], ids=["none", "both"])
def test_one_input_is_needed(arguments: dict[str, Any]) -> None:
    """With both inputs or with none, the error names the operator and what it got."""
    error = urls(**arguments).error("urls")
    assert isinstance(error, VodSettingsError)
    assert "Operator 'urls' needs exactly one of result and vod_task_id" in str(error)


@pytest.mark.parametrize(
    ("name", "kind"), [("result", ResultError), ("vod_task_id", VodSettingsError)], ids=["result", "vod_task_id"]
)
def test_an_xcom_that_is_not_there(name: str, kind: type[Exception]) -> None:
    """A template that finds no XCom ends in an error that shows what came of it."""
    error = urls(**{name: "{{ ti.xcom_pull(task_ids='urls', key='no such') }}"}).error("urls")
    assert isinstance(error, kind)
    assert f"{name} is 'None'" in str(error)


# Selecting


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({}, ["v.f20.mp4", "v.f30.mp4", "cover.jpg", "sample.jpg"]),
        ({"kinds": "transcode"}, ["v.f20.mp4", "v.f30.mp4"]),
        ({"kinds": ["CoverBySnapshot", "SampleSnapshot"]}, ["cover.jpg", "sample.jpg"]),
        ({"definitions": 30}, ["v.f30.mp4"]),
        ({"definitions": ["20", 10]}, ["v.f20.mp4", "cover.jpg", "sample.jpg"]),
        ({"kinds": "SampleSnapshot", "definitions": 10, "file_types": "jpg"}, ["sample.jpg"]),
        ({"kinds": [], "definitions": (), "file_types": None}, ["v.f20.mp4", "v.f30.mp4", "cover.jpg", "sample.jpg"]),
    ],
)
def test_selecting(arguments: dict[str, Any], names: list[str]) -> None:
    """Files are selected by sub-task, template and type, of which all that are given must be met."""
    assert [url.rpartition("/")[2] for url in execute(result={**RESULT, "files": PROCEDURE}, **arguments)] == names


def test_a_selection_that_meets_nothing() -> None:
    """The error names what was asked for and what there was, failed outputs left out."""
    with pytest.raises(ResultError) as error:
        execute(result={**RESULT, "files": PROCEDURE}, kinds=["Transcode"], definitions=[40])
    assert str(error.value) == (
        "The VOD task made no file of the kinds ['Transcode'] and of the definitions [40], only: "
        "CoverBySnapshot, definition 10, type jpg; SampleSnapshot, definition 10, type jpg; "
        "Transcode, definition 20, type mp4; Transcode, definition 30, type mp4. "
        "Change what is selected, or omit it for all files. [result-error]"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kinds": [20]}, "kinds is [20], but must be a name such as Transcode"),
        ({"kinds": " "}, "kinds is ' '"),
        ({"definitions": [True]}, "definitions is [True], but must be an id such as 100020"),
        ({"definitions": [None]}, "definitions is [None]"),
    ],
)
def test_a_selection_that_cannot_be_one(arguments: dict[str, Any], words: str) -> None:
    """What is no kind and no definition is refused when the DAG is parsed."""
    with pytest.raises(VodSettingsError, match=re.escape(words)):
        VodFileUrlsOperator(task_id="urls", result=RESULT, **arguments)


def execute(**arguments: Any) -> list[str]:
    """Run the operator without Airflow around it."""
    ti = SimpleNamespace(xcom_push=lambda key, value: None)
    return VodFileUrlsOperator(task_id="urls", **arguments).execute({"ti": ti})  # type: ignore[typeddict-item]


# Completing and signing


def test_urls_that_are_missing(vod: Vod) -> None:
    """URLs that an event lacks are asked for, twenty at a time, and the others are passed on as they are."""
    known = [vod.emulator.add_media(f"f{n}.mp4", size=1, sub_app_id=SUB_APP_ID) for n in range(45)]
    files = [{"file_id": file.file_id, "url": None} for file in known]
    files.insert(1, {"file_id": "1", "url": "http://example.com/a.mp4"})
    run = urls(result={**RESULT, "files": files})
    assert run.xcom("urls") == [known[0].url, "http://example.com/a.mp4", *(file.url for file in known[1:])]
    assert run.xcom("urls", "urls_by_type")["mp4"][0] == known[0].url
    assert vod.emulator.calls.count("DescribeMediaInfos", "ok") == 3


def test_a_file_that_is_gone(vod: Vod) -> None:
    """A file whose URL is missing and that VOD does not have fails the task by its id."""
    error = urls(result={**RESULT, "files": [{"file_id": "528", "url": None}]}).error("urls")
    assert isinstance(error, ResultError)
    assert "File 528 of type None has no URL in VOD's event, and VOD has no such file any more" in str(error)


def test_nothing_is_asked_without_need() -> None:
    """If every URL is there, no connection is needed."""
    assert len(execute(result=RESULT, vod_conn_id="no_such_connection")) == 3


def test_signed_urls(vod: Vod) -> None:
    """URLs are signed for the time, clients and preview that templates give; what else is pushed has them unsigned."""
    vod.connect(extra={"playback_secret": KEY, "playback_domains": "example.com"})
    files = [FILES[0], {**FILES[1], "url": "http://other.example.com/b.mp4"}]
    limits = {"sign_for": "{{ 3600 }}", "max_clients": "{{ 2 }}", "preview": "{{ 60 }}"}
    run = urls(result={**RESULT, "files": files}, **limits)
    signed, foreign = run.xcom("urls")
    assert re.fullmatch(
        r"http://example\.com/a\.m3u8\?t=[0-9a-f]{8}&exper=60&rlimit=2&us=[0-9a-f]{10}&sign=[0-9a-f]{32}", signed
    )
    assert foreign == files[1]["url"]
    assert run.xcom("urls", "urls_by_type") == {"m3u8": [signed], "mp4": [foreign]}
    assert [file["url"] for file in run.xcom("urls", "files")] == [file["url"] for file in files]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sign_for": timedelta(hours=6)}, "Connection 'vod_default' has no playback_secret"),
        ({"max_clients": 2}, "Give sign_for too"),
        ({"preview": 2}, "Give sign_for too"),
    ],
)
def test_what_cannot_be_signed(vod: Vod, arguments: dict[str, Any], words: str) -> None:
    """Without a key, or without a time, nothing is signed and the error says what is missing."""
    error = urls(result=RESULT, **arguments).error("urls")
    assert isinstance(error, VodSettingsError)
    assert words in str(error)
