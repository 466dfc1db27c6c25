"""A pipeline that is told to stop ends as soon as nothing can be lost, whoever tells it and whenever."""

from __future__ import annotations

import itertools
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.inbox import InboxStore
from airflow_vod.relay import pipeline as pipeline_module
from airflow_vod.relay.pace import FLOW_GAP
from airflow_vod.relay.pipeline import Pipeline
from airflow_vod.relay.steps import Relay
from tests.relays import SUB_APP_ID, client_of, publish, until
from tests.unit.relay.running import Run

SOON = 2.0  # seconds; far less than a long poll


@pytest.fixture
def vod_emulator_options() -> EmulatorOptions:
    """VOD's own long polls."""
    return EmulatorOptions(hold=5.0)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise in the main thread instead of hanging for ever."""

    def give_up(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def stop_interrupted(pipeline: Pipeline, moment: int) -> bool:
    """Stop a pipeline, and raise a signal before one of the lines of Python that this takes.

    :return: whether there were so many lines.
    """
    left = moment

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        left -= event == "line"
        if left == 0 and event == "line":
            signal.raise_signal(signal.SIGUSR1)
        return trace

    traced_before = sys.gettrace()
    sys.settrace(trace)
    try:
        pipeline.stop()
    finally:
        sys.settrace(traced_before)
    return left <= 0


def test_a_signal_in_the_middle_of_stop_does_no_harm(vod_emulator: Emulator, tmp_path: Path) -> None:
    """A handler that calls `stop` may interrupt `stop` at any line: nothing hangs, and the pipeline ends."""
    store, client = InboxStore.open(f"sqlite:///{tmp_path / 'inbox.db'}"), client_of(vod_emulator)
    handled = 0

    def handle(*_: object) -> None:
        nonlocal handled
        handled += 1
        pipeline.stop()

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        for moment in itertools.count(1):
            pipeline = Pipeline(Relay(client, store))
            with deadline(10):
                interrupted = stop_interrupted(pipeline, moment)
                pipeline.run()
            if not interrupted:
                break
    finally:
        signal.signal(signal.SIGUSR1, before)
        client.close()
        store.close()
    assert handled == moment - 1 >= 2


def test_who_got_its_event_leaves_before_the_next_long_poll(vod_emulator: Emulator, run_sqlite: Run) -> None:
    """A process that stops as soon as its event is stored waits for nothing, and the event is confirmed all the same."""
    publish(vod_emulator, 1)
    running = run_sqlite(passes_by=True, on_received=lambda: running.pipeline.stop())
    running.thread.join(SOON)
    assert not running.thread.is_alive()
    assert vod_emulator.calls.count("PullEvents") == 1
    assert vod_emulator.queue(SUB_APP_ID).confirmed == 1


def test_there_is_time_to_leave_after_news(
    vod_emulator: Emulator, run_sqlite: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has to look at the news before it stops still does so before the next long poll."""
    monkeypatch.setattr(pipeline_module, "NEWS_PAUSE", 1.0)
    publish(vod_emulator, 1)
    running = run_sqlite(passes_by=True, on_received=lambda: threading.Timer(0.1, running.pipeline.stop).start())
    running.thread.join(SOON)
    assert not running.thread.is_alive()
    assert vod_emulator.calls.count("PullEvents") == 1


def test_duplicates_are_no_reason_to_pause(vod_emulator: Emulator, run_sqlite: Run) -> None:
    """Events that the inbox knew already wake nobody, so the next pull starts at once."""
    publish(vod_emulator, 1)
    running = run_sqlite(passes_by=True)
    until(lambda: running.relay.summary.stored == 1)
    until(lambda: vod_emulator.queue(SUB_APP_ID).waiting == 1)
    time.sleep(2 * FLOW_GAP)
    publish(vod_emulator, 1)
    until(lambda: running.relay.summary.duplicates == 1)
    assert running.pipeline._pace.due == float("-inf")


def test_who_stands_by_stops_at_once(vod_emulator: Emulator, run_sqlite: Run) -> None:
    """Without a pull of its own a process waits for nobody's long poll."""
    run_sqlite()
    until(lambda: vod_emulator.queue(SUB_APP_ID).waiting == 1)
    second = run_sqlite()
    until(lambda: "leases.acquire" in second.store.calls)
    assert second.stop() < SOON


def test_where_events_come_by_callback_it_stops_at_once(vod_emulator: Emulator, run_sqlite: Run) -> None:
    """In PUSH mode no pull is open."""
    client = client_of(vod_emulator, callback_token="a-callback-token-of-a-test")
    client.modify_event_config(Mode="PUSH")
    running = run_sqlite(client)
    until(lambda: running.relay.health.by_callback)
    until(lambda: not running.pipeline._pulls, 10)
    assert running.stop() < SOON


def test_stop_waits_for_no_answer_without_events(vod_emulator: Emulator, run_sqlite: Run) -> None:
    """A question to VOD that is open loses nothing when its answer comes too late, as a pull would."""
    vod_emulator.faults.script({"DescribeEventConfig": ["slow:8"], "PullEvents": ["http_500"] * 20})
    running = run_sqlite()
    until(lambda: vod_emulator.faults.fired()["DescribeEventConfig", "slow:8"])
    until(lambda: running.relay.summary.pull_failures >= 4)
    assert running.stop() < SOON
