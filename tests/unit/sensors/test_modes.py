"""What ends a sensor's wait, in which state, in every mode: one table, and what each mode says about time."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_vod.sensors.vod import VodTaskSensor
from airflow_vod.triggers import base as triggers
from airflow_vod.triggers.vod import VodTaskTrigger
from tests.airflow_fixtures import INBOX_OPTION, MODES, SENSOR_MARKS, Vod
from tests.airflow_names import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
)
from tests.dag_runs import run_dag
from tests.databases import DRIVER

pytestmark = SENSOR_MARKS

SUCCESS, FAILED, SKIPPED, RETRY, RESCHEDULED = "success", "failed", "skipped", "up_for_retry", "up_for_reschedule"
HOW = ("plain", "soft_fail", "never_fail", "silent_fail")
TABLE: dict[str, tuple[str, str, str, str]] = {
    # What happens, with retries=1     plain    soft_fail never_fail silent_fail
    "an event in time": (SUCCESS, SUCCESS, SUCCESS, SUCCESS),
    "no event until the timeout": (FAILED, SKIPPED, SKIPPED, FAILED),
    "the VOD task failed": (FAILED, SKIPPED, SKIPPED, FAILED),
    "a refused key": (RETRY, RETRY, SKIPPED, FAILED),  # silent_fail waits on, until the timeout
    "no inbox until the timeout": (FAILED, SKIPPED, SKIPPED, FAILED),
    "a trigger that breaks on a worker": (RETRY, RETRY, SKIPPED, FAILED),  # as with a refused key
    # There the trigger has ended, and Airflow resumes the sensor: silent_fail lets Airflow begin the wait anew.
    "a trigger that breaks in the triggerer": (RETRY, RETRY, SKIPPED, RESCHEDULED),
}
CASES = [
    (cause, mode)
    for cause in TABLE
    for mode in MODES
    if not cause.endswith("in the triggerer") and not (cause.endswith("on a worker") and mode == "deferrable")
]


def _break(monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait(*_: object) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(VodTaskTrigger, "_wait", wait)


def _prepare(cause: str, vod: Vod, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let happen what a row of the table is about."""
    match cause:
        case "an event in time":
            for how in HOW:
                vod.publish_concat(f"Concat-{how}")
        case "the VOD task failed":
            for how in HOW:
                vod.publish_concat(f"Concat-{how}", {"ErrCode": 70000, "Message": "internal error"})
        case "a refused key":
            vod.connect(password="not-the-right-secret-key")
        case "no inbox until the timeout":
            monkeypatch.setattr(triggers, "_RETRY_PAUSE", 0.2)
            monkeypatch.setenv(INBOX_OPTION, f"postgresql+{DRIVER}://postgres@/any?host=/no/such/folder")
        case "a trigger that breaks on a worker":
            _break(monkeypatch)


def _timeout(cause: str, state: str) -> float:
    """Wait for long unless the end of the time is what the wait comes to."""
    comes_to_it = "until" in cause or (state == FAILED and cause != "the VOD task failed")
    return 0.5 if comes_to_it else 60.0


@pytest.mark.parametrize(("cause", "mode"), CASES)
def test_the_table(vod: Vod, monkeypatch: pytest.MonkeyPatch, cause: str, mode: str) -> None:
    """Whatever ends a wait, the task's state is the same in every mode; up_for_retry means that Airflow tries again."""
    _prepare(cause, vod, monkeypatch)

    def define() -> None:
        for how, state in zip(HOW, TABLE[cause], strict=True):
            VodTaskSensor(
                task_id=how,
                vod_task_id=f"Concat-{how}",
                timeout=_timeout(cause, state),
                retries=1,
                retry_delay=0,
                **MODES[mode],
                **({} if how == "plain" else {how: True}),
            )

    run = run_dag(define)
    # A task that was tried again has failed again: nothing has changed for it.
    states = [RETRY if run.tries(how) == 2 and run.state_of(how) == FAILED else run.state_of(how) for how in HOW]
    assert dict(zip(HOW, states, strict=True)) == dict(zip(HOW, TABLE[cause], strict=True))


