"""Sensors, run by Airflow against the emulator, in each way of waiting."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException
from airflow.sdk import DAG, task

from airflow_vod.emulator.content import concat_complete
from airflow_vod.events.parse import parse_event
from airflow_vod.exceptions import (
    InboxError,
    InboxUnavailableError,
    VodAuthenticationError,
    VodInvalidRequestError,
    VodSettingsError,
)
from airflow_vod.inbox import InboxStore
from airflow_vod.sensors import base as sensors_base
from airflow_vod.sensors.vod import VodConcatSensor, VodTaskFailedError, VodTaskSensor
from airflow_vod.triggers import base as triggers_base
from tests import airflow_home
from tests.airflow_fixtures import MODES, SENSOR_MARKS, SUB_APP_ID, Vod, urls_of
from tests.airflow_names import AirflowSensorTimeout, AirflowSkipException
from tests.dag_runs import DagRun, run_dag

if TYPE_CHECKING:
    from airflow_vod.inbox import Waiter

pytestmark = SENSOR_MARKS
FAILED = {"ErrCode": 70000, "Message": "internal error", "FileId": None, "FileUrl": None, "FileType": "mp4"}
GOOD = "http://example.com/good.m3u8"


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each way of waiting."""
    return MODES[request.param]


def wait(
    mode: dict[str, Any], vod_task_id: Any = "Concat-1", sensor: type = VodConcatSensor, **arguments: Any
) -> DagRun:
    """Run a DAG of one sensor, ``wait``."""
    settings = {"timeout": 60, "vod_task_id": vod_task_id} | mode | arguments
    return run_dag(lambda: sensor(task_id="wait", **settings))


def after(event: Callable[[], object]) -> threading.Thread:
    """Let something happen beside the test; an exception in it fails the test."""
    thread = threading.Thread(target=event)
    thread.start()
    return thread


# The wait


def test_an_event_that_came_before_the_sensor(vod: Vod, mode: dict[str, Any]) -> None:
    """An event that waits in the queue when the sensor starts ends its wait, and the result is in XCom."""
    vod.publish_concat("Concat-1")
    run = wait(mode)
    assert run.state_of("wait") == "success"
    result = run.xcom("wait")
    assert (result["vod_task_id"], result["outcome"]) == ("Concat-1", "succeeded")
    assert tuple(file["url"] for file in result["files"]) == urls_of("Concat-1")


def test_an_event_that_is_in_the_inbox_already(vod: Vod, mode: dict[str, Any]) -> None:
    """An event that somebody else's relay brought earlier is found without any call to VOD."""
    vod.publish_concat("Concat-2")
    vod.publish_concat("Concat-1")
    assert wait(mode, "Concat-2").state == "success"
    before = vod.emulator.calls.count()
    run = wait(mode, "Concat-1")
    assert run.xcom("wait")["vod_task_id"] == "Concat-1"
    if "deferrable" not in mode:  # else the first sensor's relay may still be pulling
        assert vod.emulator.calls.count() == before


def test_an_event_that_comes_while_the_sensor_waits(vod: Vod, mode: dict[str, Any]) -> None:
    """The event is found among foreign ones, which are kept in the inbox and confirmed like it."""

    def later() -> None:
        vod.after_pulls(2)
        for number in range(20):
            vod.publish({"EventType": "NewFileUpload", "FileUploadEvent": {"FileId": f"528589{number}"}})
        vod.publish_concat("Concat-foreign")
        vod.publish_concat("Concat-1")

    happening = after(later)
    assert wait(mode).xcom("wait")["vod_task_id"] == "Concat-1"
    happening.join()
    vod.emulator.wait_until(lambda: vod.emulator.queue(1500012345).confirmed == 22)
    kept = vod.store.newest(vod.queue)
    assert len(kept) == 22
    assert "Concat-foreign" in {event.vod_task_id for event in kept}
    assert {event.vod_task_id for event in kept if event.read_at} == {"Concat-1"}


