"""The deferral trigger, in an event loop of its own, with the relay and the emulator behind it."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from airflow_vod.exceptions import VodAuthenticationError, VodSettingsError, error_from_dict
from airflow_vod.inbox.lookup import FinishedTasks
from airflow_vod.triggers import base
from airflow_vod.triggers.vod import VodTaskTrigger
from airflow_vod.waiting.waiter import TaskWaiter
from airflow_vod.waiting.watch import Watch
from tests.airflow_fixtures import INBOX_OPTION, Vod
from tests.airflow_names import deserialize, serialize
from tests.databases import DRIVER, PostgreSQLServer
from tests.samples import concat_event

FAILED = {"ErrCode": 70000, "Message": "internal error"}


def trigger(vod_task_id: Any = "Concat-1", seconds: float = 3600, **arguments: Any) -> VodTaskTrigger:
    """A trigger that gives up after some seconds."""
    settings = {"vod_conn_id": "vod_default", "deadline": time.time() + seconds, "waiter": "dag/run/task"}
    return VodTaskTrigger(vod_task_id=vod_task_id, **settings | arguments)


async def payload(one: VodTaskTrigger) -> dict[str, Any]:
    """Run a trigger as Airflow does, until its event, which comes long before a deadline in an hour."""
    async with asyncio.timeout(60):
        event = await anext(one.run())
    assert isinstance(event, TriggerEvent)
    return event.payload


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that happens in another thread."""
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def error_of(one: VodTaskTrigger) -> Exception:
    """Run a trigger that ends in an error."""
    event = await payload(one)
    assert event["status"] == "error"
    json.dumps(event)
    return error_from_dict(event["error"])


# How Airflow stores it


@pytest.mark.parametrize("vod_task_id", ["Concat-1", ["Concat-1", "Concat-2"], ("Concat-1",)])
def test_round_trip(vod_task_id: Any) -> None:
    """What Airflow stores is plain, the same each time, and makes the same trigger again."""
    one = trigger(vod_task_id, event_types=("ConcatComplete", "EditMediaComplete"), sub_app_id=7)
    path, kwargs = one.serialize()
    assert path == "airflow_vod.triggers.vod.VodTaskTrigger"
    assert json.loads(json.dumps(kwargs)) == kwargs
    restored = VodTaskTrigger(**deserialize(serialize(kwargs)))
    assert restored.serialize() == one.serialize() == one.serialize()


def test_no_secret_is_stored(vod: Vod) -> None:
    """What Airflow stores names the connection and holds nothing that was in it."""
    stored = json.dumps(trigger().serialize())
    assert "vod_default" in stored
    assert vod.emulator.secret_key not in stored
    assert vod.emulator.secret_id not in stored


# The wait


async def test_it_ends_right_after_its_event(vod: Vod) -> None:
    """There is one event, and nothing runs on behind it: Airflow would take that for a task that was killed."""
    vod.publish_concat("Concat-1")
    running = trigger().run()
    assert (await anext(running)).payload == {"status": "found"}
    before = time.monotonic()
    with pytest.raises(StopAsyncIteration):
        await anext(running)
    assert time.monotonic() - before < 5


@pytest.mark.parametrize(
    "bad",
    [{"vod_task_id": "Concat-9\n"}, {"vod_task_id": "Concat-\ud800"}, {"event_types": ["ConcatComplete", None]}],
    ids=["newline", "surrogate", "type"],
)
async def test_who_waits_for_nonsense_ends_alone(vod: Vod, bad: dict[str, Any]) -> None:
    """An id or a type that cannot be ends its own wait, and none of the others in the same queue."""
    good = [asyncio.create_task(payload(trigger(f"Concat-{n}", waiter=f"dag/run/{n}"))) for n in range(3)]
    await asyncio.to_thread(vod.after_pulls, 1)
    assert isinstance(
        await error_of(trigger(**{"vod_task_id": "Concat-9", "waiter": "dag/run/bad"} | bad)), VodSettingsError
    )
    for n in range(3):
        vod.publish_concat(f"Concat-{n}")
    assert await asyncio.gather(*good) == [{"status": "found"}] * 3


