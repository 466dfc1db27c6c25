"""Asking VOD itself: what it says plainly counts, everything else is no information."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count, islice, pairwise, takewhile
from typing import Any

import pytest

from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.events.results import Outcome, result_of
from airflow_vod.exceptions import VodAuthenticationError, VodTransientError
from airflow_vod.inbox import InboxStore
from airflow_vod.relay.reconcile import (
    ACTION,
    CALLS_PER_SECOND,
    CLOSE_SLOWEST,
    FIRST_AFTER,
    SLOWEST,
    Answer,
    ReconcileLoop,
    Reconciler,
    reconcile_times,
)
from airflow_vod.tencent import pacing
from airflow_vod.tencent.client import VodClient
from airflow_vod.tencent.pacing import Pacer
from airflow_vod.tencent.settings import VodSettings
from airflow_vod.waiting.watch import watches
from tests.relays import drain

EDIT = {"InputType": "File", "FileInfos": [{"FileId": "1"}]}


@pytest.fixture
def client(vod_emulator: Emulator) -> Iterator[VodClient]:
    """A client of the emulator."""
    client = VodClient(VodSettings(vod_emulator.secret_id, vod_emulator.secret_key, endpoint=vod_emulator.endpoint))
    yield client
    client.close()


@pytest.fixture
def ask(client: VodClient, inbox: InboxStore) -> Callable[[str], bool]:
    """Ask about a task; whether it has ended."""
    return lambda vod_task_id: Reconciler(client, inbox).ask(vod_task_id).ended


@pytest.fixture
def vod_emulator_options() -> EmulatorOptions:
    """Tasks end at once."""
    return EmulatorOptions(task_seconds=0, hold=0.01)


def test_a_task_that_has_ended_becomes_an_event(ask: Callable, client: VodClient, inbox: InboxStore) -> None:
    """The end of a task whose event never came is in the inbox, with its source named."""
    vod_task_id = client.call("EditMedia", EDIT)["TaskId"]
    assert ask(vod_task_id)
    event = inbox.find(client.settings.queue, [vod_task_id])[vod_task_id]
    assert event.source == "reconcile"
    result = result_of(event.event())
    assert (result.outcome, result.event_type) == (Outcome.SUCCEEDED, "EditMediaComplete")
    assert result.files[0].url


def test_the_event_itself_is_recognised_later(ask: Callable, client: VodClient, inbox: InboxStore) -> None:
    """When the event comes after all, a waiter still sees one end of the task."""
    from airflow_vod.relay.steps import Relay

    vod_task_id = client.call("EditMedia", EDIT)["TaskId"]
    ask(vod_task_id)
    drain(Relay(client, inbox))
    assert len(inbox.newest(vod_task_id=vod_task_id)) == 1


def test_the_log_says_what_is_the_case(
    ask: Callable, client: VodClient, inbox: InboxStore, caplog: pytest.LogCaptureFixture
) -> None:
    """An end that VOD told is logged once, as news for the inbox; nothing is said when the inbox knew it already."""
    caplog.set_level("INFO", "airflow_vod.relay")
    vod_task_id = client.call("EditMedia", EDIT)["TaskId"]
    assert ask(vod_task_id)
    assert ask(vod_task_id)
    assert [record.getMessage() for record in caplog.records if "airflow_vod.relay" in record.name] == [
        f"VOD says that task {vod_task_id} has ended (EditMediaComplete); its event has not reached the inbox so far"
    ]


def test_calls_are_paced(
    client: VodClient, inbox: InboxStore, vod_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No call goes out without the permission of the account's pacer, which gives only a few a second."""
    granted: list[int] = []

    class Witness(Pacer):
        def wait(self) -> None:
            granted.append(vod_emulator.calls.count(ACTION))

    client_account = client.settings.account
    assert Reconciler(client, inbox)._pacer._interval == pytest.approx(1 / CALLS_PER_SECOND, rel=0.5)
    monkeypatch.setitem(pacing._pacers, (client_account, ACTION), Witness())
    reconciler = Reconciler(client, inbox)
    for _ in range(3):
        reconciler.ask("task-1")
    assert granted == [0, 1, 2]


def test_an_aborted_task_is_a_failed_one(
    ask: Callable, vod_emulator: Emulator, client: VodClient, inbox: InboxStore
) -> None:
    """A task that VOD aborted sends no event we could rely on; its detail says that it failed."""
    vod_emulator.add_task("task-1", status="ABORTED")
    assert ask("task-1")
    result = result_of(inbox.find(client.settings.queue, ["task-1"])["task-1"].event())
    assert (result.outcome, result.error_code) == (Outcome.FAILED, "ABORTED")