def test_the_inbox_knows_who_waits_and_who_read(vod: Vod, mode: dict[str, Any]) -> None:
    """A sensor is listed as waiter while it waits, and as reader of its event afterwards."""
    seen: list[Waiter] = []

    def later() -> None:
        vod.after_pulls(2)
        seen.extend(vod.store.waiters.longest(vod.queue))
        vod.publish_concat("Concat-1")

    happening = after(later)
    wait(mode)
    happening.join()
    [waiter] = seen
    assert re.fullmatch("dag/manual__.*/wait", waiter.waiter)
    assert waiter.event_types == ("ConcatComplete", "EditMediaComplete")
    [event] = vod.store.newest(vod.queue)
    assert event.read_by == waiter.waiter
    while vod.store.waiters.longest(vod.queue):  # the watch writes that down within its next second
        time.sleep(0.05)


def test_only_the_event_types_asked_for_count(vod: Vod, mode: dict[str, Any]) -> None:
    """An event of the same task but of another type does not end the wait."""
    vod.publish_concat("Task-1")
    vod.publish({"EventType": "EditMediaComplete", "EditMediaCompleteEvent": {"TaskId": "Task-1", "Status": "FINISH"}})
    run = wait(mode, "Task-1", VodTaskSensor, event_type="EditMediaComplete")
    assert run.xcom("wait")["event_type"] == "EditMediaComplete"


def test_any_event_type_counts_where_none_is_named(vod: Vod, mode: dict[str, Any]) -> None:
    """A plain VodTaskSensor takes whatever event ends the task, and no event about its progress."""
    stages = [{"TaskId": "Task-1", "Status": status, "ErrCode": 0} for status in ("PROCESSING", "FINISH")]
    for stage in stages:
        vod.publish({"EventType": "ProcedureStateChanged", "ProcedureStateChangeEvent": stage})
    run = wait(mode, "Task-1", VodTaskSensor)
    assert (run.xcom("wait")["event_type"], run.xcom("wait")["status"]) == ("ProcedureStateChanged", "FINISH")


# What is waited for


def test_an_id_from_another_task(vod: Vod, mode: dict[str, Any]) -> None:
    """The id may be another task's output, as XComArg or in a template."""
    for vod_task_id in ("Concat-1", "Concat-2"):
        vod.publish_concat(vod_task_id)

    @task
    def submit() -> str:
        return "Concat-1"

    def define() -> None:
        VodConcatSensor(task_id="by_xcom_arg", vod_task_id=submit(), timeout=60, **mode)
        VodConcatSensor(task_id="by_template", vod_task_id="Concat-{{ 1 + 1 }}", timeout=60, **mode)

    run = run_dag(define)
    assert run.xcom("by_xcom_arg")["vod_task_id"] == "Concat-1"
    assert run.xcom("by_template")["vod_task_id"] == "Concat-2"


def test_a_mapped_sensor(vod: Vod, mode: dict[str, Any]) -> None:
    """A sensor can be expanded over ids that another task returned; each waits for its own."""
    for vod_task_id in ("Concat-2", "Concat-1"):
        vod.publish_concat(vod_task_id)

    @task
    def submit() -> list[str]:
        return ["Concat-1", "Concat-2"]

    run = run_dag(lambda: VodConcatSensor.partial(task_id="wait", timeout=60, **mode).expand(vod_task_id=submit()))
    assert [run.xcom("wait", map_index=index)["vod_task_id"] for index in (0, 1)] == ["Concat-1", "Concat-2"]


def test_a_list_of_ids(vod: Vod, mode: dict[str, Any]) -> None:
    """One sensor waits for several tasks; the results come in the order of the ids, a double one twice."""
    vod.publish_concat("Concat-2")

    def later() -> None:
        vod.after_pulls(2)
        vod.publish_concat("Concat-1")

    happening = after(later)
    run = wait(mode, ["Concat-1", "Concat-2", "Concat-1"])
    happening.join()
    assert [result["vod_task_id"] for result in run.xcom("wait")] == ["Concat-1", "Concat-2", "Concat-1"]


