"""Somebody else who pulls the queue is noticed, and nothing else is taken for one."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.events.parse import VodEvent, event_of_detail, parse_event, read_event
from airflow_vod.inbox import InboxStore, Lease
from airflow_vod.inbox.leases import lease_beside
from airflow_vod.relay import rivals
from airflow_vod.relay.health import RelayHealth, trouble_of
from airflow_vod.relay.reconcile import Reconciler
from airflow_vod.relay.rivals import Rivals
from airflow_vod.relay.state import state_of
from airflow_vod.relay.steps import Relay
from tests.relays import SUB_APP_ID, client_of, drain

QUEUE = "vod/1"
START = 1_800_000_000.0
Inbox = Callable[..., InboxStore]


class World:
    """A queue as VOD has it, relayed into an inbox by a relay whose clock a test turns."""

    def __init__(self, open_inbox: Inbox) -> None:
        self.now = START
        self.store = open_inbox(clock=lambda: self.now)
        self.health = RelayHealth()
        self.rivals = Rivals(self.store, QUEUE, self.health, lambda: self.now)
        self.look()

    def look(self) -> str | None:
        """Let the relay look, and tell what people are told."""
        self.health.caught_up_at = self.now
        self.rivals.look()
        return self.said()

    def said(self) -> str | None:
        """Tell what people are told while this relay holds the lease."""
        info = self.health.to_dict() | {"last_pull_at": self.now}
        return trouble_of(Lease(QUEUE, "host:1:x", self.now, self.now + 9, False, info), 0.0, self.now)

    def wait(self, minutes: float) -> None:
        """Let time pass."""
        self.now += minutes * 60

    def comes(self, vod_task_id: str, source: Any = "pull", **content: Any) -> None:
        """Let a task end whose event comes."""
        self.store.receive(QUEUE, [_event(vod_task_id, **content)], source)

    def misses(self, vod_task_id: str, *, ended_ago: float = 5, aborted: bool = False, **content: Any) -> None:
        """Let VOD say, when it is asked, that a task has ended, whose event has not come.

        :param ended_ago: minutes.
        """
        detail = {"TaskType": "EditMedia", "Status": "ABORTED" if aborted else "FINISH"}
        event = event_of_detail(detail | {"EditMediaTask": _content(vod_task_id, **content)}, vod_task_id)
        assert event is not None
        ended = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.now - ended_ago * 60))
        self.store.receive(QUEUE, [replace(event, raw={**event.raw, "FinishTime": ended})], "reconcile")

    def hole(self, name: str, **how: Any) -> None:
        """Let one event come, another not, and another come."""
        self.comes(f"{name}-before")
        self.wait(10)
        self.misses(f"{name}-missed", **how)
        self.wait(10)
        self.comes(f"{name}-after")
        self.wait(20)


def _content(vod_task_id: str, **content: Any) -> dict[str, Any]:
    return {"TaskId": vod_task_id, "Status": "FINISH", "ErrCode": 0, "Message": "", **content}


def _event(vod_task_id: str, **content: Any) -> VodEvent:
    return parse_event({"EventType": "EditMediaComplete", "EditMediaCompleteEvent": _content(vod_task_id, **content)})


@pytest.fixture
def world(open_inbox: Inbox) -> World:
    """A world in which nothing has happened, and that a relay has looked at once."""
    return World(open_inbox)


def test_a_rival_is_noticed(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """After three holes it is said, once in the log, with times, an example and the remedy; two are not enough."""
    said = []
    with caplog.at_level(logging.WARNING):
        for name in ("a", "b", "c", "d"):
            world.hole(name)
            said.append(world.look())
    assert said[:2] == [None, None]
    assert "3 times between 2027-01-15 08:" in (said[2] or "")
    assert "c-missed (EditMediaComplete)" in (said[2] or "")
    assert "inbox_sql_alchemy_conn" in (said[2] or "")
    assert "4 times" in (said[3] or "")
    assert len([record for record in caplog.records if "Something else seems to pull" in record.message]) == 1


def test_it_is_remembered_from_relay_to_relay(world: World) -> None:
    """Each process that relays adds what it saw; of two that look at once one does."""
    for name in ("a", "b", "c"):
        world.hole(name)
        world.health = RelayHealth()
        world.rivals = Rivals(world.store, QUEUE, world.health, lambda: world.now)
        said = world.look()
    assert said is not None
    world.health = RelayHealth()
    Rivals(world.store, QUEUE, world.health, lambda: world.now).look()  # too early to look again
    assert world.said() == said


def test_it_passes(world: World) -> None:
    """A day after the last hole nothing is said any more, whether or not a relay looks."""
    for name in ("a", "b", "c"):
        world.hole(name)
    assert world.look()
    world.wait(25 * 60)
    assert world.said() is None
    assert world.look() is None


@pytest.mark.parametrize(
    "how",
    [
        {"ended_ago": 3 * 60},  # before anybody waited, or before this inbox was
        {"aborted": True},
        {"TasksNotifyMode": "None"},
    ],
    ids=["long ago", "aborted", "not to be announced"],
)
def test_a_task_whose_event_need_not_come(world: World, how: dict[str, Any]) -> None:
    """It makes no hole, however many there are."""
    for name in "abcdefghijklmn":
        world.hole(name, **how)
        assert world.look() is None


def test_an_event_that_comes_late(world: World) -> None:
    """A redelivery, or a relay that was away: when the event comes after all there is no hole, and its source says so."""
    for name in "abcdef":
        world.hole(name)
        world.comes(f"{name}-missed")
        assert world.look() is None
    assert {each.source for each in world.store.newest(QUEUE)} == {"pull"}


def test_an_event_that_comes_in_other_words(world: World) -> None:
    """Where what VOD answers and what it announces differ in content they are two events; the task's event came."""
    for name in "abcdef":
        world.hole(name)
        world.comes(f"{name}-missed", SessionContext="only in the event")
        assert world.look() is None


