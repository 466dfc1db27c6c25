"""What sensors do around a wait: after Airflow itself has ended it, and from one process of it to the next."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_vod.exceptions import VodError, error_to_dict
from airflow_vod.inbox.leases import new_holder
from airflow_vod.sensors.base import VodSensor
from airflow_vod.sensors.vod import VodTaskSensor
from airflow_vod.sensors.vod_event import VodEventSensor
from tests.airflow_fixtures import SENSOR_MARKS, Vod
from tests.airflow_names import AirflowRescheduleException, AirflowSensorTimeout
from tests.relays import until
from tests.samples import concat_event, is_plain_json

pytestmark = SENSOR_MARKS
NAME = "dag/run/wait"
Make = Callable[..., VodSensor]


def context(**of_ti: Any) -> Any:
    """What Airflow hands to a task, as far as sensors look at it."""
    fields = {"dag_id": "dag", "run_id": "run", "task_id": "wait", "map_index": -1, "try_number": 1, "start_date": None}
    return {"ti": SimpleNamespace(**fields | {"xcom_push": lambda **_: None} | of_ti)}


def task_sensor(**arguments: Any) -> VodTaskSensor:
    """Waits for a VOD task."""
    return VodTaskSensor(task_id="wait", **{"vod_task_id": "Concat-1"} | arguments)


def event_sensor(**arguments: Any) -> VodEventSensor:
    """Waits for the event of the same task."""
    return VodEventSensor(task_id="wait", match={"vod_task_id": "Concat-1"}, since=0, **arguments)


MAKERS = pytest.mark.parametrize("make", [task_sensor, event_sensor], ids=["task", "event"])


def receive(vod: Vod) -> None:
    """Let the event be in the inbox, by whomever."""
    vod.store.receive(vod.queue, [concat_event("Concat-1")], "pull")


# When Airflow itself has ended a deferral


@MAKERS
@pytest.mark.parametrize(
    ("method", "arguments"),
    [("__fail__", {"error": "Trigger timeout"}), ("execute_complete", {"event": {"status": "timeout"}})],
    ids=["Airflow", "trigger"],
)
def test_an_event_that_nobody_looked_for_in_time(vod: Vod, make: Make, method: str, arguments: dict[str, Any]) -> None:
    """The inbox is looked into before a wait has timed out, whoever says so: no triggerer may have run for a while."""
    receive(vod)
    result = make(deferrable=True).resume_execution(method, arguments, context())
    assert result["vod_task_id"] == "Concat-1"
    assert vod.store.newest(vod.queue)[0].read_by == NAME


@MAKERS
def test_no_event_in_time(vod: Vod, make: Make) -> None:
    """Where the inbox has nothing either, Airflow's end of a deferral is a timeout in words, as in every mode."""
    with pytest.raises(AirflowSensorTimeout, match=r"After 5 s, .* No event of the queue is in the inbox"):
        make(deferrable=True, timeout=5).resume_execution("__fail__", {"error": "Trigger timeout"}, context())


@MAKERS
def test_a_retry_is_not_the_end_of_the_try_before(vod: Vod, make: Make) -> None:
    """Airflow 3.0 resumes a retried task with the end of its first wait: that is passed over, and the task starts anew."""
    receive(vod)
    old = {"event": {"status": "error", "error": error_to_dict(VodError("of the first try"))}, "attempt": 1}
    again = context(try_number=2, start_date=datetime(2020, 1, 1, tzinfo=UTC))
    result = make(deferrable=True).resume_execution("execute_complete", old, again)
    assert result["vod_task_id"] == "Concat-1"
    with pytest.raises(VodError, match="of the first try"):
        make(deferrable=True).resume_execution("execute_complete", old, context(try_number=1))


@pytest.mark.parametrize(
    "make",
    [task_sensor, lambda: task_sensor(vod_task_id=["Concat-1"]), event_sensor],
    ids=["task", "list", "event"],
)
def test_the_result_is_plain_json(vod: Vod, make: Make) -> None:
    """Whatever an XCom backend makes of it, what a sensor returns arrives downstream as it was, lists as lists."""
    receive(vod)
    assert is_plain_json(make().execute(context()))


# From one process to the next


def look(make: Make, began: datetime | None = None) -> Any:
    """Let a rescheduled sensor look as one process does.

    :param began: when its first process did; None for the first.
    """
    sensor = make(mode="reschedule", poke_interval=60, timeout=3600)
    return sensor.execute(context(get_first_reschedule_date=lambda context: began))


def listed(vod: Vod) -> list[str]:
    """Who waits, as people see it."""
    return [line.waiter for line in vod.store.waiters.longest(vod.queue)]


@MAKERS
@pytest.mark.parametrize("who", ["itself", "another process"])
def test_a_rescheduled_sensor_is_seen_to_wait(vod: Vod, make: Make, who: str) -> None:
    """It is on the list while no process of it runs, and off it when it has ended, whoever pulls VOD's queue."""
    began = datetime.now(UTC)
    if who == "another process":
        assert vod.store.leases.acquire(vod.queue, new_holder(), 3600)
    for first in (True, False):
        with pytest.raises(AirflowRescheduleException):
            look(make, None if first else began)
        assert listed(vod) == [NAME]
    if who == "itself":
        vod.publish_concat("Concat-1")
    else:
        receive(vod)
    assert look(make, began)["vod_task_id"] == "Concat-1"
    until(lambda: listed(vod) == [], 10)


@MAKERS
def test_a_rescheduled_sensor_that_times_out_is_seen_no_more(vod: Vod, make: Make) -> None:
    """A wait whose time is over when its next process starts is off the list."""
    with pytest.raises(AirflowRescheduleException):
        look(make)
    with pytest.raises(AirflowSensorTimeout):
        look(make, datetime(2020, 1, 1, tzinfo=UTC))
    until(lambda: listed(vod) == [], 10)


def test_vod_is_asked_once_before_a_wait(vod: Vod) -> None:
    """The first process of a rescheduled sensor asks VOD about its task; the next ones find that written down."""

    def asked() -> int:
        return vod.emulator.calls.count("DescribeTaskDetail")

    began = datetime.now(UTC)
    with pytest.raises(AirflowRescheduleException):
        look(task_sensor)
    assert asked() == 1
    for _ in range(2):
        with pytest.raises(AirflowRescheduleException):
            look(task_sensor, began)
    assert asked() == 1