@pytest.mark.parametrize("vod_task_id", ["", "{{ ti.xcom_pull(task_ids='wait', key='no such') }}"])
def test_a_useless_id_ends_the_wait(vod: Vod, mode: dict[str, Any], vod_task_id: str) -> None:
    """An id that is empty, or was to come from an XCom that is not there, ends in an error that says what it is."""
    error = wait(mode, vod_task_id).error("wait")
    assert isinstance(error, VodSettingsError)
    assert re.match("vod_task_id is '(None)?' after templating", str(error))
    assert vod.emulator.calls.count() == 0


# Tasks that fail


@pytest.mark.parametrize("event_type", ["ConcatComplete", "EditMediaComplete"])
def test_a_failed_task(vod: Vod, mode: dict[str, Any], event_type: str) -> None:
    """A task that VOD could not finish fails the sensor with VOD's words, and Airflow does not retry it."""
    if event_type == "ConcatComplete":
        vod.publish_concat("Concat-1", FAILED)
    else:
        edit = {"TaskId": "Concat-1", "Status": "FINISH", "ErrCode": 70000, "ErrCodeExt": "InternalError"}
        vod.publish({"EventType": event_type, f"{event_type}Event": edit | {"Message": "internal error"}})
    run = wait(mode, retries=2, retry_delay=0)
    error = run.error("wait")
    assert isinstance(error, VodTaskFailedError)
    assert f"VOD task Concat-1 failed ({event_type})" in str(error)
    assert "internal error" in str(error)
    assert re.search("70000|InternalError", str(error))
    assert (run.state_of("wait"), run.tries("wait")) == ("failed", 1)


def test_one_failed_task_of_several_ends_the_wait(vod: Vod, mode: dict[str, Any]) -> None:
    """A sensor that waits for several tasks fails as soon as one of them has, whatever the others do."""
    vod.publish_concat("Concat-1", FAILED)
    error = wait(mode, ["Concat-0", "Concat-1"]).error("wait")
    assert isinstance(error, VodTaskFailedError)
    assert "VOD task Concat-1 failed" in str(error)


def test_a_partly_failed_task_fails_by_default(vod: Vod, mode: dict[str, Any]) -> None:
    """A task of which one output is missing counts as failed, and the error tells which."""
    vod.publish_concat("Concat-1", GOOD, FAILED)
    error = wait(mode).error("wait")
    assert isinstance(error, VodTaskFailedError)
    assert "failed in part" in str(error)
    assert "mp4: error 70000, internal error" in str(error)


def test_a_partly_failed_task_can_be_taken(vod: Vod, mode: dict[str, Any]) -> None:
    """With on_partial='succeed' the result tells what there is and what is missing."""
    vod.publish_concat("Concat-1", GOOD, FAILED)
    run = wait(mode, on_partial="succeed")
    assert run.state_of("wait") == "success"
    assert run.xcom("wait")["outcome"] == "partly_failed"
    assert [file["error_code"] for file in run.xcom("wait")["files"]] == [0, 70000]


def test_on_partial_does_not_excuse_a_failed_task(vod: Vod, mode: dict[str, Any]) -> None:
    """With on_partial='succeed' a task that made nothing still fails."""
    vod.publish_concat("Concat-1", FAILED)
    assert isinstance(wait(mode, on_partial="succeed").error("wait"), VodTaskFailedError)


def test_on_partial_takes_two_words() -> None:
    """Any other word is refused when the DAG is parsed."""
    with pytest.raises(ValueError, match="on_partial must be 'fail' or 'succeed', not 'skip'"):
        VodTaskSensor(task_id="wait", vod_task_id="Concat-1", on_partial="skip")


# Being killed


