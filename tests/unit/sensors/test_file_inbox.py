"""A wait that begins beside an inbox in a file that other machines do not see says so in its own log."""

from __future__ import annotations

import asyncio
import logging

import pytest
import structlog

from airflow_vod.events.matching import EventMatch
from airflow_vod.sensors.vod import VodConcatSensor
from airflow_vod.triggers.vod import VodTaskTrigger
from airflow_vod.waiting.feed import Feed
from tests.airflow_fixtures import MODES, SENSOR_MARKS, Vod
from tests.dag_runs import run_dag

pytestmark = SENSOR_MARKS
EXECUTOR = "AIRFLOW__CORE__EXECUTOR"


def warnings_in(text: str) -> int:
    """How often a text says it."""
    return text.count("runs tasks with CeleryExecutor, on other machines")


@pytest.mark.parametrize(
    ("executor", "mode", "said"),
    [("CeleryExecutor", "poke", 1), ("CeleryExecutor", "deferrable", 1), ("LocalExecutor", "poke", 0)],
)
def test_a_sensor_warns(
    vod: Vod,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    executor: str,
    mode: str,
    said: int,
) -> None:
    """Once in each process of the wait, in the task's log, with the remedy; and never where all runs on one machine."""
    monkeypatch.setenv(EXECUTOR, executor)
    vod.publish_concat("Concat-1")
    run_dag(lambda: VodConcatSensor(task_id="wait", vod_task_id="Concat-1", timeout=60, **MODES[mode]))
    out = capsys.readouterr().out
    assert out.count("runs tasks with CeleryExecutor, on other machines") == said
    assert out.count("[warning  ] The inbox is the file") == said


@pytest.mark.parametrize(("waiter", "said"), [(None, 1), ("dag/run/task", 0)])
async def test_a_trigger_without_worker_warns(
    vod: Vod, monkeypatch: pytest.MonkeyPatch, waiter: str | None, said: int
) -> None:
    """Where a wait began without a worker its trigger says it, into the same log; else the sensor has."""
    monkeypatch.setenv(EXECUTOR, "CeleryExecutor")
    vod.publish_concat("Concat-1")
    with structlog.testing.capture_logs() as lines:
        await anext(VodTaskTrigger(vod_task_id="Concat-1", vod_conn_id="vod_default", waiter=waiter).run())
    assert warnings_in(str(lines)) == said


async def test_an_asset_watcher_warns(
    vod: Vod, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It relays as sensors do."""
    monkeypatch.setenv(EXECUTOR, "CeleryExecutor")
    feed = Feed("watcher", EventMatch.of(None, None), "vod_default")
    events = feed.events()
    vod.publish_concat("Concat-1")
    with caplog.at_level(logging.WARNING):
        first = asyncio.ensure_future(anext(events))
        await asyncio.sleep(1)
        first.cancel()
        await feed.aclose()
    assert warnings_in(caplog.text) == 1
