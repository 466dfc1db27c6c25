"""Any sequence of calls, compared with a model of dictionaries that has no database, transactions or chunks."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from airflow_vod.events.parse import UnparsedEvent, VodEvent
from airflow_vod.inbox import InboxStore, Waiter
from tests.databases import Server
from tests.samples import Clock, concat_event, procedure_event, unparsed_event

QUEUES = ("a", "A")
TASKS = ("Concat-1", "concat-1", "Concat-2", "Procedure-1")
HOLDERS = ("one", "two", "three")
READERS = ("dag/run/task", "another")

# Few of each, so that copies, and several events of one task, are met all the time.
EVENTS: tuple[VodEvent | UnparsedEvent, ...] = (
    *(concat_event(task, file_id) for task in TASKS for file_id in ("1", "2")),
    *(procedure_event(task, status) for task in TASKS for status in ("PROCESSING", "FINISH")),
    *(unparsed_event({"EventType": number}) for number in range(2)),
)
TYPES = (None, {"ConcatComplete"}, {"ProcedureStateChanged"}, {"ConcatComplete", "ProcedureStateChanged"}, set[str]())

queues, tasks = st.sampled_from(QUEUES), st.sampled_from(TASKS)
batches = st.lists(st.sampled_from(EVENTS), min_size=1, max_size=8)


class InboxModel(RuleBasedStateMachine):
    """The inbox and the model of what it must hold."""

    open_url: ClassVar[Callable[[], str]]
    close_url: ClassVar[Callable[[str], None]]

    def __init__(self) -> None:
        super().__init__()
        self.url = type(self).open_url()
        self.clock = Clock()
        self.stores = [InboxStore.open(self.url, clock=self.clock) for _ in range(2)]  # as two processes have them
        self.turn = itertools.cycle(self.stores)
        self.rows: dict[str, dict[int, dict[str, Any]]] = {queue: {} for queue in QUEUES}
        self.pruned: dict[str, set[int]] = {queue: set() for queue in QUEUES}
        self.readers = {(queue, reader): (0, list[int]()) for queue in QUEUES for reader in READERS}
        self.leases: dict[str, tuple[str, float, float]] = {}
        self.waiters: dict[tuple[str, str], Waiter] = {}
        self.owners: dict[tuple[str, str], str] = {}

    def teardown(self) -> None:
        """Close everything."""
        for store in self.stores:
            store.close()
        type(self).close_url(self.url)

    @property
    def store(self) -> InboxStore:
        """The store whose turn it is."""
        return next(self.turn)

    # Events

    @rule(queue=queues, events=batches, source=st.sampled_from(("pull", "callback", "reconcile")))
    def receive(self, queue: str, events: list[VodEvent | UnparsedEvent], source: Any) -> None:
        """New events get positions behind all earlier ones; duplicates get the position of the first copy."""
        rows = self.rows[queue]
        last = max([0, *rows, *self.pruned[queue]])
        known = {row["key"]: position for position, row in rows.items()}
        received = self.store.receive(queue, events, source)
        assert [each.key for each in received] == [event.key for event in events]
        for event, each in zip(events, received, strict=True):
            assert each.duplicate == (event.key in known)
            if each.duplicate:
                assert each.position == known[event.key]
                row = rows[each.position]
                row["source"] = source if row["source"] == "reconcile" else row["source"]
                continue
            assert each.position > last
            last = known[event.key] = each.position
            parsed = isinstance(event, VodEvent)
            rows[each.position] = {
                "key": event.key,
                "task": event.vod_task_id if parsed else None,
                "type": event.event_type,
                "finished": parsed and event.finished,
                "source": source,
                "received_at": self.clock.now,
                "read": None,
            }

    @rule(queue=queues, wanted=st.sets(tasks), types=st.sampled_from(TYPES))
    def find(self, queue: str, wanted: set[str], types: set[str] | None) -> None:
        """The first event that ends a task is found, and none for tasks that have not ended."""
        expected: dict[str, int] = {}
        for position, row in sorted(self.rows[queue].items()):
            if row["finished"] and row["task"] in wanted and (types is None or row["type"] in types):
                expected.setdefault(row["task"], position)
        found = self.store.find(queue, wanted, types)
        assert {task: stored.position for task, stored in found.items()} == expected

    @rule(queue=queues, reader=st.sampled_from(READERS), limit=st.integers(1, 5))
    def read_on(self, queue: str, reader: str, limit: int) -> None:
        """Each reader gets the events behind its last position, in order, whatever the others do."""
        last, seen = self.readers[queue, reader]
        expected = sorted(position for position in self.rows[queue] if position > last)[:limit]
        headers = self.store.headers_after(queue, last, limit)
        assert [header.position for header in headers] == expected
        for header in headers:
            row = self.rows[queue][header.position]
            assert (header.vod_task_id, header.event_type, header.finished) == (
                row["task"],
                row["type"],
                row["finished"],
            )
        if headers:
            seen += expected
            self.readers[queue, reader] = (expected[-1], seen)

    @rule(queue=queues, positions=st.sets(st.integers(1, 5), min_size=1), reader=st.sampled_from(READERS))
    def mark_read(self, queue: str, positions: set[int], reader: str) -> None:
        """The first reader stays recorded."""
        unread = [at for at in positions if at in self.rows[queue] and self.rows[queue][at]["read"] is None]
        assert self.store.mark_read(queue, positions, reader) == len(unread)
        for at in unread:
            self.rows[queue][at]["read"] = (self.clock.now, reader)

    @rule(age=st.sampled_from((0, 5, 12, 60)), batch=st.integers(1, 3))
    def prune(self, age: float, batch: int) -> None:
        """Events older than the limit go, read or not, and no others; so do waiters by their deadline."""
        cutoff = self.clock.now - age
        old = [(queue, at) for queue in QUEUES for at, row in self.rows[queue].items() if row["received_at"] < cutoff]
        assert self.store.prune(age, batch=batch) == len(old)
        for queue, at in old:
            del self.rows[queue][at]
            self.pruned[queue].add(at)
        kept = {key: each for key, each in self.waiters.items() if each.deadline is None or each.deadline > cutoff}
        self.waiters = kept

    @rule(queue=queues)
    def count(self, queue: str) -> None:
        """A queue's position is that of the newest event that ever came, and its counts are those of its rows."""
        rows = self.rows[queue]
        assert self.store.position(queue) == max([0, *rows, *self.pruned[queue]])
        counts = self.store.counts(queue)
        assert counts.events == len(rows)
        assert counts.unread == sum(row["read"] is None for row in rows.values())
        assert counts.unparsed == sum(row["task"] is None for row in rows.values())
        assert counts.waiters == len(self._waiting_for(queue))

    # Leases

    @rule(queue=queues, holder=st.sampled_from(HOLDERS), ttl=st.sampled_from((8, 12)))
    def acquire(self, queue: str, holder: str, ttl: float) -> None:
        """A lease can be acquired if it is free, has expired, or is the holder's own."""
        held_by, since, until = self.leases.get(queue, (None, 0.0, 0.0))
        over = until <= self.clock.now
        free = held_by is None or held_by == holder or over
        assert self.store.leases.acquire(queue, holder, ttl, info={"ttl": ttl}) == free
        if free:
            began = since if held_by == holder and not over else self.clock.now
            self.leases[queue] = (holder, began, self.clock.now + ttl)

    @rule(queue=queues, holder=st.sampled_from(HOLDERS))
    def release(self, queue: str, holder: str) -> None:
        """Only its holder releases a lease, once, even an expired one; the holder stays readable."""
        held_by, since, until = self.leases.get(queue, (None, 0.0, 0.0))
        held = held_by == holder and until > 0
        assert self.store.leases.release(queue, holder) == held
        if held:
            self.leases[queue] = (holder, since, 0.0)

    # Waiters

    @rule(
        queue=queues,
        ids=st.sets(st.sampled_from("123"), min_size=1),
        task=tasks,
        seconds=st.sampled_from((None, 5, 50)),
        owner=st.sampled_from(HOLDERS),
    )
    def wait_for(self, queue: str, ids: set[str], task: str, seconds: float | None, owner: str) -> None:
        """A waiter added again is updated and changes its owner, but keeps `since` and `asked_at`."""
        deadline = None if seconds is None else self.clock.now + seconds
        waiters = [Waiter(each, task, ("ConcatComplete",), f"waiter {each}", deadline) for each in ids]
        self.store.waiters.add(queue, waiters, owner)
        for each in waiters:
            before = self.waiters.get((queue, each.id))
            since = before.since if before else self.clock.now
            asked_at = before.asked_at if before else None
            self.waiters[queue, each.id] = replace(each, since=since, asked_at=asked_at)
            self.owners[queue, each.id] = owner

    @rule(queue=queues, ids=st.sets(st.sampled_from("123")), owner=st.sampled_from(HOLDERS))
    def give_up(self, queue: str, ids: set[str], owner: str) -> None:
        """Only the owner that added a waiter last can remove it."""
        own = [each for each in ids if (queue, each) in self.waiters and self.owners[queue, each] == owner]
        assert self.store.waiters.remove(queue, ids, owner) == len(own)
        for each in own:
            del self.waiters[queue, each]

    @rule(queue=queues, ids=st.sets(st.sampled_from("123")))
    def ask_vod(self, queue: str, ids: set[str]) -> None:
        """Existing waiters are marked, and unknown ids are ignored."""
        self.store.waiters.mark_asked(queue, ids)
        for each in ids:
            if waiter := self.waiters.get((queue, each)):
                self.waiters[queue, each] = replace(waiter, asked_at=self.clock.now)

    @rule(queue=queues, wanted=st.sets(tasks))
    def ask_who_waits(self, queue: str, wanted: set[str]) -> None:
        """An event is awaited if it was read, or if its task has a waiter in time or an event that was read."""
        events = {f"key {task}": task for task in wanted} | {
            row["key"]: row["task"] for row in self.rows[queue].values()
        }
        read = [row for row in self.rows[queue].values() if row["read"] is not None]
        tasks = {each.vod_task_id for each in self._waiting_for(queue)} | {row["task"] for row in read} - {None}
        keys = {row["key"] for row in read}
        expected = {key for key, task in events.items() if task in tasks or key in keys}
        assert self.store.waiters.awaited(queue, events) == expected

    # Time

    @rule(seconds=st.sampled_from((1, 5, 12, 60)))
    def let_pass(self, seconds: float) -> None:
        """Time passes."""
        self.clock.now += seconds

    @precondition(lambda self: not any(self.leases))
    @rule()
    def open_anew(self) -> None:
        """A process ends, and another one begins."""
        self.stores.pop(0).close()
        self.stores.append(InboxStore.open(self.url, clock=self.clock))
        self.turn = itertools.cycle(self.stores)

    # What always holds

    @invariant()
    def holds_what_it_should(self) -> None:
        """No event is lost or stored twice, and all fields are as written."""
        listed = {
            (each.queue, each.position): (
                each.key,
                each.vod_task_id,
                each.event_type,
                each.finished,
                each.source,
                each.received_at,
                (each.read_at, each.read_by) if each.read_by else None,
            )
            for each in self.store.newest(limit=1000)
        }
        assert listed == {
            (queue, position): tuple(
                row[name] for name in ("key", "task", "type", "finished", "source", "received_at", "read")
            )
            for queue in QUEUES
            for position, row in self.rows[queue].items()
        }

    @invariant()
    def leases_and_waiters_agree(self) -> None:
        """The lease has its holder and its times, and every waiter in time is there as last added."""
        for queue in QUEUES:
            lease = self.store.leases.read(queue)
            expected = self.leases.get(queue)
            assert (lease and (lease.holder, lease.acquired_at, lease.expires_at)) == expected
            assert lease is None or lease.expired == (lease.expires_at <= self.clock.now)
            assert set(self.store.waiters.longest(queue)) == self._waiting_for(queue)
            asked = {name: each.asked_at for (of, name), each in self.waiters.items() if of == queue and each.asked_at}
            assert {each.id: each.asked_at for each in self.store.waiters.read(queue, "123") if each.asked_at} == asked

    def _waiting_for(self, queue: str) -> set[Waiter]:
        now = self.clock.now
        of_queue = (each for (name, _), each in self.waiters.items() if name == queue)
        return {each for each in of_queue if each.deadline is None or each.deadline > now}

    @invariant()
    def readers_saw_all(self) -> None:
        """A reader has seen every event up to its position, unless it was pruned before."""
        for (queue, _), (last, seen) in self.readers.items():
            assert seen == sorted(set(seen))
            assert {at for at in self.rows[queue] if at <= last} <= set(seen)


def test_inbox_on_sqlite(sqlite_inbox: Path) -> None:
    """Whatever the sequence of calls, the inbox in SQLite holds what the model holds."""

    def copy() -> str:
        return f"sqlite:///{shutil.copy(sqlite_inbox, tempfile.mkdtemp(prefix='vod-model-'))}"

    _check(copy, lambda url: shutil.rmtree(Path(url.removeprefix("sqlite:///")).parent), 40)


def test_inbox_on_a_server(server: Server) -> None:
    """Whatever the sequence of calls, the inbox on a database server holds what the model holds."""
    _check(server.inbox, server.give_back, 6)


def _check(open_url: Callable[[], str], close_url: Callable[[str], None], examples: int) -> None:
    class Model(InboxModel):
        pass

    Model.open_url, Model.close_url = staticmethod(open_url), staticmethod(close_url)
    few = settings(max_examples=examples, stateful_step_count=40)
    run_state_machine_as_test(Model, settings=few)