def test_a_sensor_that_is_killed(vod: Vod) -> None:
    """After Airflow's signal a sensor begins no pull, which would take events with it, and no longer counts as waiting."""
    sensor = VodConcatSensor(task_id="wait", vod_task_id="Concat-1", poke_interval=0.1)

    def kill() -> None:
        vod.emulator.wait_until(lambda: vod.emulator.queue(SUB_APP_ID).waiting == 1, 60)
        sensor.on_kill()

    killing = after(kill)
    with pytest.raises(AirflowException, match="Airflow ended this task"):
        sensor.execute({"ti": _TI})
    killing.join()
    assert vod.emulator.queue(SUB_APP_ID).waiting == 0
    assert vod.store.waiters.longest(vod.queue) == []


# Timeouts, soft_fail, never_fail


def test_a_timeout(vod: Vod, mode: dict[str, Any]) -> None:
    """A task that does not end in time ends in Airflow's own timeout error, which is not retried."""
    run = wait(mode, timeout=0.5, retries=2, retry_delay=0)
    assert isinstance(run.error("wait"), AirflowSensorTimeout)
    assert (run.state_of("wait"), run.tries("wait")) == ("failed", 1)


def test_a_timeout_says_what_was_seen(vod: Vod, mode: dict[str, Any]) -> None:
    """Whoever has to find out why nothing came learns what did come, and who pulls."""
    assert "No event of the queue is in the inbox." in str(wait(mode, timeout=0.3).error("wait"))
    vod.publish({"EventType": "NewFileUpload", "FileUploadEvent": {"FileId": "1"}})
    wait({"mode": "poke", "poke_interval": 0.1}, timeout=0.3)
    said = str(wait(mode, timeout=0.3).error("wait"))
    assert "The newest event of the queue, NewFileUpload, came" in said
    if "deferrable" in mode:  # whose triggerer asks after minutes only
        assert "pulls it" in said
    else:
        assert re.search("Nobody pulls the queue now; last with an answer .+ s ago", said)
    assert "VOD does not know task Concat-1" in said