@pytest.mark.parametrize("unknown", ["InvalidParameterValue.TaskId", "ResourceNotFound"])
def test_an_unknown_task_is_no_information(unknown: str, inbox: InboxStore) -> None:
    """Whichever way VOD says that it does not know a task, nothing happens; people can read what it said."""
    with Emulator(options=EmulatorOptions(unknown_task=unknown)) as vod:  # type: ignore[arg-type]
        client = VodClient(VodSettings(vod.secret_id, vod.secret_key, endpoint=vod.endpoint))
        answer = Reconciler(client, inbox).ask("Concat-of-last-week")
        assert not answer.ended
        assert f"VOD does not know task Concat-of-last-week in application {client.settings.queue}" in answer.words
        assert unknown in answer.words
        client.close()
    assert inbox.newest() == []


def test_a_task_that_goes_on_is_no_information(ask: Callable, vod_emulator: Emulator, inbox: InboxStore) -> None:
    """A task that is still being processed ends no wait."""
    vod_emulator.add_task("task-1", status="PROCESSING")
    assert not ask("task-1")
    assert inbox.newest() == []


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("error:AuthFailure.SignatureFailure:no", VodAuthenticationError), ("http_500", VodTransientError)],
)
def test_a_refusal_is_told(ask: Callable, vod_emulator: Emulator, fault: str, kind: type) -> None:
    """Whoever asked learns that VOD could not be asked, and why."""
    vod_emulator.faults.script({"DescribeTaskDetail": [fault] * 3})
    with pytest.raises(kind):
        ask("task-1")


def test_calls_become_rare_and_differ_by_task() -> None:
    """The first call comes after about five minutes, later ones at most once an hour, at each task's own times."""
    times = list(islice(reconcile_times("Concat-1"), 20))
    assert 0.8 * FIRST_AFTER <= times[0] <= 1.2 * FIRST_AFTER
    steps = [later - earlier for earlier, later in pairwise(times)]
    assert max(steps) <= 1.2 * SLOWEST
    assert min(steps[5:]) >= 0.8 * SLOWEST
    assert times == list(islice(reconcile_times("Concat-1"), 20))
    assert times[0] != next(reconcile_times("Concat-2"))


def _steady(seconds: float) -> Iterator[float]:
    return count(0.0, seconds)


def _backing_off(most: float) -> Iterator[float]:
    at, step = 0.0, 60.0
    while True:
        yield at
        at, step = at + step, min(2 * step, most)


@pytest.mark.parametrize(
    ("looks", "most_between"),
    [(_steady, 15), (_steady, 60), (_backing_off, 600), (_backing_off, 3600)],
    ids=["steady", "busy workers", "backing off to 10 min", "backing off to an hour"],
)
@pytest.mark.parametrize("vod_task_id", ["Concat-1", "Concat-2", "Concat-3"])
def test_a_sensor_that_wakes_up_now_and_then_asks_about_as_often(
    vod_task_id: str, looks: Callable[[float], Iterator[float]], most_between: float
) -> None:
    """Each look is a process of its own, which knows only when VOD was asked last; it keeps to the times of one that stays."""
    asked_after = 0.0  # seconds of the wait; the sensor asks before it begins
    asked = 1
    longest = 0.0
    for waited in looks(most_between):
        if waited > 24 * 3600:
            break
        loop, now = ReconcileLoop(None, bool, lambda *_: None), time.time()  # type: ignore[arg-type]
        loop.add(vod_task_id, now - waited, now - waited + asked_after)
        loop.take_added()
        if loop._due[0][0] <= time.monotonic():
            longest = max(longest, waited - asked_after)
            asked, asked_after = asked + 1, waited
    by_the_times = 1 + sum(1 for at in takewhile(lambda at: at <= 24 * 3600, reconcile_times(vod_task_id)))
    assert by_the_times - asked <= 2 + 24 * 3600 / SLOWEST * (most_between >= SLOWEST) / 2
    assert longest <= 1.2 * SLOWEST + most_between + 1


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reconcile after a fraction of a second."""
    monkeypatch.setattr("airflow_vod.relay.reconcile.FIRST_AFTER", 0.1)
    monkeypatch.setattr("airflow_vod.relay.reconcile.SLOWEST", 0.2)


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that happens in another thread."""
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def asking(
    client: VodClient, inbox: InboxStore, waited: set[str], said: dict[str, Answer] | None = None, **options: Any
) -> Iterator[ReconcileLoop]:
    """Ask in a thread about what is waited for."""
    note_answer = ({} if said is None else said).__setitem__
    loop = ReconcileLoop(Reconciler(client, inbox), waited.__contains__, note_answer, **options)
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield loop
    finally:
        loop.end()
        thread.join(5)
    assert not thread.is_alive()


