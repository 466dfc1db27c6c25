"""The sensor for events by what they say, run by Airflow against the emulator, in each way of waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk import task

from airflow_vod.events.parse import parse_event
from airflow_vod.exceptions import VodSettingsError
from airflow_vod.inbox import Waiter
from airflow_vod.sensors.vod import VodTaskSensor
from airflow_vod.sensors.vod_event import VodEventSensor
from airflow_vod.triggers import base as triggers
from tests.airflow_fixtures import MODES, SENSOR_MARKS, Vod
from tests.airflow_names import AirflowSensorTimeout
from tests.dag_runs import DagRun, run_dag

pytestmark = SENSOR_MARKS
LONG_AGO = "2020-01-01T00:00:00+08:00"


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each way of waiting."""
    return MODES[request.param]


def wait(mode: dict[str, Any], **arguments: Any) -> DagRun:
    """Run a DAG of one sensor, ``wait``."""
    settings = {"timeout": 60} | mode | arguments
    return run_dag(lambda: VodEventSensor(task_id="wait", **settings))


def upload(file_id: str, **info: Any) -> dict[str, Any]:
    """The event of an upload."""
    content = {"FileId": file_id, "MediaBasicInfo": {"Name": f"name of {file_id}", **info}}
    return {"EventType": "NewFileUpload", "FileUploadEvent": content}


def receive(vod: Vod, *events: dict[str, Any]) -> None:
    """Let events be in the inbox already."""
    vod.store.receive(vod.queue, [parse_event(event) for event in events], "pull")


def after(event: Callable[[], object]) -> threading.Thread:
    """Let something happen beside the test; an exception in it fails the test."""
    thread = threading.Thread(target=event)
    thread.start()
    return thread


def test_an_event_that_comes_before_the_sensor(vod: Vod, mode: dict[str, Any]) -> None:
    """An upload that waits in VOD's queue when the sensor starts ends its wait; other files' uploads do not."""
    for name in ("1", "2", "3"):
        vod.publish(upload(name))
    run = wait(mode, event_type="NewFileUpload", match={"file_id": "2"})
    assert run.state_of("wait") == "success"
    event = run.xcom("wait")
    assert (event["event_type"], event["file_id"], event["vod_task_id"]) == ("NewFileUpload", "2", None)
    assert event["payload"] == upload("2")["FileUploadEvent"]
    assert (event["status"], event["result"]) == (None, None)
    assert abs(event["received_at"] - time.time()) < 60


def test_an_event_that_comes_later(vod: Vod, mode: dict[str, Any]) -> None:
    """An event that VOD announces while the sensor waits ends its wait."""
    thread = after(lambda: (vod.after_pulls(2), vod.publish(upload("other")), vod.publish(upload("mine"))))
    run = wait(mode, match={"MediaBasicInfo.Name": "name of mine"})
    thread.join()
    assert run.xcom("wait")["file_id"] == "mine"


def test_the_inbox_knows_who_waits(vod: Vod, mode: dict[str, Any]) -> None:
    """People see the sensor among the waiters while it waits, with what it waits for, and not afterwards."""
    seen: list[Waiter] = []

    def later() -> None:
        vod.after_pulls(2)
        seen.extend(vod.store.waiters.longest(vod.queue))
        vod.publish(upload("mine"))

    thread = after(later)
    wait(mode, event_type="NewFileUpload", match={"file_id": "mine"})
    thread.join()
    [waiter] = seen
    assert (waiter.vod_task_id, waiter.event_types) == (None, ("NewFileUpload",))
    assert waiter.waiter.startswith("dag/manual__")
    while vod.store.waiters.longest(vod.queue):  # a watch writes that down within its next second
        time.sleep(0.05)


def test_the_past_does_not_count(vod: Vod, mode: dict[str, Any]) -> None:
    """By default, what came before the DAG run was due does not count, and what comes then does."""
    receive(vod, upload("past"))
    time.sleep(0.01)
    vod.publish(upload("new"))
    assert wait(mode, event_type="NewFileUpload").xcom("wait")["file_id"] == "new"


@pytest.mark.parametrize(
    "since",
    [
        LONG_AGO,
        datetime(2020, 1, 1),
        datetime(2020, 1, 1, tzinfo=UTC),
        1577836800,
        "1577836800",
        "{{ dag_run.run_after - macros.timedelta(days=1) }}",
    ],
    ids=["ISO", "naive", "datetime", "Unix", "Unix text", "template"],
)
def test_since(vod: Vod, since: Any) -> None:
    """The point in time from which events count can be given in every usual form."""
    receive(vod, upload("past"))
    assert wait(MODES["poke"], since=since).xcom("wait")["file_id"] == "past"


