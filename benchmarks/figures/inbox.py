"""What the inbox takes for its commonest questions, with few events in it and with very many.

Invariant: nothing but the number of events differs; what a measurement removes is filled up before the next.
"""

from __future__ import annotations

import hashlib
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from sqlalchemy import text, update

from airflow_vod.emulator.content import concat_complete
from airflow_vod.events.parse import parse_event
from airflow_vod.inbox import InboxStore
from airflow_vod.inbox.tables import vod_queue
from airflow_vod.inbox.values import PER_EVENT, row_of
from benchmarks.bench import Bench
from benchmarks.databases import KINDS
from benchmarks.readings import Reading, Target

QUEUE = "1500012345"
BLOCK = 999  # events that came at the same time; one less than `prune` removes in one transaction
NEWS = 16  # events since the last poll
_SPACING = 10.0  # seconds between blocks


class Rows:
    """An inbox with many events, of which the oldest came longest ago.

    :param store: empty at first.
    :param most: blocks that there will ever be.
    """

    def __init__(self, store: InboxStore, most: int) -> None:
        self.store = store
        self.began = time.time() - 2 * _SPACING * most
        self.first = self.end = 0  # blocks
        event = parse_event(concat_complete(self._id(0), ["http://example.com/f0.m3u8", "http://example.com/f0.mp4"]))
        self._template = dict(zip(PER_EVENT, (0, *row_of(event)), strict=True))

    def fill(self, events: int) -> None:
        """Add blocks until there are so many events."""
        while (self.end - self.first) * BLOCK < events:
            self._add()
        database = self.store._database
        if database.engine.dialect.name == "postgresql":
            with database.write() as connection:  # as it does by itself a minute after so many rows have come
                connection.execute(text("ANALYZE vod_event"))

    def prune(self) -> None:
        """Remove the oldest block."""
        removed = self.store.prune(time.time() - (self.began + _SPACING * (self.first + 0.5)))
        if removed != BLOCK:
            raise RuntimeError(f"{removed} events were removed, not {BLOCK}")
        self.first += 1

    def any_id(self) -> str:
        """:return: a VOD task id that is there."""
        return self._id(random.randrange(self.first * BLOCK, self.end * BLOCK))

    @property
    def last(self) -> int:
        """Position of the newest event."""
        return self.end * BLOCK

    def _add(self) -> None:
        """Write a block as `InboxStore.receive` does, but with a time of its own and without looking for duplicates."""
        first = self.end * BLOCK
        rows = [self._row(first + index) for index in range(BLOCK)]
        per_call = {"queue": QUEUE, "source": "pull", "received_at": self.began + _SPACING * self.end}
        database = self.store._database
        with database.write() as connection:
            database.dialect.insert_events(connection, per_call, rows)
            connection.execute(update(vod_queue).values(position=(self.end + 1) * BLOCK))
        self.end += 1

    def _row(self, number: int) -> tuple[Any, ...]:
        own = self._id(number)
        changes = {
            "position": number + 1,
            "key": hashlib.sha256(own.encode()).hexdigest(),
            "vod_task_id": own,
            "body": self._template["body"].replace(self._id(0), own),
        }
        return tuple((self._template | changes).values())

    def _id(self, number: int) -> str:
        return f"Concat-{number:032d}"


def measure(bench: Bench) -> Iterator[Reading]:
    """Measure each size on each database, beside the smallest size."""
    sizes = bench.pick((10**4, 10**5, 10**6), (10**4, 10**5), (10**4,))
    for kind in bench.pick(tuple(KINDS), tuple(KINDS), ("sqlite",)):
        with closing(InboxStore.open(bench.databases.empty(kind))) as store:
            store.receive(QUEUE, [], "pull")
            rows = Rows(store, sizes[-1] // BLOCK + 1000)
            yield from _grow(bench, KINDS[kind], rows, sizes)


def _grow(bench: Bench, database: str, rows: Rows, sizes: tuple[int, ...]) -> Iterator[Reading]:
    smallest: dict[str, float] = {}
    for size in sizes:
        rows.fill(size)
        for what, milliseconds in _ask(bench, rows).items():
            baseline = smallest.setdefault(what, milliseconds)
            target = Target(2 * baseline) if size > sizes[0] else None
            yield Reading(f"{database}, {size:,} events, {what}", milliseconds, "ms", baseline, "10,000 events", target)


def _ask(bench: Bench, rows: Rows) -> dict[str, float]:
    many, some = bench.pick((500, 15), (200, 5), (10, 1))
    store = rows.store

    def poll() -> None:
        store.position(QUEUE)
        if len(store.headers_after(QUEUE, rows.last - NEWS, 1000)) != NEWS:
            raise RuntimeError("the newest events are not there")

    def find() -> None:
        if not store.find(QUEUE, [rows.any_id()]):
            raise RuntimeError("an event is not found")

    def prune() -> None:
        rows.prune()

    return {
        "find one by task id": _median(find, many),
        "poll": _median(poll, many),
        f"prune {BLOCK}": _median(prune, some, rows._add),
    }


def _median(work: Callable[[], None], times: int, between: Callable[[], None] = lambda: None) -> float:
    """:return: median of the milliseconds that the work takes."""
    durations = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        durations.append(time.perf_counter() - began)
        between()
    return 1000 * statistics.median(durations)
