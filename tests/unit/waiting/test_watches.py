"""The watches of a process: who gets which, and what stands in nobody's way."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import threading
import time
from typing import Any

import pytest

from airflow_vod.emulator import Emulator
from airflow_vod.exceptions import InboxUnavailableError
from airflow_vod.tencent.settings import VodSettings
from airflow_vod.triggers import base as triggers
from airflow_vod.triggers.vod import VodTaskTrigger
from airflow_vod.waiting import trouble as trouble_module
from airflow_vod.waiting import watch as watch_module
from airflow_vod.waiting import watches as watches_module
from airflow_vod.waiting.waiter import TaskWaiter
from airflow_vod.waiting.watches import watch_of
from tests.relays import SUB_APP_ID, publish, until
from tests.unit.waiting.helpers import wait_for


async def test_one_watch_serves_all(connection: Emulator) -> None:
    """Whoever asks for the same connection gets the same watch."""
    some = await asyncio.gather(*(watch_of("vod_default") for _ in range(20)))
    assert len(set(some)) == 1


async def test_a_watch_outlives_its_last_waiter_for_a_while(
    connection: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends some time after; whoever comes while it ends gets a new one, and its event."""
    monkeypatch.setattr(watch_module, "LINGER", 1.5)
    watch = await watch_of("vod_default")
    await asyncio.to_thread(publish, connection, 1)
    await wait_for(watch, TaskWaiter(["Concat-0"]))
    await asyncio.sleep(0.7)
    assert watch.alive
    assert await watch_of("vod_default") is watch
    await asyncio.to_thread(until, lambda: not watch.alive)
    assert not watch.add(TaskWaiter(["Concat-0"]))
    new = await watch_of("vod_default")
    assert new is not watch
    await asyncio.to_thread(publish, connection, 1, "New")
    await wait_for(new, TaskWaiter(["New-0"]))
    await asyncio.to_thread(watch.join)


async def test_an_edited_connection_ends_the_old_watch(connection: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the connection is read again, whoever waits by what it said before comes back and waits by what it says now."""
    monkeypatch.setattr(watches_module, "SETTINGS_AGE", 0.0)
    monkeypatch.setattr(triggers, "_RETRY_PAUSE", 0.05)
    trigger = VodTaskTrigger(vod_task_id="Concat-1", vod_conn_id="vod_default", deadline=time.time() + 60)
    waiting = asyncio.create_task(trigger._last_event())
    await asyncio.to_thread(until, lambda: trigger.watch and len(trigger.watch._index))
    old = trigger.watch
    assert await watch_of("vod_default") is old  # read again, and nothing has changed
    monkeypatch.setenv("AIRFLOW_CONN_VOD_DEFAULT", connection.airflow_connection(SUB_APP_ID + 1))
    new = await watch_of("vod_default")
    assert new is not old
    assert new.queue.endswith(str(SUB_APP_ID + 1))
    connection.publish_concat("Concat-1", files=["http://example.com/a.mp4"], sub_app_id=SUB_APP_ID + 1)
    assert (await asyncio.wait_for(waiting, 30)).payload == {"status": "found"}
    assert trigger.watch is new
    await asyncio.to_thread(old.join)
    assert not old.alive


async def test_a_connection_that_is_mended_is_followed(connection: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """While pulls fail, those who wait read the connection again: whoever mends it need not start their tasks anew."""
    monkeypatch.setattr(watches_module, "SETTINGS_AGE", 0.5)
    monkeypatch.setattr(trouble_module, "HITCH", 0.1)
    right = json.loads(connection.airflow_connection(SUB_APP_ID))
    wrong = right | {"host": "http://127.0.0.1:9"}
    monkeypatch.setenv("AIRFLOW_CONN_VOD_DEFAULT", json.dumps(wrong))
    trigger = VodTaskTrigger(vod_task_id="Concat-1", vod_conn_id="vod_default", deadline=time.time() + 300)
    waiting = asyncio.create_task(trigger._last_event())
    await asyncio.to_thread(until, lambda: trigger.watch and trigger.watch.trouble)
    old = trigger.watch
    monkeypatch.setenv("AIRFLOW_CONN_VOD_DEFAULT", json.dumps(right))
    connection.publish_concat("Concat-1", files=["http://example.com/a.mp4"], sub_app_id=SUB_APP_ID)
    assert (await asyncio.wait_for(waiting, 60)).payload == {"status": "found"}
    assert old is not None
    await asyncio.to_thread(old.join)


async def test_an_edited_connection_is_read_after_a_while_only(
    connection: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes soon after another does not read the connection anew: that takes a triggerer a tenth of a second each."""
    watch = await watch_of("vod_default")

    async def refuse() -> VodSettings:
        raise AssertionError("read again")

    assert await watch_of("vod_default", None, refuse) is watch


class _Idle:
    """In place of a watch: it is there, and does nothing."""

    alive = True

    def __init__(self, settings: VodSettings, *_: object) -> None:
        self.settings = settings

    def start(self) -> None:
        """Start nothing."""


def _settings() -> VodSettings:
    return VodSettings(secret_id="id", secret_key="key", sub_app_id=SUB_APP_ID)


async def _read() -> VodSettings:
    return _settings()


def _find_in_child(answers: Any) -> None:
    watch = asyncio.run(watch_of("vod_default", None, _read))
    answers.put(id(watch))


def test_a_fork_leaves_no_lock_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that is forked while another thread of the parent holds the lock gets a watch, and one of its own."""
    monkeypatch.setattr(watches_module, "_watches", watches_module.Watches())
    monkeypatch.setattr(watches_module, "Watch", _Idle)
    monkeypatch.setattr(watches_module, "open_inbox", lambda url: None)
    parents = asyncio.run(watch_of("vod_default", None, _read))
    held, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with watches_module._watches._lock:
            held.set()
            leave.wait(60)

    holding = threading.Thread(target=hold)
    holding.start()
    held.wait(60)
    processes = multiprocessing.get_context("fork")
    answers = processes.Queue()
    child = processes.Process(target=_find_in_child, args=(answers,), daemon=True)
    child.start()
    try:
        assert answers.get(timeout=30) != id(parents)
    finally:
        leave.set()
        holding.join()
        child.kill()
        child.join()


@pytest.mark.parametrize("opening", ["fails", "hangs"])
async def test_nobodys_deadline_stands_in_line(monkeypatch: pytest.MonkeyPatch, opening: str) -> None:
    """Many waits whose inbox cannot be opened, because each try takes a second or does not end, end at their deadlines."""
    released = threading.Event()

    def closed(url: str) -> Any:
        released.wait(1 if opening == "fails" else 60)
        raise InboxUnavailableError("connect timeout")

    monkeypatch.setattr(watches_module, "open_inbox", closed)
    monkeypatch.setattr(triggers, "_LAST_LOOK", 0.5)
    began = time.time()
    deadline = began + (3 if opening == "fails" else 1)
    waits = [VodTaskTrigger(vod_task_id=f"T-{each}", vod_conn_id=f"c-{each}", deadline=deadline) for each in range(20)]
    for wait in waits:
        wait.read_settings = _read

    async def end_of(wait: VodTaskTrigger) -> tuple[str, float]:
        event = await wait._last_event()
        return event.payload["status"], time.time() - deadline

    try:
        ends = await asyncio.wait_for(asyncio.gather(*map(end_of, waits)), 30)
    finally:
        released.set()
    assert {status for status, _ in ends} == {"timeout"}
    assert min(late for _, late in ends) >= 0
    assert max(late for _, late in ends) < 5