def test_the_earliest_event_counts(vod: Vod, mode: dict[str, Any]) -> None:
    """Of several events that match, the first is taken, and it is written down who did."""
    receive(vod, upload("1"), upload("2"))
    assert wait(mode, since=LONG_AGO).xcom("wait")["file_id"] == "1"
    assert [event.read_by is not None for event in vod.store.newest(vod.queue)] == [False, True]


def test_templates(vod: Vod, mode: dict[str, Any]) -> None:
    """Types and values are templated, and may be the output of another task."""
    receive(vod, upload("1"), upload("2"))

    @task
    def file_id() -> str:
        return "2"

    def define() -> None:
        match = {"file_id": file_id(), "MediaBasicInfo.Name": "name of {{ 1 + 1 }}"}
        VodEventSensor(
            task_id="wait", match=match, event_type="New{{ 'File' }}Upload", since=LONG_AGO, timeout=60, **mode
        )

    assert run_dag(define).xcom("wait")["file_id"] == "2"


def test_a_task_s_event_brings_its_result(vod: Vod, mode: dict[str, Any]) -> None:
    """An event that ends a VOD task comes with the result, also if that is a failure."""
    failed = {"ErrCode": 70000, "Message": "internal error"}
    vod.emulator.publish_concat("Concat-1", [failed], 1500012345)
    result = wait(mode, match={"vod_task_id": "Concat-1"}).xcom("wait")["result"]
    assert (result["outcome"], result["error_code"]) == ("failed", 70000)


def test_timeout(vod: Vod, mode: dict[str, Any]) -> None:
    """Without the event the sensor fails, and says what it waited for."""
    vod.publish(upload("other"))
    run = wait(mode | {"timeout": 0.5}, event_type="NewFileUpload", match={"file_id": "mine"})
    error = run.error("wait")
    assert isinstance(error, AirflowSensorTimeout)
    assert mode.get("poke_interval") or "NewFileUpload, file_id = 'mine'" in str(error)


def test_a_long_wait_says_so(
    vod: Vod, mode: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The log tells what is waited for, and now and then that the wait goes on."""
    monkeypatch.setattr(triggers, "_FIRST_REPORT", 0.5)
    wait(mode, event_type="NewFileUpload", match={"file_id": "1"}, timeout=4)
    out = capfd.readouterr().out
    assert "Waiting for NewFileUpload, file_id = '1' since" in out
    if mode is not MODES["reschedule"]:
        assert "Waiting for NewFileUpload, file_id = '1' for 0 minutes; 0 events" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"match": {"file_id": "{{ none }}"}}, "match['file_id'] is 'None' after templating"),
        ({"match": {"fileid": "1"}}, "unknown name 'fileid'"),
        ({"event_type": "{{ 'newfileupload' }}"}, "NewFileUpload"),
        ({"since": "yesterday"}, "since is 'yesterday'"),
    ],
)
def test_mistakes(vod: Vod, mode: dict[str, Any], arguments: dict[str, Any], words: str) -> None:
    """What can never match is an error at once, and says what is wrong."""
    error = wait(mode, **arguments).error("wait")
    assert isinstance(error, VodSettingsError)
    assert words in str(error)
    assert vod.emulator.calls.count("PullEvents") == 0


@pytest.mark.parametrize("event_type", ["NewFileUpload ", "newfileupload", ["FileDeleted", None], [], 7])
def test_a_wrong_event_type_shows_when_the_dag_is_parsed(event_type: Any) -> None:
    """A type that no event has is refused before anything runs; a template is judged when it is rendered."""
    with pytest.raises(VodSettingsError, match="event_type"):
        VodEventSensor(task_id="wait", event_type=event_type)
    VodEventSensor(task_id="wait", event_type="{{ params.event_type }}")
    VodEventSensor(task_id="wait", event_type=["FileDeleted", "{{ params.event_type }}"])


@pytest.mark.parametrize("event_type", ["ConcatComplete ", ["ConcatComplete", None]])
def test_a_wrong_event_type_of_a_task(event_type: Any) -> None:
    """The same for sensors that wait for a VOD task."""
    with pytest.raises(VodSettingsError, match="event_type"):
        VodTaskSensor(task_id="wait", vod_task_id="Concat-1", event_type=event_type)