@pytest.mark.parametrize("how", ["soft_fail", "never_fail"])
def test_a_skip_says_why(vod: Vod, mode: dict[str, Any], how: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Whoever sees a skipped sensor learns what did not come; it is no waiter any more."""
    vod.publish_concat("Concat-1", FAILED)
    run = wait(mode, **{how: True})
    assert run.state_of("wait") == "skipped"
    assert "VOD task Concat-1 failed (ConcatComplete)" in "".join(capfd.readouterr())
    assert vod.store.waiters.longest(vod.queue) == [] or "deferrable" in mode


def test_a_list_that_a_template_made_a_text_of(vod: Vod, mode: dict[str, Any]) -> None:
    """Nobody waits for an id that is the text of a list: the error says what to write instead."""
    error = wait(mode, "['Concat-1', 'Concat-2']").error("wait")
    assert isinstance(error, VodSettingsError)
    assert "task.output" in str(error)


def test_event_types_that_end_nothing() -> None:
    """A wait that could have no end is refused when the DAG is parsed, and a slip of the pen is pointed out."""
    with pytest.raises(VodSettingsError, match="NewFileUpload, which ends no VOD task; VodEventSensor"):
        VodTaskSensor(task_id="wait", vod_task_id="Concat-1", event_type="NewFileUpload")
    with pytest.raises(VodSettingsError, match="VOD writes it ConcatComplete"):
        VodTaskSensor(task_id="wait", vod_task_id="Concat-1", event_type="concatcomplete")
    with pytest.warns(UserWarning, match="did you mean 'ConcatComplete'"):
        VodTaskSensor(task_id="wait", vod_task_id="Concat-1", event_type="ConcatCompleted")


def test_who_has_timed_out_waits_no_more(vod: Vod, mode: dict[str, Any]) -> None:
    """After its timeout a sensor is not listed as waiter."""
    wait(mode, timeout=0.5)
    while vod.store.waiters.longest(vod.queue):  # a watch writes that down within its next second
        time.sleep(0.05)


def test_a_late_event_does_not_undo_a_timeout(vod: Vod, mode: dict[str, Any]) -> None:
    """The event of a task that timed out stays in the queue or the inbox, and ends a second run at once."""
    assert wait(mode, timeout=0.3).state == "failed"
    vod.publish_concat("Concat-1")
    assert wait(mode).state == "success"


def _failed_task(vod: Vod) -> dict[str, Any]:
    vod.publish_concat("Concat-1", FAILED)
    return {}


def _no_event(vod: Vod) -> dict[str, Any]:
    return {"timeout": 0.3}


def _refused_key(vod: Vod) -> dict[str, Any]:
    vod.connect(password="not-the-right-secret-key")
    return {}


def _key_that_stops_working(vod: Vod) -> dict[str, Any]:
    vod.emulator.faults.script({"PullEvents": ["auth_failure"] * 9})  # so a triggerer meets it, not the worker
    return {}


def _useless_id(vod: Vod) -> dict[str, Any]:
    return {"vod_task_id": ""}


def _unknown_connection(vod: Vod) -> dict[str, Any]:
    return {"vod_conn_id": "no_such_connection"}


@pytest.mark.parametrize(
    ("cause", "state"),
    [
        (_failed_task, "skipped"),
        (_no_event, "skipped"),
        (_refused_key, "failed"),
        (_key_that_stops_working, "failed"),
        (_useless_id, "failed"),
        (_unknown_connection, "failed"),
    ],
)
def test_soft_fail(vod: Vod, mode: dict[str, Any], cause: Callable[[Vod], dict[str, Any]], state: str) -> None:
    """soft_fail skips what VOD did not deliver, and never hides that nothing can be delivered; in every mode alike."""
    assert wait(mode, soft_fail=True, **cause(vod)).state_of("wait") == state


@pytest.mark.parametrize("cause", [_failed_task, _no_event, _refused_key, _useless_id, _unknown_connection])
def test_never_fail(vod: Vod, mode: dict[str, Any], cause: Callable[[Vod], dict[str, Any]]) -> None:
    """never_fail skips whatever goes wrong, in every mode."""
    assert wait(mode, never_fail=True, **cause(vod)).state_of("wait") == "skipped"


# What disturbs a wait


def test_a_wrong_key(vod: Vod, mode: dict[str, Any]) -> None:
    """Credentials that VOD refuses end the wait in an error that says what to check and does not show them."""
    vod.connect(password="not-the-right-secret-key")
    error = wait(mode).error("wait")
    assert isinstance(error, VodAuthenticationError)
    assert "AuthFailure.SignatureFailure" in str(error)
    assert "Check SecretId and SecretKey of the connection" in str(error)
    assert "not-the-right" not in str(error)


def test_an_application_that_does_not_exist(mode: dict[str, Any], vod: Vod) -> None:
    """A SubAppId that VOD does not know ends the wait in an error that names it as the thing to check."""
    vod.emulator.faults.script({"PullEvents": ["error:FailedOperation.InvalidVodUser:no such application"] * 9})
    error = wait(mode).error("wait")
    assert isinstance(error, VodInvalidRequestError)
    assert "sub_app_id" in str(error).lower().replace("subappid", "sub_app_id")


def test_an_outage_does_not_end_the_wait(
    vod: Vod, mode: dict[str, Any], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the network and the API do for a while, the sensor waits on and finds its event; it says so once each."""
    vod.emulator.faults.script({"PullEvents": ["http_500", "drop_request", "html_200"]})
    vod.publish_concat("Concat-1")
    assert wait(mode).state_of("wait") == "success"
    assert sum(vod.emulator.faults.fired().values()) == 3
    if mode is not MODES["reschedule"]:  # there each look is a process of its own, as it were
        log = caplog.text
        assert len(re.findall("Cannot pull events from", log)) == 1


def test_an_api_that_is_away_when_the_sensor_starts(vod: Vod, mode: dict[str, Any]) -> None:
    """A sensor that finds nobody listening waits on until somebody does."""
    vod.publish_concat("Concat-1")
    vod.emulator.stop()
    happening = threading.Timer(1.0, vod.emulator.start)
    happening.start()
    assert wait(mode).state_of("wait") == "success"
    happening.join()


def test_an_event_that_cannot_be_read_disturbs_nobody(vod: Vod, mode: dict[str, Any]) -> None:
    """A malformed event is kept as it came, and the wait goes on to the next."""
    vod.publish({"EventType": "ConcatComplete", "ConcatCompleteEvent": "nonsense"})
    vod.publish_concat("Concat-1")
    assert wait(mode).state_of("wait") == "success"
    assert [event.error is not None for event in vod.store.newest(vod.queue)] == [False, True]


def test_an_inbox_that_the_worker_does_not_share(vod: Vod) -> None:
    """Where triggerer and worker have different inboxes, the worker's error names the option to set."""
    sensor = VodConcatSensor(task_id="wait", vod_task_id="Concat-1")
    with pytest.raises(InboxError, match=r"\[tencent_vod\] inbox_sql_alchemy_conn"):
        sensor.execute_complete({}, {"status": "found"})  # type: ignore[typeddict-item]


def _ready(url: str, queue: str) -> VodConcatSensor:
    """A sensor whose event is in an inbox that has just gone away."""
    store = InboxStore.open(url)
    store.receive(queue, [parse_event(concat_complete("Concat-1", ["http://example.com/f0.mp4"]))], "pull")
    store.close()
    return VodConcatSensor(task_id="wait", vod_task_id="Concat-1")


_TI = SimpleNamespace(dag_id="dag", run_id="run", task_id="wait", map_index=-1, try_number=1, start_date=None)
_FOUND: Any = ({"ti": _TI}, {"status": "found"})


def test_an_inbox_that_is_away_when_the_wait_is_over(vod: Vod, unsteady: tuple[Path, Path, str]) -> None:
    """A worker that cannot reach the inbox at that moment tries on, and the wait was not in vain."""
    sensor = _ready(unsteady[2], vod.queue)
    happening = threading.Timer(1.0, lambda: unsteady[0].symlink_to(unsteady[1]))
    happening.start()
    assert sensor.execute_complete(*_FOUND)["vod_task_id"] == "Concat-1"
    happening.join()


@pytest.mark.parametrize(("arguments", "state"), [({}, "failed"), ({"soft_fail": True}, "skipped")])
def test_an_inbox_that_stays_away_until_the_timeout(
    vod: Vod,
    unsteady: tuple[Path, Path, str],
    mode: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, Any],
    state: str,
) -> None:
    """A wait without an inbox is one that times out, in every mode, and its error says which option to check."""
    monkeypatch.setattr(triggers_base, "_RETRY_PAUSE", 0.2)
    run = wait(mode, timeout=0.5, **arguments)
    assert run.state_of("wait") == state
    if state == "failed":
        assert isinstance(error := run.error("wait"), AirflowSensorTimeout)
        assert "inbox_sql_alchemy_conn" in str(error)