async def test_two_connections_to_one_queue(vod: Vod) -> None:
    """A wrong key in one connection ends the waits of this connection, and none of the other's."""
    vod.connect("vod_wrong", password="not-the-right-secret-key")
    wrong = asyncio.create_task(error_of(trigger("Concat-9", vod_conn_id="vod_wrong", waiter="dag/run/wrong")))
    # The key is read and tried twice; one that is not used, for another relay feeds the inbox, is not found to be wrong.
    await asyncio.to_thread(vod.after_pulls, 2)
    good = asyncio.create_task(payload(trigger("Concat-1", 60)))
    assert isinstance(await wrong, VodAuthenticationError)
    vod.publish_concat("Concat-1")
    assert await good == {"status": "found"}


async def test_an_event_is_heard_at_once(vod: Vod) -> None:
    """From the publication of an event to the trigger's own passes far less than any polling interval."""
    waiting = asyncio.create_task(payload(trigger()))
    await asyncio.to_thread(vod.after_pulls, 2)
    published = time.monotonic()
    vod.publish_concat("Concat-1")
    assert await waiting == {"status": "found"}
    assert time.monotonic() - published < 10


async def test_many_triggers_share_one_relay(vod: Vod) -> None:
    """However many triggers wait, one pull at a time is open, and each gets its own event."""
    waiting = [asyncio.create_task(payload(trigger(f"Concat-{n}"))) for n in range(50)]
    await asyncio.to_thread(vod.after_pulls, 2)
    assert vod.emulator.queue(1500012345).waiting <= 1
    for n in reversed(range(50)):
        vod.publish_concat(f"Concat-{n}")
    assert await asyncio.gather(*waiting) == [{"status": "found"}] * 50