_TI = SimpleNamespace(
    dag_id="dag",
    run_id="run",
    task_id="wait",
    map_index=-1,
    try_number=1,
    start_date=None,
    get_first_reschedule_date=lambda context: None,
)
_CONTEXT: Any = {"ti": _TI}


@pytest.mark.parametrize(("how", "state"), [*zip(HOW, TABLE["a trigger that breaks in the triggerer"], strict=True)])
def test_a_trigger_that_breaks_in_the_triggerer(how: str, state: str) -> None:
    """Airflow resumes the sensor to say so; the error is what a worker would have met, and is not taken for a timeout."""
    arguments = {} if how == "plain" else {how: True}
    sensor = VodTaskSensor(task_id="wait", vod_task_id="Concat-1", deferrable=True, **arguments)
    reason = {"error": "Trigger failure", "traceback": ["ZeroDivisionError\n"]}
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is what is asked
        sensor.resume_execution("__fail__", reason, _CONTEXT)
    assert _state_after(caught.value) == state


def _state_after(error: BaseException) -> str:
    """Tell what Airflow makes of an error."""
    if isinstance(error, AirflowSkipException):
        return SKIPPED
    if isinstance(error, AirflowRescheduleException):
        return RESCHEDULED
    return FAILED if isinstance(error, (AirflowFailException, AirflowSensorTimeout)) else RETRY


# Time


def _rescheduled(vod: Vod, **arguments: Any) -> tuple[float, VodTaskSensor]:
    """Look once, in the mode reschedule.

    :return: after how many seconds Airflow is asked to look again, and the sensor.
    """
    began = datetime.now(UTC) - timedelta(minutes=10)
    ti = SimpleNamespace(**vars(_TI) | {"get_first_reschedule_date": lambda context: began})
    sensor = VodTaskSensor(task_id="wait", vod_task_id="Concat-1", mode="reschedule", timeout=86400, **arguments)
    with pytest.raises(AirflowRescheduleException) as caught:
        sensor.execute({"ti": ti})  # type: ignore[typeddict-item]
    return (caught.value.reschedule_date - datetime.now(UTC)).total_seconds(), sensor


def test_the_next_look_comes_when_airflow_says(vod: Vod) -> None:
    """The interval between two looks is Airflow's own, with exponential_backoff and max_wait as its sensors have them."""
    assert _rescheduled(vod, poke_interval=1000)[0] == pytest.approx(1000, abs=30)
    assert _rescheduled(vod, poke_interval=3600, exponential_backoff=True, max_wait=500)[0] == pytest.approx(
        500, abs=30
    )
    seconds, sensor = _rescheduled(vod, poke_interval=60, exponential_backoff=True)
    assert 60 < seconds < 3600
    assert sensor.poke_interval == 60


@pytest.mark.parametrize("backoff", [{}, {"exponential_backoff": True, "max_wait": 7200}], ids=["plain", "backoff"])
def test_an_event_is_noticed_at_once(vod: Vod, backoff: dict[str, Any]) -> None:
    """In the mode poke an event ends the wait soon, however seldom Airflow's own sensors would look."""

    def later() -> None:
        vod.after_pulls(2)
        vod.publish_concat("Concat-1")

    happening = threading.Thread(target=later)
    happening.start()
    began = time.monotonic()
    sensor = VodTaskSensor(task_id="wait", vod_task_id="Concat-1", poke_interval=3600, timeout=86400, **backoff)
    ti = SimpleNamespace(**vars(_TI), xcom_push=lambda **_: None)
    assert sensor.execute({"ti": ti})["vod_task_id"] == "Concat-1"  # type: ignore[typeddict-item]
    happening.join()
    assert time.monotonic() - began < 30