@pytest.mark.usefixtures("quick")
def test_it_goes_on_until_the_task_has_ended(client: VodClient, inbox: InboxStore, vod_emulator: Emulator) -> None:
    """A task that VOD does not know at first, or cannot be asked about, is asked about again; its end is stored."""
    vod_emulator.faults.script({"DescribeTaskDetail": ["http_500"] * 3})
    waited, said = {"task-1", "task-2"}, dict[str, Answer]()
    with asking(client, inbox, waited, said) as loop:
        for vod_task_id in waited:
            loop.add(vod_task_id, time.time())
        until(lambda: vod_emulator.calls.count("DescribeTaskDetail") >= 8)
        assert inbox.newest() == []
        assert said.keys() == waited
        vod_emulator.add_task("task-1", detail={"Status": "FINISH"})
        until(lambda: bool(inbox.newest()))
    assert [event.vod_task_id for event in inbox.newest()] == ["task-1"]


@pytest.mark.usefixtures("quick")
def test_a_refused_key_is_told(client: VodClient, inbox: InboxStore, vod_emulator: Emulator) -> None:
    """A process that does not pull learns by its questions that the API key was replaced; one that may not ask goes on."""
    loop = ReconcileLoop(Reconciler(client, inbox), bool, lambda *_: None)
    vod_emulator.faults.script({"DescribeTaskDetail": ["error:AuthFailure.UnauthorizedOperation:no"] * 9})
    for number in range(9):
        loop.add(f"task-{number}", time.time() - 1)
    loop.take_added()
    loop.turn()
    assert vod_emulator.calls.count("DescribeTaskDetail") == 9
    vod_emulator.faults.script({"DescribeTaskDetail": ["error:AuthFailure.SecretIdNotFound:no"] * 9})
    for number in range(9, 12):
        loop.add(f"task-{number}", time.time() - 1)
    with pytest.raises(VodAuthenticationError):
        loop.run()


def test_a_refusal_is_soon_put_to_the_test(client: VodClient, inbox: InboxStore, vod_emulator: Emulator) -> None:
    """A single refusal may be a slip; whether it is one is found out within seconds, and not with the next regular question."""
    now = time.monotonic()
    loop = ReconcileLoop(Reconciler(client, inbox), bool, lambda *_: None, clock=lambda: now)
    loop.add("task-1", time.time() - 2 * FIRST_AFTER)
    loop.take_added()
    vod_emulator.faults.script({"DescribeTaskDetail": ["error:AuthFailure.SecretIdNotFound:no", "http_500"]})
    loop.turn()
    assert now < loop.due() <= now + CLOSE_SLOWEST
    now = loop.due()
    loop.turn()  # VOD does not answer at all
    assert now < loop.due() <= now + CLOSE_SLOWEST
    now = loop.due()
    loop.turn()  # VOD knows no such task, so the key is right
    assert vod_emulator.calls.count("DescribeTaskDetail") == 3
    assert loop.due() > now + CLOSE_SLOWEST


@pytest.mark.usefixtures("quick")
def test_nobody_asks_about_what_nobody_waits_for(client: VodClient, inbox: InboxStore, vod_emulator: Emulator) -> None:
    """Once nobody waits for a task, it costs no call."""
    waited = {"task-1"}
    with asking(client, inbox, waited) as loop:
        loop.add("task-1", time.time())
        until(lambda: vod_emulator.calls.count("DescribeTaskDetail") >= 1)
        waited.clear()
        vod_emulator.add_task("task-1", detail={"Status": "FINISH"})
        loop.add("task-3", time.time())  # taken, and dropped in turn
        time.sleep(0.5)
    assert vod_emulator.calls.count("DescribeTaskDetail") <= 2


@pytest.mark.usefixtures("quick")
async def test_a_waiter_whose_event_never_comes_gets_its_end(
    vod_conn: Emulator, inbox_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deferred sensor whose event was taken by another consumer ends all the same."""
    from airflow_vod.triggers.vod import VodTaskTrigger

    monkeypatch.setenv("AIRFLOW__TENCENT_VOD__INBOX_SQL_ALCHEMY_CONN", inbox_url)
    vod_conn.add_task(
        "Concat-lost", "Concat", detail={"TaskId": "Concat-lost", "FileInfoSet": [{"ErrCode": 0, "FileId": "1"}]}
    )
    trigger = VodTaskTrigger(vod_task_id="Concat-lost", vod_conn_id="vod_default", deadline=time.time() + 20)
    [event] = [event async for event in trigger.run()]
    assert event.payload == {"status": "found"}
    [watch] = [watch for watch in watches() if watch.alive]
    watch.end()
    await asyncio.to_thread(watch.join)
