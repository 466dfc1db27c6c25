"""What the people on call read while VOD is away or does not know a task: the cause, since when, and what to do."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

import pytest

from airflow_vod.emulator import EmulatorOptions
from airflow_vod.sensors import base as sensors_base
from airflow_vod.sensors.vod import VodTaskFailedError, VodTaskSensor
from airflow_vod.sensors.vod_event import VodEventSensor
from airflow_vod.waiting import trouble
from tests import tempo
from tests.airflow_fixtures import MODES, SENSOR_MARKS, SUB_APP_ID, Vod
from tests.airflow_names import AirflowSensorTimeout
from tests.executing import Make, error_of, wait

pytestmark = SENSOR_MARKS
ENDED = {"TaskId": "Concat-1", "FileInfoSet": [{"ErrCode": 0, "FileId": "1"}]}

SENSORS: dict[str, Make] = {
    "task": lambda **arguments: VodTaskSensor(task_id="wait", **{"vod_task_id": "Concat-1"} | arguments),
    "event": lambda **arguments: VodEventSensor(
        task_id="wait", match={"vod_task_id": "Concat-1"}, since="2020-01-01", **arguments
    ),
}


@pytest.fixture
def vod_options() -> EmulatorOptions:
    """An emulator that keeps the pace of the relays of these tests."""
    return tempo.options()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let relays live twenty times as fast, and trouble be trouble after a moment."""
    tempo.hurry(monkeypatch.setattr)
    monkeypatch.setattr(trouble, "HITCH", 0.3)
    monkeypatch.setattr(trouble, "_CHECK_EVERY", 0.1)
    monkeypatch.setattr(sensors_base, "_MOMENT", 1.5)


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Each way of waiting."""
    return str(request.param)


@pytest.fixture(params=SENSORS)
def make(request: pytest.FixtureRequest) -> Make:
    """Each kind of sensor."""
    return SENSORS[request.param]


def while_it_waits(vod: Vod, happening: Callable[[], object]) -> threading.Thread:
    """Let something happen once the queue has been pulled a few times."""

    def later() -> None:
        vod.after_pulls(2)
        happening()

    thread = threading.Thread(target=later)
    thread.start()
    return thread


def warnings_in(text: str) -> list[str]:
    """The warnings of a task's log."""
    return [line for line in text.splitlines() if re.search(r"\[(\x1b\[\d+m)*warning", line)]


def test_vod_that_goes_away_is_named(vod: Vod, make: Make, mode: str, capfd: pytest.CaptureFixture[str]) -> None:
    """The emulator is really taken away: the log warns of it while it lasts, and the timeout names it, since when, and where."""
    leaving = while_it_waits(vod, vod.emulator.stop)
    error = error_of(make, mode, timeout=8)
    leaving.join()
    assert isinstance(error, AirflowSensorTimeout)
    cause = r"Pulls have failed since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, \d+ s ago: PullEvents: .*Connection refused"
    assert re.search(cause, str(error))
    assert f"in queue {vod.queue}, connection 'vod_default'" in str(error)
    assert "Concat-1" in str(error)
    assert "Next: run `airflow-vod doctor --conn-id vod_default`; clear this task to wait again" in str(error)
    said = [line for line in warnings_in(capfd.readouterr().out) if "Waiting for" in line and re.search(cause, line)]
    assert said
    assert "Concat-1" in said[0]


def test_the_end_of_an_outage_is_told(vod: Vod, capfd: pytest.CaptureFixture[str]) -> None:
    """When VOD answers again the log says so once, and the event is found."""

    def leave_for_a_while() -> None:
        vod.emulator.stop()
        threading.Event().wait(2)
        vod.publish_concat("Concat-1")
        vod.emulator.start()

    away = while_it_waits(vod, leave_for_a_while)
    error = error_of(SENSORS["task"], "deferrable", vod_task_id=["Concat-1", "Concat-2"], timeout=8)
    away.join()
    assert str(error).startswith("After 8 s, 1 of 2 VOD tasks have not ended, of Concat-2.")
    assert capfd.readouterr().out.count("What kept events from coming is over") == 1


def test_a_task_that_vod_does_not_know_is_named(vod: Vod, mode: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A wrong id is told by VOD's own words: at once in the log, and in the error."""
    error = error_of(SENSORS["task"], mode, timeout=1)
    words = (
        f"VOD does not know task Concat-1 in application {vod.queue}: DescribeTaskDetail: InvalidParameterValue.TaskId"
    )
    assert words in str(error)
    assert any(words in line for line in warnings_in(capfd.readouterr().out))
    assert "or the task that submitted it to VOD to submit it again" in str(error)


def test_a_task_that_goes_on_is_told(vod: Vod, mode: str) -> None:
    """A timeout says that VOD still works on the task."""
    vod.emulator.add_task("Concat-1", "Concat", status="PROCESSING", sub_app_id=SUB_APP_ID)
    error = error_of(SENSORS["task"], mode, timeout=0.5)
    assert re.search(r"VOD says that task Concat-1 \(Concat\), created 2\d{3}-\S+Z, is PROCESSING", str(error))


def test_vod_has_the_last_word(vod: Vod, mode: str) -> None:
    """A task that has ended, and whose event somebody else took, is found when the time is over: the wait was not in vain."""
    happening = while_it_waits(
        vod,
        lambda: vod.emulator.add_task("Concat-1", "Concat", detail=ENDED, sub_app_id=SUB_APP_ID),
    )
    assert wait(SENSORS["task"], mode, timeout=4)["outcome"] == "succeeded"
    happening.join()


def test_a_failed_vod_task_is_told_once(vod: Vod, mode: str) -> None:
    """The error of a failed VOD task says each thing once, and whose task it was, where, and what to do."""
    error = {"ErrCode": 70000, "Message": "internal error"}
    vod.publish_concat("Concat-1", {**error, "FileType": "mp4"}, {**error, "FileType": "m3u8"})
    failure = error_of(SENSORS["task"], mode, timeout=60)
    assert isinstance(failure, VodTaskFailedError)
    first, second = str(failure).splitlines()
    assert re.fullmatch(
        r"VOD task Concat-1 failed \(ConcatComplete\): mp4 \d+, m3u8 \d+: error 70000, internal error", first
    )
    assert f"in queue {vod.queue}, connection 'vod_default'. Next: clear the task that submitted it" in second


def test_any_other_failure_says_whose_it_was(vod: Vod, mode: str) -> None:
    """An error that ends a wait names task, queue and connection, and what to run next."""
    vod.emulator.faults.script({"PullEvents": ["error:InvalidParameter:no"] * 9})
    error = error_of(SENSORS["task"], mode, timeout=60)
    assert str(error).startswith("PullEvents: InvalidParameter: no")
    assert f"waited for VOD task Concat-1 in queue {vod.queue}, connection 'vod_default'." in str(error)
    assert "run `airflow-vod doctor --conn-id vod_default`" in str(error)
