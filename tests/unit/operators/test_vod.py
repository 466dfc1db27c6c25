"""The operator that passes on URLs, run by Airflow downstream of sensors, and with mistaken arguments."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import task

from airflow_vod.exceptions import ResultError, VodSettingsError
from airflow_vod.operators.vod import VodFileUrlsOperator
from airflow_vod.sensors.vod import VodConcatSensor
from tests.airflow_fixtures import Vod, urls_of
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
        ({"file_types": ["avi"]}, "no file of the types ['avi'], only of: MP4, m3u8, mp4"),
        ({"file_types": ["flv"]}, "no file of the types ['flv']"),
        ({"result": {**RESULT, "files": [FILES[3]]}}, "The VOD task made no file."),
        ({"result": {**RESULT, "files": [{**FILES[0], "url": None}]}}, "File 1 of type m3u8 has no URL"),
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
