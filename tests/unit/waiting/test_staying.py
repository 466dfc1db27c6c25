"""A trigger that is run on a worker, against the emulator over HTTP."""

from __future__ import annotations

import contextvars
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from airflow_vod.emulator import EmulatorOptions
from airflow_vod.hooks.vod import VodHook
from airflow_vod.inbox.leases import new_holder
from airflow_vod.relay import steps
from airflow_vod.triggers.vod import VodTaskTrigger
from airflow_vod.waiting.staying import Stay
from tests.airflow_fixtures import SUB_APP_ID, Vod
from tests.relays import until


def trigger(vod_task_id: str = "Concat-1", seconds: float = 60.0) -> VodTaskTrigger:
    """What a sensor waits with."""
    return VodTaskTrigger(
        vod_task_id=vod_task_id, vod_conn_id="vod_default", deadline=time.time() + seconds, waiter="dag/run/task"
    )


def threads() -> list[str]:
    """The threads of this package besides the emulator's."""
    return [
        thread.name for thread in threading.enumerate() if thread.name.startswith("vod-") and "emul" not in thread.name
    ]


@pytest.fixture
def handler() -> Iterator[list[Any]]:
    """Run what is in this list when SIGALRM comes, in the main thread."""
    actions: list[Any] = []

    def handle(number: int, frame: FrameType | None) -> None:
        actions[0]()

    before = signal.signal(signal.SIGALRM, handle)
    yield actions
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_an_event_ends_the_stay(vod: Vod) -> None:
    """The payload of the trigger's event is returned, and no thread is left."""
    before = set(threads())
    threading.Timer(0.5, vod.publish_concat, ["Concat-1"]).start()
    assert Stay(trigger()).run() == {"status": "found"}
    until(lambda: set(threads()) <= before)  # a call that is not waited for ends in its own time


class TimeIsOverError(BaseException):
    """What Airflow raises for `execution_timeout` is no Exception either."""


def test_what_a_signal_handler_raises_arrives(vod: Vod, handler: list[Any]) -> None:
    """Every time, and what waited is cleaned up: no thread, no open pull, nobody on the list of who waits."""

    def fail() -> None:
        raise TimeIsOverError

    handler.append(fail)
    before = set(threads())
    for number in range(20):
        signal.setitimer(signal.ITIMER_REAL, 0.05 + 0.02 * number)
        with pytest.raises(TimeIsOverError):
            Stay(trigger()).run()
        until(lambda: set(threads()) <= before)  # a call that is not waited for ends in its own time
    assert vod.emulator.queue(SUB_APP_ID).waiting == 0
    assert vod.store.waiters.longest(vod.queue) == []


def test_it_is_ended_from_a_signal_handler(vod: Vod, handler: list[Any]) -> None:
    """`on_kill` runs in one: the stay returns nothing, and no pull is left open."""
    stay = Stay(trigger())
    handler.append(stay.end)
    signal.setitimer(signal.ITIMER_REAL, 0.7)
    assert stay.run() is None
    assert vod.emulator.queue(SUB_APP_ID).waiting == 0
    lease = vod.store.leases.read(vod.queue)
    assert lease is None or lease.expired


def test_it_may_be_ended_before_it_begins(vod: Vod) -> None:
    """A task that is killed while it starts does not begin to wait."""
    stay = Stay(trigger())
    stay.end()
    assert stay.run() is None
    assert vod.emulator.calls.count("PullEvents") == 0


@pytest.mark.parametrize("vod_options", [EmulatorOptions(hold=5)])
def test_it_leaves_before_the_next_long_poll(vod: Vod) -> None:
    """A process that has got its event is not held by a poll that it need not begin."""
    vod.publish_concat("Concat-1")
    began = time.monotonic()
    assert Stay(trigger()).run() == {"status": "found"}
    assert time.monotonic() - began < 4


