"""The processes of a campaign: relays of their own, and processes with waiters as a triggerer has them.

Invariant: a player tells what waiters were woken with, and which troubles it met, in the order in which that happened; what
it does with events is left to the package alone.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from airflow_vod.exceptions import InboxUnavailableError, VodError
from airflow_vod.inbox import InboxStore
from airflow_vod.relay.pipeline import Pipeline
from airflow_vod.relay.steps import Relay
from airflow_vod.tencent.client import VodClient
from airflow_vod.tencent.settings import VodSettings
from airflow_vod.waiting.waiter import TaskWaiter
from airflow_vod.waiting.watch import Watch
from tests import tempo

AT_ONCE = 300  # groups of tasks that are waited for at a time, in each process

_TROUBLES = {
    "database locked": ("database is locked", "lock timeout", "Lock wait timeout"),
    "database full": ("is full", "no space"),
    "pool exhausted": ("QueuePool limit",),
    "connection lost": (
        "terminating connection",
        "server closed",
        "connection",
        "starting up",
        "shutting down",
        "gone away",
        "Can't connect",
    ),
}


@dataclass(frozen=True)
class Stage:
    """Where a player plays.

    :param settings: the application.
    :param url: the inbox.
    :param ahead: how far the wall clock has been set ahead, in seconds; shared by all, as on one machine.
    """

    settings: VodSettings
    url: str
    ahead: Any


def _open(url: str, clock: Callable[[], float] | None) -> InboxStore:
    """Open the inbox, now or, while its database is down, as soon as that works: whoever starts processes tries again."""
    while True:
        try:
            return InboxStore.open(url, clock=clock)
        except InboxUnavailableError:
            time.sleep(0.1)


class Player:
    """One process: its inbox, its line to the campaign, and what can be done to it.

    :param stage: where.
    :param line: to the campaign.
    """

    def __init__(self, stage: Stage, line: Connection) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        logging.getLogger("airflow_vod").setLevel(logging.ERROR)
        tempo.hurry()
        clock = (lambda: time.time() + stage.ahead.value) if stage.url.startswith("sqlite") else None
        self.stage = stage
        self.store = _open(stage.url, clock)
        self.on_finish: Callable[[], None] = lambda: None
        self._line = line
        self._lock = threading.Lock()
        self._engine = self.store._database.engine
        self._engine.pool._timeout = 0.5  # type: ignore[attr-defined]
        self._engine.pool._max_overflow = 0  # type: ignore[attr-defined]
        self._full_until = float("-inf")
        if stage.url.startswith("sqlite"):
            self._let_file_be_full()
        self._listen_to_errors()
        threading.Thread(target=self._obey, daemon=True).start()

    def tell(self, kind: str, value: Any) -> None:
        """Tell the campaign something."""
        with self._lock:
            self._line.send((kind, value))

    def _listen_to_errors(self) -> None:
        database: Any = self.store._database
        really = database._raise

        def tell_and_raise(error: Exception) -> None:
            try:
                really(error)
            except VodError as raised:
                known = [name for name, texts in _TROUBLES.items() if any(text in str(raised) for text in texts)]
                self.tell("met", known[0] if known else str(raised))
                raise

        database._raise = tell_and_raise

    def _obey(self) -> None:
        while True:
            match self._line.recv():
                case "finish", _:
                    self.on_finish()
                    return
                case "exhaust", seconds:
                    threading.Thread(target=self._exhaust, args=(seconds,), daemon=True).start()
                case "fill", seconds:
                    self._full_until = time.monotonic() + seconds

    def _exhaust(self, seconds: float) -> None:
        """Take connections for as long as there are any."""
        taken, until = [], time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                taken.append(self._engine.connect())
            except Exception:
                time.sleep(0.01)
        for connection in taken:
            connection.close()

    def _let_file_be_full(self) -> None:
        """Let the SQLite file not grow while `_full_until` has not come; the limit belongs to each connection."""
        from sqlalchemy import event

        @event.listens_for(self._engine, "checkout")
        def limit(connection: Any, *_: Any) -> None:
            full = time.monotonic() < self._full_until
            pages = connection.execute("PRAGMA page_count").fetchone()[0] if full else 1 << 30
            connection.execute(f"PRAGMA max_page_count={pages}")


def relay(stage: Stage, line: Connection) -> None:
    """Be a relay of its own."""
    player = Player(stage, line)
    client = VodClient(stage.settings)
    pipeline = Pipeline(Relay(client, player.store))
    player.on_finish = pipeline.stop
    pipeline.run()
    client.close()
    player.store.close()
    player.tell("summary", str(pipeline.relay.summary))


def triggerer(stage: Stage, line: Connection, name: str, tasks: Sequence[str]) -> None:
    """Wait for tasks, as triggers do in a triggerer."""
    asyncio.run(_Triggerer(Player(stage, line), name).wait_for_all(tasks))


class _Triggerer:
    def __init__(self, player: Player, name: str) -> None:
        self._player, self._name = player, name
        self._watch = self._new_watch()

    async def wait_for_all(self, tasks: Sequence[str]) -> None:
        """Wait for all tasks: one by one, but each tenth waiter for five of them; then until told to finish."""
        finish, loop = asyncio.Event(), asyncio.get_running_loop()
        self._player.on_finish = lambda: loop.call_soon_threadsafe(finish.set)
        gate, groups, rest = asyncio.Semaphore(AT_ONCE), [], list(tasks)
        while rest:
            size = 5 if len(groups) % 10 == 9 else 1
            groups.append(rest[:size])
            del rest[:size]
        waits = [asyncio.create_task(self._wait_for(group, gate)) for group in groups]
        finished = asyncio.create_task(finish.wait())
        await asyncio.wait([*waits, finished], return_when=asyncio.FIRST_EXCEPTION)
        await finished
        for wait in waits:
            wait.cancel()
        for end in await asyncio.gather(*waits, return_exceptions=True):
            if isinstance(end, Exception):
                self._player.tell("error", repr(end))
        self._watch.end()
        await asyncio.to_thread(self._watch.join)
        self._player.store.close()
        self._player.tell("summary", str(self._watch.summary))

    async def _wait_for(self, group: list[str], gate: asyncio.Semaphore) -> None:
        async with gate:
            waiter = TaskWaiter(group, name=f"{self._name}/{group[0]}")
            while waiter.missing:
                try:
                    await self._wait(waiter)
                except VodError as error:  # as a trigger does, but sooner
                    self._player.tell("watch failed", str(error))
                    await asyncio.sleep(0.2)

    async def _wait(self, waiter: TaskWaiter) -> None:
        while not self._watch.add(waiter):
            self._watch = self._new_watch()
        try:
            while waiter.missing:
                if found := await waiter.next(5):
                    self._player.tell("woken", list(found))
        finally:
            self._watch.discard(waiter)

    def _new_watch(self) -> Watch:
        watch = Watch(self._player.stage.settings, self._player.store)
        watch.start()
        return watch