@pytest.mark.parametrize(
    ("arguments", "error"), [({}, InboxUnavailableError), ({"never_fail": True}, AirflowSkipException)]
)
def test_an_inbox_that_stays_away_when_the_wait_is_over(
    vod: Vod,
    unsteady: tuple[Path, Path, str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, Any],
    error: type[Exception],
) -> None:
    """Patience ends, with an error that says which option to check, so that Airflow's own retries have their turn."""
    monkeypatch.setattr(sensors_base, "_TAKE_PATIENCE", 1.0)
    sensor = VodConcatSensor(task_id="wait", vod_task_id="Concat-1", **arguments)
    began = time.monotonic()
    with pytest.raises(error, match="inbox_sql_alchemy_conn"):
        sensor.resume_execution("execute_complete", {"event": _FOUND[1]}, _FOUND[0])
    assert time.monotonic() - began >= 1.0


def test_a_deferred_sensor_asks_once_before_it_leaves_the_worker(vod: Vod) -> None:
    """Where VOD does not answer, the first question holds no worker with repetitions: the triggerer asks again."""
    vod.emulator.faults.script({"DescribeTaskDetail": ["http_500"] * 9})
    vod.publish_concat("Concat-1")
    assert wait(MODES["deferrable"]).state_of("wait") == "success"
    assert vod.emulator.faults.fired() == {("DescribeTaskDetail", "http_500"): 1}