def test_an_event_that_may_lie_in_the_queue_still(world: World) -> None:
    """While the queue was not seen empty for a while after VOD was asked, nothing is missing."""
    for name in ("a", "b", "c"):
        world.hole(name)
    world.health.caught_up_at = START
    world.rivals.look()
    assert world.said() is None


def test_one_long_hole(world: World) -> None:
    """A type switched off and on, an application in PUSH for a while, an inbox that moved: one hole, however deep."""
    world.comes("before")
    for number in range(30):
        world.wait(10)
        world.misses(f"missed-{number}")
    world.wait(10)
    world.comes("after")
    world.wait(20)
    assert world.look() is None


@pytest.mark.parametrize("source", ["callback", "reconcile"])
def test_a_type_that_is_never_pulled(world: World, source: str) -> None:
    """Not ticked in VOD's console, or announced by callback: VOD is asked about every task, and there is nothing around."""
    for number in range(30):
        world.wait(10)
        world.misses(f"missed-{number}")
        if source == "callback":
            world.comes(f"called-{number}", "callback")
    world.wait(20)
    assert world.look() is None


def test_in_push_mode_nobody_looks(world: World) -> None:
    """Events come by callback; what is missing there was not pulled by anybody."""
    world.health.by_callback = True
    for name in ("a", "b", "c"):
        world.hole(name)
    assert world.look() is None


def test_an_event_that_came_and_cannot_be_read(world: World) -> None:
    """It may be the very one that is missing."""
    for name in "abcdef":
        world.comes(f"{name}-before")
        world.wait(10)
        world.store.receive(QUEUE, [read_event({"EventType": "EditMediaComplete", "odd": name})], "pull")
        world.misses(f"{name}-missed")
        world.wait(10)
        world.comes(f"{name}-after")
        world.wait(20)
        assert world.look() is None


def test_a_new_inbox_knows_nothing(open_inbox: Inbox) -> None:
    """What was stored before the first look is not judged: an inbox may have been filled by an earlier version."""
    store = open_inbox(clock=lambda: START)
    store.receive(QUEUE, [_event("a")], "reconcile")
    health = RelayHealth(caught_up_at=START)
    Rivals(store, QUEUE, health, lambda: START).look()
    lease = store.leases.read(lease_beside(QUEUE, "rivals"))
    assert lease is not None
    assert lease.info["missed"] == []
    assert lease.info["position"] == 1


def test_ids_of_any_length_are_remembered(world: World) -> None:
    """The record fits where it is kept."""
    for number in range(60):
        world.misses(f"{number:03}".ljust(255, "x"))
    world.wait(20)
    world.look()
    lease = world.store.leases.read(lease_beside(QUEUE, "rivals"))
    assert lease is not None
    assert len(lease.info["missed"]) == rivals._LIMIT


@pytest.mark.parametrize("odd", [None, {}, {"missed": 7}, {"missed": [{"a": 1}]}, {"something": "else"}])
def test_a_record_of_another_version(odd: Any) -> None:
    """It counts as none and breaks nobody."""
    assert rivals.RivalRecord.from_dict(odd or {}) == rivals.RivalRecord()


# With real relays on one queue


@pytest.fixture
def vod() -> Iterator[Emulator]:
    """Tasks end at once, and pulls of an empty queue are answered at once."""
    with Emulator(options=EmulatorOptions(task_seconds=0, hold=0.01)) as vod:
        yield vod


@pytest.mark.parametrize("shared", [False, True], ids=["two inboxes", "one inbox"])
def test_two_relays_on_one_queue(
    vod: Emulator, open_inbox: Inbox, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    """With an inbox each, either is told of the other; with one inbox in turn, as after a takeover, nobody is."""
    monkeypatch.setattr(rivals, "GRACE", -3600.0)
    client = client_of(vod)
    ours = Relay(client, open_inbox())
    others = Relay(client, ours.store if shared else InboxStore.open("sqlite://"))
    ours.upkeep._rivals.look()
    edit = {"InputType": "File", "FileInfos": [{"FileId": "1"}], "SubAppId": SUB_APP_ID}
    for _ in range(rivals.HOLES):
        for relay in (ours, others, ours):
            vod_task_id = client.call("EditMedia", edit)["TaskId"]
            assert drain(relay)
            time.sleep(1.1)  # VOD tells the second in which a task ended
            assert Reconciler(client, ours.store).ask(vod_task_id)
    monkeypatch.setattr(rivals, "LOOK_EVERY", 0.0)
    assert ours.acquire_lease()
    ours.upkeep._rivals.look()
    ours.release_lease()
    trouble = state_of(ours.store, ours.queue)["trouble"]
    assert (trouble is None) == shared
    assert shared or "Something else seems to pull queue" in trouble
    client.close()