async def test_the_last_of_several_comes_while_another_is_judged(vod: Vod, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that ends the wait in the moment in which the inbox is looked into is not in its way."""
    look = VodTaskTrigger._look

    async def slow(self: VodTaskTrigger, watch: Watch, ids: Sequence[str]) -> FinishedTasks:
        found = await look(self, watch, ids)
        vod.publish_concat("Concat-2")
        for waiter in watch._index.of_task("Concat-2"):
            while waiter.missing:  # noqa: ASYNC110 - it offers nothing to wait on
                await asyncio.sleep(0.01)
        return found

    monkeypatch.setattr(VodTaskTrigger, "_look", slow)
    vod.publish_concat("Concat-1")
    assert await payload(trigger(["Concat-1", "Concat-2"])) == {"status": "found"}


async def test_all_of_several(vod: Vod) -> None:
    """A trigger for several tasks waits for the last of them."""
    vod.publish_concat("Concat-2")
    waiting = asyncio.create_task(payload(trigger(["Concat-1", "Concat-2"])))
    await asyncio.to_thread(vod.after_pulls, 3)
    assert not waiting.done()
    vod.publish_concat("Concat-1")
    assert await waiting == {"status": "found"}


@pytest.mark.parametrize(("fail_fast", "status"), [(True, "found"), (False, "timeout")])
async def test_one_failure_ends_the_wait_for_several(vod: Vod, fail_fast: bool, status: str) -> None:
    """The first failed task ends the wait at once, unless all outcomes are wanted."""
    vod.publish_concat("Concat-2", FAILED)
    assert (await payload(trigger(["Concat-1", "Concat-2"], 2, fail_fast=fail_fast)))["status"] == status


async def test_the_deadline(vod: Vod) -> None:
    """At its deadline the trigger says how many tasks are missing; one that has passed needs no wait."""
    vod.publish_concat("Concat-2")
    waiting = payload(trigger(["Concat-0", "Concat-1", "Concat-2"], 1.0))
    assert await waiting == {"status": "timeout", "missing": 2, "asked_at": None, "answer": None}
    before = time.monotonic()
    assert await payload(trigger("Concat-1", -5)) == {
        "status": "timeout",
        "missing": 1,
        "asked_at": None,
        "answer": None,
    }
    assert time.monotonic() - before < 5


async def test_the_deadline_of_a_trigger_that_no_worker_made(vod: Vod) -> None:
    """It ends by itself when Airflow would end it, and says what is missing; the inbox knows that time too."""
    one = trigger(deadline=None)
    one.timeout_after = datetime.now(UTC) + timedelta(seconds=1.5)  # type: ignore[attr-defined]
    waiting = asyncio.create_task(payload(one))
    await _until(lambda: len(vod.store.waiters.longest(vod.queue)) == 1)
    assert vod.store.waiters.longest(vod.queue)[0].deadline == one.timeout_after.timestamp()  # type: ignore[attr-defined]
    assert await waiting == {"status": "timeout", "missing": 1, "asked_at": None, "answer": None}
    assert datetime.now(UTC) >= one.timeout_after  # type: ignore[attr-defined]


async def test_a_cancelled_trigger_leaves_nothing_behind(vod: Vod) -> None:
    """When the task is cleared while it waits, its waiter goes from the inbox."""
    waiting = asyncio.create_task(payload(trigger()))
    await _until(lambda: len(vod.store.waiters.longest(vod.queue)) == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await _until(lambda: not vod.store.waiters.longest(vod.queue))


@pytest.mark.parametrize("vod_task_id", ["Concat-1", ["Concat-1"]], ids=["id", "list"])
async def test_a_start_after_the_deadline(vod: Vod, vod_task_id: Any) -> None:
    """A trigger that starts after its deadline looks into the inbox before it says that the time is over."""
    vod.store.receive(vod.queue, [concat_event("Concat-1")], "pull")
    assert await payload(trigger(vod_task_id, -5)) == {"status": "found"}


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - a database tells nobody
            await asyncio.sleep(0.02)


# The end of the task in the triggerer


@pytest.mark.parametrize(
    ("vod_task_id", "mapped_length"), [("Concat-1", None), (["Concat-1", "Concat-2"], 2), (["Concat-1"], 1)]
)
async def test_success_ends_the_task(
    vod: Vod, monkeypatch: pytest.MonkeyPatch, vod_task_id: Any, mapped_length: int | None
) -> None:
    """The result is pushed as the task would push it, a list with its length to expand over, and its events are read."""
    pushed: list[tuple[str, Any, dict[str, Any]]] = []

    async def push(key: str, value: Any, **where: Any) -> None:
        pushed.append((key, value, where))

    monkeypatch.setattr("airflow.sdk.execution_time.xcom.XCom.aset", push)
    ids = [vod_task_id] if isinstance(vod_task_id, str) else vod_task_id
    vod.store.receive(vod.queue, [concat_event(each) for each in ids], "pull")
    one = trigger(vod_task_id, end_from_trigger=True)
    one.task_instance = SimpleNamespace(dag_id="dag", run_id="run", task_id="wait", map_index=3)  # type: ignore[assignment]
    assert isinstance(await anext(one.run()), TaskSuccessEvent)
    [(key, value, where)] = pushed
    assert key == "return_value"
    values = [value] if mapped_length is None else value
    assert [each["vod_task_id"] for each in values] == ids
    expected = {"dag_id": "dag", "run_id": "run", "task_id": "wait", "map_index": 3, "_mapped_length": mapped_length}
    assert where == expected
    assert {event.read_by for event in vod.store.newest(vod.queue)} == {"dag/run/task"}


async def test_nothing_is_pushed_where_nothing_is_wanted(vod: Vod, monkeypatch: pytest.MonkeyPatch) -> None:
    """With do_xcom_push=False the task ends in the triggerer without an XCom."""
    monkeypatch.setattr("airflow.sdk.execution_time.xcom.XCom.aset", None)
    vod.store.receive(vod.queue, [concat_event("Concat-1")], "pull")
    one = trigger(end_from_trigger=True, do_xcom_push=False)
    assert isinstance(await anext(one.run()), TaskSuccessEvent)


async def test_only_a_worker_can_fail_a_task(vod: Vod, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed VOD task, and a result that cannot be pushed, are handed to a worker; nothing is marked as read."""
    one = trigger(end_from_trigger=True)  # without a task instance nothing can be pushed
    vod.store.receive(vod.queue, [concat_event("Concat-1")], "pull")
    assert await payload(one) == {"status": "found"}
    vod.publish_concat("Concat-2", FAILED)
    assert await payload(trigger("Concat-2", end_from_trigger=True)) == {"status": "found"}
    assert {event.read_by for event in vod.store.newest(vod.queue)} == {None}


# What disturbs it


@pytest.mark.parametrize("vod_task_id", ["", None, [], ["Concat-1", " "]])
async def test_a_useless_id(vod: Vod, vod_task_id: Any) -> None:
    """An id that came empty out of a template, where no worker could check it, ends the wait in a clear error."""
    error = await error_of(trigger(vod_task_id))
    assert isinstance(error, VodSettingsError)
    assert "vod_task_id is" in str(error)


async def test_an_unknown_connection(vod: Vod) -> None:
    """A connection that does not exist ends the wait in an error that names it."""
    error = await error_of(trigger(vod_conn_id="nowhere"))
    assert isinstance(error, VodSettingsError)
    assert "Connection 'nowhere' does not exist" in str(error)


async def test_a_wrong_key(vod: Vod) -> None:
    """Credentials that are refused, also after the connection was read again, end the wait; no secret is in the event."""
    vod.connect(password="not-the-right-secret-key")
    error = await error_of(trigger())
    assert isinstance(error, VodAuthenticationError)
    assert "Check SecretId and SecretKey" in str(error)
    assert "not-the-right" not in repr(error)


async def test_a_key_that_was_replaced(vod: Vod) -> None:
    """When the key stops working the connection is read again, so a rotated key does not end the wait."""
    vod.connect(login="AKIDold")
    waiting = asyncio.create_task(payload(trigger()))
    calls = vod.emulator.calls
    await asyncio.to_thread(vod.emulator.wait_until, lambda: calls.count("PullEvents") == 1)
    vod.connect()
    vod.publish_concat("Concat-1")
    assert await waiting == {"status": "found"}
    assert calls.count("PullEvents", "AuthFailure.SecretIdNotFound") > 1


async def test_a_wait_goes_on_with_another_watch(vod: Vod) -> None:
    """A wait whose watch was replaced begins anew neither for people nor for the questions to VOD."""
    one = trigger("Concat-1")
    waiting = asyncio.create_task(payload(one))
    await until(lambda: one.watch is not None and bool(one.watch.inbox.waiters.longest(one.watch.queue)))
    first, watch = one._current, one.watch
    assert watch is not None
    assert isinstance(first, TaskWaiter)
    first.since_at -= 10
    first.asked_at, first.answer, first.unannounced = first.since_at, "it is PROCESSING", frozenset({"Concat-1"})
    watch.end(retired=True)
    await until(lambda: one.watch is not watch and bool(watch.inbox.waiters.longest(watch.queue)))
    second = one._current
    assert second is not first
    assert isinstance(second, TaskWaiter)
    assert (second.since_at, second.unannounced) == (first.since_at, {"Concat-1"})
    assert second.asked_at is not None and second.asked_at >= first.asked_at  # noqa: PT018
    [line] = watch.inbox.waiters.longest(watch.queue)
    assert line.answer is not None
    assert line.unannounced
    vod.publish_concat("Concat-1")
    assert await waiting == {"status": "found"}


async def test_an_outage_of_the_api(vod: Vod) -> None:
    """While nobody answers, the trigger waits on."""
    vod.emulator.stop()
    waiting = asyncio.create_task(payload(trigger()))
    await asyncio.sleep(1.0)
    vod.publish_concat("Concat-1")
    vod.emulator.start()
    assert await waiting == {"status": "found"}


@pytest.fixture(name="unsteady")
def quick_unsteady(unsteady: tuple[Path, Path, str], monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path, str]:
    """The same, with short pauses between the trigger's tries."""
    monkeypatch.setattr(base, "_RETRY_PAUSE", 0.2)
    return unsteady


async def test_an_inbox_that_is_away_at_first(vod: Vod, unsteady: tuple[Path, Path, str]) -> None:
    """A database that does not answer when the trigger starts is tried again until it does."""
    link, socket, _ = unsteady
    vod.publish_concat("Concat-1")
    waiting = asyncio.create_task(payload(trigger()))
    await asyncio.sleep(1.0)
    assert not waiting.done()
    link.symlink_to(socket)
    assert await waiting == {"status": "found"}


async def test_an_inbox_that_goes_away(
    vod: Vod, unsteady: tuple[Path, Path, str], postgresql: PostgreSQLServer
) -> None:
    """A database that is lost in the middle of a wait is survived, and what came meanwhile is found."""
    link, socket, url = unsteady
    link.symlink_to(socket)
    waiting = asyncio.create_task(payload(trigger()))
    await asyncio.to_thread(vod.after_pulls, 2)
    link.unlink()
    name = url.partition("@/")[2].partition("?")[0]
    kill = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    await asyncio.to_thread(postgresql.execute, kill)
    vod.publish_concat("Concat-1")
    await asyncio.sleep(1.5)
    assert not waiting.done()
    link.symlink_to(socket)
    assert await waiting == {"status": "found"}


async def test_an_inbox_that_stays_away(vod: Vod, unsteady: tuple[Path, Path, str]) -> None:
    """Without a database the deadline still holds."""
    said = await payload(trigger(seconds=1.0))
    assert "inbox_sql_alchemy_conn" in said.pop("trouble")
    assert said == {"status": "timeout", "missing": 1, "asked_at": None, "answer": None}


class Heart:
    """Beats in the event loop, and notes the longest pause between two beats."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._task = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        before = time.monotonic()
        while True:
            await asyncio.sleep(0.01)
            self.longest, before = max(self.longest, time.monotonic() - before), time.monotonic()

    def stop(self) -> float:
        """Stop, and tell the longest pause in seconds."""
        self._task.cancel()
        return self.longest


async def test_the_event_loop_goes_on_while_the_wait_is_slow(vod: Vod) -> None:
    """While pulls are held and the inbox is locked, other triggers run on."""
    waiting = [asyncio.create_task(payload(trigger(f"Concat-{n}"))) for n in range(20)]
    await asyncio.to_thread(vod.after_pulls, 1)
    heart = Heart()
    lock = sqlite3.connect(vod.inbox_url.removeprefix("sqlite:///"), isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")  # nobody else can write now
    waiting += [asyncio.create_task(payload(trigger(f"Concat-{n}"))) for n in range(20, 40)]
    for n in range(40):
        vod.publish_concat(f"Concat-{n}")
    await asyncio.sleep(4)
    lock.execute("COMMIT")
    lock.close()
    assert await asyncio.gather(*waiting) == [{"status": "found"}] * 40
    assert heart.stop() < 3  # what blocks would do so for as long as the inbox was locked


async def test_the_event_loop_goes_on_while_the_inbox_is_opened(vod: Vod, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that accepts connections and says nothing keeps one trigger waiting, not all."""
    folder = mkdtemp(prefix="vod-mute-")
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(f"{folder}/.s.PGSQL.5432")
        mute.listen()
        monkeypatch.setenv(INBOX_OPTION, f"postgresql+{DRIVER}://postgres@/any?host={folder}")
        waiting = asyncio.create_task(payload(trigger()))
        heart = Heart()
        await asyncio.sleep(4)
        assert heart.stop() < 3
        mute.accept()[0].close()
        waiting.cancel()
        await asyncio.wait([waiting])
    shutil.rmtree(folder)