@pytest.mark.parametrize("vod_options", [EmulatorOptions(hold=5)])
def test_it_leaves_where_another_process_pulls(vod: Vod, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the inbox is kept up to date by another, a look that finds nothing does not hold a worker for long."""
    monkeypatch.setattr(steps, "LEASE_TTL", 120.0)  # a lease that ends much later would count as one of a wrong clock
    assert vod.store.leases.acquire(vod.queue, new_holder(), 120)
    began = time.monotonic()
    staying = trigger()
    assert Stay(staying).run(seconds=60) is None
    assert time.monotonic() - began < 30
    assert staying.goes_on
    assert [line.waiter for line in vod.store.waiters.longest(vod.queue)] == ["dag/run/task"]


def test_it_leaves_when_the_queue_is_empty(vod: Vod) -> None:
    """What is in VOD's queue is brought in first, however much others have left there."""
    for number in range(40):
        vod.publish({"EventType": "NewFileUpload", "FileUploadEvent": {"FileId": str(number)}})
    assert Stay(trigger()).run(seconds=60) is None
    assert vod.store.counts(vod.queue).events == 40
    vod.publish_concat("Concat-1")
    assert Stay(trigger()).run(seconds=60) == {"status": "found"}
    assert vod.store.waiters.longest(vod.queue) == []


def test_one_look_has_an_end(vod: Vod) -> None:
    """Thousands of foreign events that keep coming do not hold a look for longer than it was given."""
    ending = threading.Event()

    def flood() -> None:
        number = 0
        while not ending.is_set():
            number += 1
            vod.publish({"EventType": "NewFileUpload", "FileUploadEvent": {"FileId": str(number)}})

    flooding = threading.Thread(target=flood)
    flooding.start()
    began = time.monotonic()
    try:
        assert Stay(trigger()).run(seconds=1) is None
    finally:
        ending.set()
        flooding.join()
    assert time.monotonic() - began < 20


def test_sensors_of_one_process_do_not_end_each_other(vod: Vod) -> None:
    """Who leaves a watch that another still waits with neither ends it nor waits for its end."""
    outcomes: dict[str, Any] = {}
    staying = threading.Thread(target=lambda: outcomes.update(late=Stay(trigger("Concat-late")).run()))
    staying.start()
    until(lambda: vod.store.waiters.longest(vod.queue))
    vod.publish_concat("Concat-1")
    assert Stay(trigger()).run() == {"status": "found"}
    assert staying.is_alive()
    vod.publish_concat("Concat-late")
    staying.join(60)
    assert outcomes == {"late": {"status": "found"}}


def test_context_variables_are_there(vod: Vod) -> None:
    """What a task has set for its own code is seen where its trigger runs, as in any coroutine of it."""
    variable = contextvars.ContextVar("variable", default="not set")
    seen = []

    class Seeing(VodTaskTrigger):
        async def run(self) -> Any:
            seen.append(variable.get())
            async for event in super().run():
                yield event

    variable.set("set by the task")
    vod.publish_concat("Concat-1")
    Stay(Seeing(vod_task_id="Concat-1", vod_conn_id="vod_default", waiter="w")).run()
    assert seen == ["set by the task"]


def test_the_connection_is_read_as_the_trigger_says(vod: Vod, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way in which a triggerer reads it does not work on the workers of every Airflow, so none is taken for granted."""

    async def refuse(self: VodHook) -> Any:
        raise AssertionError("read as in a triggerer")

    async def read() -> Any:
        return VodHook().get_settings()

    monkeypatch.setattr(VodHook, "aget_settings", refuse)
    vod.publish_concat("Concat-1")
    staying = trigger()
    staying.read_settings = read
    assert Stay(staying).run() == {"status": "found"}


def test_an_error_of_the_trigger_comes_out(vod: Vod) -> None:
    """A bug is no silent end of a wait."""

    class Broken(VodTaskTrigger):
        async def run(self) -> Any:
            raise ZeroDivisionError
            yield

    with pytest.raises(ZeroDivisionError):
        Stay(Broken(vod_task_id="Concat-1", vod_conn_id="vod_default")).run()
