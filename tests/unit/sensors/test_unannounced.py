"""Sensors of tasks whose end VOD does not announce, in each way of waiting."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from airflow_vod.relay import reconcile
from airflow_vod.sensors import vod as sensors
from airflow_vod.sensors.vod import VodTaskSensor
from tests.airflow_fixtures import MODES, SENSOR_MARKS, SUB_APP_ID, Vod
from tests.executing import wait

pytestmark = SENSOR_MARKS


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask some ten times as often."""
    monkeypatch.setattr(reconcile, "CLOSE_FIRST", 0.5)
    monkeypatch.setattr(reconcile, "SURVEY_EVERY", 0.5)
    monkeypatch.setattr(sensors, "_ASK_AGAIN", 0.2)


def task_ends(vod: Vod, vod_task_id: str, task_type: str) -> None:
    """Let a task end, of which no event is sent."""
    detail = {"TaskId": vod_task_id, "Status": "FINISH", "ErrCode": 0}
    vod.emulator.add_task(vod_task_id, task_type, detail=detail, sub_app_id=SUB_APP_ID)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("event_type", [None, ()], ids=["VOD tells", "the DAG tells"])
@pytest.mark.parametrize("number", [1, 4], ids=["one", "several"])
def test_its_end_is_noticed_soon(vod: Vod, mode: str, event_type: Any, number: int) -> None:
    """The sensor notices the end long before the schedule of a task that is announced, whether VOD or the DAG says so."""
    # By the type alone VOD tells; where the DAG does, an unknown one will do.
    task_type = "TextToSpeechAsync" if event_type is None else "SomethingOfTomorrow"
    ids = [f"Speech-{each}" for each in range(number)]
    for vod_task_id in ids:
        vod.emulator.add_task(vod_task_id, task_type, status="PROCESSING", sub_app_id=SUB_APP_ID)

    def later() -> None:
        vod.after_pulls(3)
        for vod_task_id in ids:
            task_ends(vod, vod_task_id, task_type)

    happening = threading.Thread(target=later)
    happening.start()
    began = time.monotonic()
    results = wait(
        lambda **arguments: VodTaskSensor(task_id="wait", vod_task_id=ids, event_type=event_type, **arguments),
        mode,
        timeout=200,
    )
    happening.join()
    assert [result["vod_task_id"] for result in results] == ids
    assert {result["outcome"] for result in results} == {"succeeded"}
    assert time.monotonic() - began < 100  # at its end VOD is asked anyway


def test_the_page_can_show_what_vod_said(vod: Vod) -> None:
    """While a sensor waits, the list of waiters has VOD's last answer, and that no event will come."""
    vod.emulator.add_task("Speech-1", "TextToSpeechAsync", status="PROCESSING", sub_app_id=SUB_APP_ID)
    seen: list[Any] = []

    def later() -> None:
        vod.after_pulls(3)
        while not seen:
            seen.extend(line for line in vod.store.waiters.longest(vod.queue) if line.answer)
            time.sleep(0.05)
        task_ends(vod, "Speech-1", "TextToSpeechAsync")

    happening = threading.Thread(target=later)
    happening.start()
    wait(lambda **arguments: VodTaskSensor(task_id="wait", vod_task_id="Speech-1", **arguments), "poke", timeout=100)
    happening.join()
    assert "VOD says that task Speech-1 (TextToSpeechAsync), created " in seen[0].answer
    assert seen[0].unannounced is True
