"""What waits in the triggerer for events by what they say, with the relay and the emulator behind it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from airflow.triggers.base import TriggerEvent

from airflow_vod.events.parse import parse_event
from airflow_vod.exceptions import VodSettingsError, error_from_dict
from airflow_vod.triggers import vod_event as triggers
from airflow_vod.triggers.vod_event import VodEventTrigger, VodNextEventTrigger
from tests.airflow_fixtures import Vod


def upload(number: int) -> dict[str, Any]:
    """The event of an upload."""
    return {"EventType": "NewFileUpload", "FileUploadEvent": {"FileId": str(number)}}


def deletion(number: int) -> dict[str, Any]:
    """The event of a deletion."""
    return {"EventType": "FileDeleted", "FileDeleteEvent": {"FileIdSet": [str(number)]}}


def receive(vod: Vod, *events: dict[str, Any]) -> None:
    """Let events be in the inbox."""
    vod.store.receive(vod.queue, [parse_event(event) for event in events], "pull")


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something that comes soon."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


# How Airflow stores them


@pytest.mark.parametrize(
    "kind", [VodEventTrigger, lambda **kwargs: VodNextEventTrigger(vod_conn_id="c", since=0.0, **kwargs)]
)
def test_order_does_not_matter(kind: Callable[..., Any]) -> None:
    """The same arguments in another order or form are stored as the same text: parsing a DAG makes no trigger anew."""
    one = kind(event_type=["FileDeleted", "NewFileUpload"], match={"source": "Upload", "file_id": 1})
    other = kind(event_type=("NewFileUpload", "FileDeleted"), match={"file_id": "1", "source": "Upload"})
    assert json.dumps(one.serialize()) == json.dumps(other.serialize())
    assert kind(event_type="FileDeleted").serialize() == kind(event_type=["FileDeleted"]).serialize()


def test_watchers_are_told_apart() -> None:
    """Watchers with other arguments have another place in the queue, unless they were given one name."""
    kinds = [{}, {"event_type": "A"}, {"match": {"source": "A"}}, {"vod_conn_id": "other"}, {"sub_app_id": 7}]
    assert len({VodEventTrigger(**kind)._name() for kind in kinds}) == len(kinds)
    assert {VodEventTrigger(watcher="w", **kind)._name() for kind in kinds} == {"w"}


@pytest.mark.parametrize(
    "arguments", [{"match": {"fileid": "1"}}, {"watcher": ""}, {"watcher": "a\nb"}, {"watcher": "w" * 201}]
)
def test_mistakes_are_found_when_the_dag_is_read(arguments: dict[str, Any]) -> None:
    """A watcher that could never work is refused where it is written."""
    with pytest.raises(VodSettingsError):
        VodEventTrigger(**arguments)


# For the sensor


def next_event(seconds: float = 3600, **arguments: Any) -> VodNextEventTrigger:
    """A trigger that gives up after some seconds."""
    settings = {"vod_conn_id": "vod_default", "since": 0.0, "deadline": time.time() + seconds, "waiter": "dag/run/task"}
    return VodNextEventTrigger(**settings | arguments)


async def payload(one: VodNextEventTrigger) -> dict[str, Any]:
    """Run a trigger as Airflow does, until its one event, which comes long before a deadline in an hour."""
    running = one.run()
    async with asyncio.timeout(60):
        event = await anext(running)
    with pytest.raises(StopAsyncIteration):
        await anext(running)
    return event.payload


async def test_an_event_that_is_there(vod: Vod) -> None:
    """The first event that counts ends the wait at once, and the trigger tells where it is."""
    receive(vod, deletion(1), upload(1), upload(2))
    found = await payload(next_event(event_type="NewFileUpload"))
    assert found == {"status": "found", "queue": vod.queue, "position": 2}


async def test_an_event_that_comes(vod: Vod) -> None:
    """An event that comes during the wait ends it soon, whoever brought it; others do not."""
    waiting = asyncio.create_task(payload(next_event(match={"file_id": "7"})))
    await asyncio.to_thread(vod.after_pulls, 1)
    receive(vod, *map(upload, range(5)))
    vod.publish(upload(7))
    found = await waiting
    stored = vod.store.get(vod.queue, found["position"])
    assert stored is not None
    assert stored.file_id == "7"


async def test_a_start_after_the_deadline(vod: Vod) -> None:
    """A trigger that starts after its deadline looks into the inbox before it says that the time is over."""
    receive(vod, upload(1))
    assert (await payload(next_event(-5)))["status"] == "found"
    assert await payload(next_event(-5, event_type="FileDeleted")) == {"status": "timeout"}


async def test_no_event_comes(vod: Vod) -> None:
    """After the deadline the wait is over, and nobody follows the queue any more."""
    receive(vod, upload(1))
    assert await payload(next_event(0.5, event_type="FileDeleted")) == {"status": "timeout"}


async def test_a_connection_that_cannot_work(vod: Vod) -> None:
    """What only a person can put right ends the wait with the reason."""
    vod.connect(extra={"sub_app_id": "no number"})
    event = await payload(next_event())
    assert "sub_app_id" in str(error_from_dict(event["error"]))


# For asset watchers before Airflow 3.3


def cursor(vod: Vod) -> int:
    """Where the watcher has got to."""
    return vod.store.cursors.get("w", vod.queue, -1)


async def test_before_airflow_3_3(vod: Vod, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Airflow does not say what it has stored, an event is done with after a while; until then it comes again."""
    monkeypatch.setattr(triggers, "_SETTLE", 0.5)
    vod.store.cursors.get("w", vod.queue, 0)
    receive(vod, *map(upload, range(3)))
    one = VodEventTrigger(event_type="NewFileUpload", watcher="w").run()
    assert [int((await anext(one)).payload["file_id"]) for _ in range(3)] == [0, 1, 2]
    assert cursor(vod) == 0
    rest = asyncio.ensure_future(anext(one))
    await until(lambda: cursor(vod) == 3)
    receive(vod, upload(3))
    event = await rest
    assert isinstance(event, TriggerEvent)
    assert event.payload["file_id"] == "3"
    await one.aclose()