# Without a worker


_PULL = "{{ ti.xcom_pull(task_ids='submit') }}"


@pytest.mark.parametrize(
    ("arguments", "begins"),
    [
        ({"vod_task_id": "Concat-1"}, True),
        ({"vod_task_id": "{{ params.x }}"}, True),
        ({"vod_task_id": ["Concat-1", "{{ params.x }}"], "sub_app_id": 1500012345}, True),
        ({"vod_task_id": "{{ ti.xcom_pull(task_ids='submit', map_indexes=-1) }}"}, True),
        ({"vod_task_id": _PULL}, False),
        ({"vod_task_id": ["Concat-1", _PULL]}, False),
        ({"vod_task_id": "Concat-1", "sub_app_id": _PULL}, False),
        ({"vod_task_id": "Concat-1", "vod_conn_id": _PULL}, False),
    ],
)
def test_what_can_begin_in_the_triggerer(arguments: dict[str, Any], begins: bool) -> None:
    """Ids that Airflow can render there do; templates that would hang begin on a worker, and deferred from there."""
    sensor = VodConcatSensor(task_id="wait", start_from_trigger=True, **arguments)
    assert (sensor.start_from_trigger, sensor.deferrable) == (begins, True)


def test_what_another_task_returns_begins_on_a_worker() -> None:
    """Airflow would hand its text to the triggerer, so whatever is another task's output is left to a worker to read."""

    @task
    def submit() -> Any: ...

    with DAG("dag", schedule=None):
        outputs: list[dict[str, Any]] = [
            {"vod_task_id": submit()},
            {"vod_task_id": ["Concat-1", submit()]},
            {"vod_task_id": "Concat-1", "sub_app_id": submit()},
        ]
        for number, arguments in enumerate(outputs):
            sensor = VodConcatSensor(task_id=f"wait_{number}", start_from_trigger=True, **arguments)
            assert (sensor.start_from_trigger, sensor.deferrable) == (False, True)


# What a DAG author is told


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("sensor", [VodTaskSensor, VodConcatSensor])
def test_a_short_reschedule_interval_warns(sensor: type) -> None:
    """Rescheduling more often than Airflow's scheduler bears warns, and points to the line in the DAG."""
    with pytest.warns(UserWarning, match="give poke_interval=15 or more, or deferrable=True") as caught:
        sensor(task_id="wait", vod_task_id="Concat-1", mode="reschedule", poke_interval=14)
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "arguments",
    [{"mode": "reschedule"}, {"mode": "reschedule", "poke_interval": 1, "deferrable": True}, {"poke_interval": 1}],
)
def test_other_intervals_do_not_warn(arguments: dict[str, Any]) -> None:
    """The default interval is long enough, and the other modes may look as often as they like."""
    VodConcatSensor(task_id="wait", vod_task_id="Concat-1", **arguments)


@pytest.mark.parametrize("setting", ["True", "False"])
def test_default_deferrable(setting: str) -> None:
    """Airflow's own option decides where the DAG does not."""
    code = "from airflow_vod.sensors.vod import *; print(VodConcatSensor(task_id='a', vod_task_id='b').deferrable)"
    environment = airflow_home.environment(airflow_home.HOME) | {"AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": setting}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == setting


def test_a_long_wait_says_so(
    vod: Vod, mode: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The log tells what is waited for and where, and now and then that the wait goes on."""
    monkeypatch.setattr(triggers_base, "_FIRST_REPORT", 0.5)
    wait(mode, timeout=1.5)
    out = capfd.readouterr().out
    assert f"Waiting for VOD task Concat-1 in queue {vod.queue} (connection vod_default)" in out
    if mode is not MODES["reschedule"]:
        assert "Waiting for 1 VOD task" in out
