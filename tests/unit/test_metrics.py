"""What is counted, and that counting is harmless."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from airflow_vod import metrics
from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.inbox import InboxStore
from airflow_vod.relay.reconcile import Reconciler
from airflow_vod.relay.steps import Relay
from airflow_vod.tencent.client import VodClient
from airflow_vod.tencent.settings import VodSettings
from tests.relays import drain


class Recorder:
    """Writes down what it is sent."""

    def __init__(self) -> None:
        self.counters: dict[str, int] = {}
        self.gauges: dict[str, float] = {}
        self.timers: dict[str, timedelta] = {}
        self.tags: list[dict[str, Any]] = []

    def incr(self, stat: str, count: int = 1, *, tags: dict[str, Any]) -> None:
        key = f"{stat} {tags['source']}" if "source" in tags else stat
        self.counters[key] = self.counters.get(key, 0) + count
        self.tags.append(tags)

    def gauge(self, stat: str, value: float, *, tags: dict[str, Any]) -> None:
        self.gauges[stat] = value
        self.tags.append(tags)

    def timing(self, stat: str, dt: timedelta, *, tags: dict[str, Any]) -> None:
        self.timers[stat] = dt
        self.tags.append(tags)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """Collects the numbers of one test."""
    recorder = Recorder()
    metrics.send_to(recorder)
    yield recorder
    metrics.send_to(None)


@pytest.fixture
def vod_emulator_options() -> EmulatorOptions:
    """Answer at once."""
    return EmulatorOptions(hold=0.01)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_relay_counts_what_it_does(recorder: Recorder, vod_emulator: Emulator, inbox: InboxStore) -> None:
    """Events received, duplicates, unreadable ones, failed confirms, reconciles and the lag are sent, with their queue."""
    client = VodClient(VodSettings(vod_emulator.secret_id, vod_emulator.secret_key, endpoint=vod_emulator.endpoint))
    event = vod_emulator.publish_concat("Concat-1", files=["http://example.com/f0.mp4"])
    vod_emulator.publish(event)
    vod_emulator.publish({"EventType": "Nonsense"})
    vod_emulator.faults.script({"ConfirmEvents": ["error:InvalidParameterValue:late"]})
    drain(Relay(client, inbox))
    vod_emulator.add_task("task-1", detail={"Status": "FINISH"})
    Reconciler(client, inbox).ask("task-1")
    client.close()
    assert recorder.counters == {
        "tencent_vod.events.received pull": 2,
        "tencent_vod.events.duplicates pull": 1,
        "tencent_vod.events.unparsed": 1,
        "tencent_vod.confirm.failures": 3,
        "tencent_vod.events.received reconcile": 1,
        "tencent_vod.reconciles": 1,
    }
    assert recorder.timers["tencent_vod.relay.lag"] >= timedelta(0)
    assert {tags["queue"] for tags in recorder.tags} == {client.settings.queue}


def test_a_broken_collector_disturbs_nothing() -> None:
    """Whatever the collector raises, the work goes on."""
    metrics.send_to(object())
    try:
        metrics.count("events.received")
        metrics.gauge("waiters", 1)
        metrics.timing("relay.lag", 0.1)
    finally:
        metrics.send_to(None)


def test_airflows_own_stats_take_them() -> None:
    """The calls have the shape of Airflow's Stats."""
    from airflow.providers.common.compat.sdk import Stats

    for name, arguments in (("incr", ("x", 2)), ("gauge", ("x", 1.0)), ("timing", ("x", timedelta(seconds=1)))):
        getattr(Stats, name)(*arguments, tags={"queue": "q"})
