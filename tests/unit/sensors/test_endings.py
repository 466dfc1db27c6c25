"""A deferral that broke: who skips, who fails, and who waits on."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_vod.exceptions import InboxError, VodAuthenticationError, error_to_dict
from airflow_vod.sensors.endings import PAUSE
from airflow_vod.sensors.vod import VodTaskSensor
from airflow_vod.sensors.vod_event import VodEventSensor
from airflow_vod.triggers import base as triggers
from airflow_vod.triggers.vod import VodTaskTrigger
from tests.airflow_fixtures import SENSOR_MARKS, Vod
from tests.airflow_names import (
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferralError,
)
from tests.executing import Make, wait

pytestmark = SENSOR_MARKS
BROKEN = {"error": "Trigger failure", "traceback": ["ModuleNotFoundError: no module of that name\n"]}
REFUSED = {
    "event": {"status": "error", "error": error_to_dict(VodAuthenticationError("PullEvents", "AuthFailure", "no"))}
}
ELSEWHERE = {"event": {"status": "found", "queue": "q", "position": 1}}  # in an inbox that is another than the worker's


def task_sensor(**arguments: Any) -> VodTaskSensor:
    """Waits for a VOD task."""
    return VodTaskSensor(task_id="wait", vod_task_id="Concat-1", deferrable=True, **arguments)


def event_sensor(**arguments: Any) -> VodEventSensor:
    """Waits for an event."""
    return VodEventSensor(task_id="wait", event_type="NewFileUpload", since=0, deferrable=True, **arguments)


MAKERS = pytest.mark.parametrize("make", [task_sensor, event_sensor], ids=["task", "event"])
CAUSES = pytest.mark.parametrize(
    ("method", "arguments", "error"),
    [
        ("__fail__", BROKEN, TaskDeferralError),
        ("execute_complete", REFUSED, VodAuthenticationError),
        ("execute_complete", ELSEWHERE, InboxError),
    ],
    ids=["crashed", "refused", "another inbox"],
)


def resume(sensor: Any, method: str, arguments: dict[str, Any], began: float = 0.0) -> Any:
    """Let Airflow resume a sensor whose wait began so many seconds ago."""
    began_at = datetime.now(UTC) - timedelta(seconds=began)
    ti = SimpleNamespace(
        dag_id="dag", run_id="run", task_id="wait", map_index=-1, try_number=1, start_date=datetime.now(UTC)
    )
    ti.get_first_reschedule_date = lambda context: began_at
    return sensor.resume_execution(method, arguments, {"ti": ti})


@MAKERS
@CAUSES
def test_soft_fail_skips_no_broken_deferral(
    vod: Vod, make: Make, method: str, arguments: dict[str, Any], error: type[Exception]
) -> None:
    """A trigger that crashed, cannot be imported or is refused fails the task, and says whose wait it was and what to do."""
    with pytest.raises(error) as caught:
        resume(make(soft_fail=True), method, arguments)
    assert f"in queue {vod.queue}, connection 'vod_default'" in str(caught.value)
    assert "Next: run `airflow-vod doctor --conn-id vod_default`" in str(caught.value)


@MAKERS
@CAUSES
def test_never_fail_skips_any(
    vod: Vod, make: Make, method: str, arguments: dict[str, Any], error: type[Exception]
) -> None:
    """never_fail skips it, with the reason, as on a worker."""
    with pytest.raises(AirflowSkipException) as caught:
        resume(make(never_fail=True), method, arguments)
    assert isinstance(caught.value.__cause__, error)
    assert str(caught.value) == str(caught.value.__cause__)


@MAKERS
@CAUSES
@pytest.mark.parametrize("soft_fail", [False, True])
def test_silent_fail_waits_on(
    vod: Vod, make: Make, method: str, arguments: dict[str, Any], error: type[Exception], soft_fail: bool
) -> None:
    """silent_fail lets Airflow begin the wait anew after a while, until the time is over, which began with the first of them."""
    options = {"silent_fail": True, "soft_fail": soft_fail}
    with pytest.raises(AirflowRescheduleException) as caught:
        resume(make(timeout=3600, **options), method, arguments, began=3500)
    pause = caught.value.reschedule_date.timestamp() - time.time()
    assert PAUSE - 5 < pause <= PAUSE
    with pytest.raises(AirflowSkipException if soft_fail else AirflowSensorTimeout) as ended:
        resume(make(timeout=3600, **options), method, arguments, began=3700)
    assert isinstance(ended.value.__cause__, error)


def test_silent_fail_goes_on_in_the_triggerer(vod: Vod, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trigger whose wait breaks there waits on there, and finds its event."""
    breaks = [ZeroDivisionError(), ZeroDivisionError()]
    wait_of_the_trigger = VodTaskTrigger._wait

    async def break_twice(self: VodTaskTrigger, look_by: float) -> Any:
        if breaks:
            raise breaks.pop()
        return await wait_of_the_trigger(self, look_by)

    monkeypatch.setattr(VodTaskTrigger, "_wait", break_twice)
    monkeypatch.setattr(triggers, "_SILENT_PAUSE", 0.1)
    vod.publish_concat("Concat-1")
    result = wait(
        lambda **mode: VodTaskSensor(task_id="wait", vod_task_id="Concat-1", **mode), "deferrable", silent_fail=True
    )
    assert result["vod_task_id"] == "Concat-1"
    assert not breaks
