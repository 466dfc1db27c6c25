"""Waits that come, go, time out and are cancelled, in triggerers that die and hang, on the product's own watches and relays.

Invariants that are checked, at each step or at the end:

- a wait ends with its own event, the first of those that count, or at its deadline and not before; without faults it ends
  within seconds of either;
- once the weather is calm each wait whose event has come is over, though no process looks again by and by for what it has missed;
- an event that VOD never announces is learnt by asking VOD;
- pulls start only under the lease, and never more than 100 requests of an action leave within a second;
- when all waits are over nothing is left: no task, thread, entry in an index or line in the list of who waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any

from sqlalchemy import select

from airflow_vod.emulator.starters import STARTERS
from airflow_vod.inbox.tables import vod_event, vod_waiter
from airflow_vod.triggers.vod import VodTaskTrigger
from airflow_vod.triggers.vod_event import VodNextEventTrigger
from airflow_vod.waiting import watch as watch_module
from tests.simulation.cloud import CALM, Cloud, Weather
from tests.simulation.databases import Server
from tests.simulation.relays import SETTINGS
from tests.simulation.triggerers import AsyncProcess
from tests.simulation.world import BrokenError, Process, World

STORM = 50.0  # virtual seconds for which things fail
AFTERWARDS = 110.0  # within which everything must be in order again
UNTIL_ASKED = 420.0  # seconds after which VOD has been asked about every task
SKEW = 3.0  # seconds by which somebody sets a clock
SOON = 4.0  # seconds in which a wait ends where nothing fails
LAST_LOOK = 6.0  # seconds that a wait may end after its deadline, for its look into the inbox


@dataclass(eq=False)
class Wait:
    """One wait of an Airflow task.

    :param number: tells it from the others.
    :param kind: ``task``, ``tasks``, ``unannounced`` or ``event``.
    :param vod_task_ids: what it waits for.
    :param since_at: Unix seconds at which it began.
    :param deadline_at: Unix seconds; None for no end.
    """

    number: int
    kind: str
    vod_task_ids: list[str]
    since_at: float
    deadline_at: float | None
    holder: AsyncProcess | None = None
    task: asyncio.Task[None] | None = None
    over: bool = False
    answers: list[str] = field(default_factory=list)

    def trigger(self) -> Any:
        """Make its trigger, as Airflow does in each triggerer that it goes to."""
        common: dict[str, Any] = {
            "vod_conn_id": "vod",
            "deadline": self.deadline_at,
            "waiter": f"dag/run/wait{self.number}",
        }
        if self.kind == "event":
            match = {"vod_task_id": self.vod_task_ids[0]}
            return VodNextEventTrigger(event_type="EditMediaComplete", match=match, since=self.since_at, **common)
        if self.kind == "any":
            return VodNextEventTrigger(event_type="EditMediaComplete", since=self.since_at, **common)
        types = () if self.kind == "unannounced" else None
        return VodTaskTrigger(vod_task_id=self.vod_task_ids, event_types=types, **common)


class Drill:
    """One run.

    :param seed: decides everything.
    :param server: the database, in which nobody else is at work.
    """

    def __init__(self, seed: int, server: Server) -> None:
        self.world = World(seed, "waits")
        self.server = server
        server.begin(self.world)
        watch_module._running.clear()
        rng = self.rng = self.world.rng
        self.faultless = rng.random() < 0.3
        self.clock_was_set = False
        self.forgets = rng.random() < 0.25
        self.settings = SETTINGS
        self.cloud = Cloud(
            self.world, Weather(rtt=rng.choice((0.005, 0.1))) if self.faultless else weather_of(rng), task_seconds=1e9
        )
        self.cloud.is_committed = server.holds
        self.cloud.may_pull = self._may_pull
        self.may_err = self.cloud.weather.refused > 0
        self.waits: list[Wait] = []
        self.triggerers = [self._triggerer() for _ in range(rng.randint(1, 3))]
        self.ends_at = STORM + (UNTIL_ASKED if self.forgets else AFTERWARDS)
        self._plan(rng)

    def _triggerer(self) -> AsyncProcess:
        number = sum(type(each) is AsyncProcess for each in self.world.processes)
        return AsyncProcess(self.cloud, self.server, f"triggerer{number}", lambda: self.settings)

    def _may_pull(self, process: Process) -> None:
        lease = self.server.store.leases.read(SETTINGS.queue)
        if (lease is None or lease.expired) and not self.clock_was_set:
            raise BrokenError(f"{process.name} pulls although nobody holds the lease")

    def _plan(self, rng: Random) -> None:
        world = self.world
        for number in range(rng.choice((2, 8, 20))):
            world.at(rng.uniform(0, STORM), lambda number=number: self._begin(number))  # type: ignore[misc]
        world.at(STORM, self._calm_down)
        world.at(self.ends_at - 30, self._cancel_rest)
        if self.faultless:
            return
        for _ in range(rng.choice((0, 0, 1, 3))):
            world.at(rng.uniform(0, STORM), self._replace)
        for _ in range(rng.choice((0, 0, 2))):
            world.at(rng.uniform(0, STORM), self._freeze)
        for _ in range(rng.choice((0, 0, 2))):
            world.at(rng.uniform(0, STORM), self._set_clock)
        for _ in range(rng.choice((0, 0, 1))):
            world.at(rng.uniform(0, STORM), self._edit_connection)

    # Who waits

    def _begin(self, number: int) -> None:
        rng, now = self.rng, self.world.time()
        kind = rng.choice(("task", "task", "tasks", "event", "any", "unannounced" if self.forgets else "task"))
        ids = [self._new_task(kind) for _ in range(rng.randint(2, 3) if kind == "tasks" else 1)]
        deadline = rng.choice((None, now + rng.uniform(1, 60), now + self.ends_at))
        wait = Wait(number, kind, ids, now, deadline)
        self.waits.append(wait)
        self.world.note(f"wait{number} for {kind} {[each[-4:] for each in ids]} begins")
        self._hand_to(wait, rng.choice(self._alive()))
        if rng.random() < 0.15:
            self.world.after(rng.uniform(0, 30), lambda: self._cancel(wait))

    def _new_task(self, kind: str) -> str:
        rng = self.rng
        mode = "None" if self.forgets and (kind == "unannounced" or rng.random() < 0.2) else "Finish"
        runner = self.cloud.app.runner
        vod_task_id = runner.start(
            STARTERS["EditMedia"].kind, {"FileInfos": [{"FileId": "1"}], "TasksNotifyMode": mode}, "EditMedia"
        )
        if rng.random() < 0.9:
            self.world.after(
                rng.choice((0.0, rng.uniform(0, 3), rng.uniform(0, 40))), lambda: runner.finish(vod_task_id)
            )
        return vod_task_id

    def _hand_to(self, wait: Wait, process: AsyncProcess) -> None:
        wait.holder, wait.task = process, None
        process.spawn(lambda: self._wait(wait, process), lambda task: self._note_task(wait, process, task))

    def _note_task(self, wait: Wait, process: AsyncProcess, task: asyncio.Task[None]) -> None:
        if wait.holder is process:
            wait.task = task

    async def _wait(self, wait: Wait, process: AsyncProcess) -> None:
        if wait.over or wait.holder is not process:  # Airflow had given it to another one before this one came to it
            return
        try:
            async for event in wait.trigger().run():
                self._ended(wait, process, event.payload)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.world.errors.append(error)

    def _cancel(self, wait: Wait) -> None:
        if not wait.over:
            self.world.note(f"wait{wait.number} is cancelled")
            wait.over = True
            if wait.task is not None and wait.holder is not None:
                wait.holder.loop.call_soon_threadsafe(wait.task.cancel)

    def _cancel_rest(self) -> None:
        """Cancel the waits that cannot be over in time: nothing comes for them, and they have no end."""
        for wait in self.waits:
            if (wait.deadline_at is None or wait.deadline_at > self.world.time()) and not self._can_end(wait):
                self._cancel(wait)

    def _can_end(self, wait: Wait) -> bool:
        if wait.kind in ("event", "any"):
            return self._all_there(wait, self.world.time()) is not None
        return all(self.cloud.app.tasks.get(each).status == "FINISH" for each in wait.vod_task_ids)  # type: ignore[union-attr]

    # How a wait ends

    def _ended(self, wait: Wait, process: AsyncProcess, payload: Mapping[str, Any]) -> None:
        status = payload["status"]
        self.world.note(f"wait{wait.number} ends in {process.name}: {status}")
        if wait.over:  # Airflow takes the first end of a wait that two triggerers had
            return
        wait.over = True
        if status == "found":
            self._check_found(wait, payload)
        elif status == "timeout":
            self._check_timeout(wait, process)
        elif not self.may_err:
            raise BrokenError(f"wait{wait.number} ends with an error: {payload}")

    def _check_found(self, wait: Wait, payload: Mapping[str, Any]) -> None:
        if wait.kind in ("event", "any"):
            first = self._first_event(wait)
            if first is None or first[0] != payload["position"]:
                raise BrokenError(f"wait{wait.number} ends with {payload['position']}, its event is {first}")
        elif not all(map(self.server.holds, wait.vod_task_ids)):
            raise BrokenError(f"wait{wait.number} ends before its events are there")
        there_at = self._all_there(wait, self.world.time())
        if self.faultless and there_at and self.world.time() - max(there_at, wait.since_at) > SOON:
            raise BrokenError(f"wait{wait.number} ends {self.world.time() - there_at:.1f} s after its event came")

    def _check_timeout(self, wait: Wait, process: AsyncProcess) -> None:
        deadline = wait.deadline_at
        if deadline is None or process.time() < deadline:
            raise BrokenError(f"wait{wait.number} times out before its deadline")
        if self.faultless and self.world.time() > deadline + LAST_LOOK:
            raise BrokenError(f"wait{wait.number} times out {self.world.time() - deadline:.1f} s after its deadline")
        there_at = self._all_there(wait, deadline)
        if self.faultless and there_at is not None and max(there_at, wait.since_at) < deadline - SOON:
            raise BrokenError(f"wait{wait.number} times out although its event came {deadline - there_at:.1f} s before")

    def _first_event(self, wait: Wait) -> Any:
        question = select(vod_event.c.position, vod_event.c.received_at).where(vod_event.c.received_at >= wait.since_at)
        if wait.kind == "event":
            question = question.where(vod_event.c.vod_task_id == wait.vod_task_ids[0])
        with self.server.database.read() as connection:
            return connection.execute(question.order_by(vod_event.c.position).limit(1)).first()

    def _all_there(self, wait: Wait, by: float) -> float | None:
        """Answer when all that a wait needs was in the inbox; None if it was not by then."""
        if wait.kind in ("event", "any"):
            first = self._first_event(wait)
            return first[1] if first is not None and first[1] <= by else None
        ids = vod_event.c.vod_task_id.in_(wait.vod_task_ids)
        with self.server.database.read() as connection:
            at = connection.execute(select(vod_event.c.received_at).where(ids)).scalars().all()
        return max(at) if len(at) == len(wait.vod_task_ids) and max(at) <= by else None

    # What goes wrong

    def _alive(self) -> list[AsyncProcess]:
        return [each for each in self.triggerers if each.alive]

    def _replace(self) -> None:
        """Kill a triggerer. Airflow gives its triggers to others after a while."""
        killed = self.rng.choice(self._alive())
        killed.kill()
        self.triggerers.append(self._triggerer())
        self.world.after(self.rng.uniform(1, 20), lambda: self._move_from(killed))

    def _freeze(self) -> None:
        frozen, seconds = self.rng.choice(self._alive()), self.rng.uniform(0.1, 30)
        frozen.freeze(seconds)
        if seconds > 15:  # Airflow takes it for dead; it goes on with what it had all the same
            self.triggerers.append(self._triggerer())
            self.world.after(10, lambda: self._move_from(frozen))

    def _move_from(self, gone: AsyncProcess) -> None:
        for wait in self.waits:
            if wait.holder is gone and not wait.over:
                if wait.task is not None:  # Airflow cancels it soon after the triggerer goes on
                    later = max(gone.frozen_until - self.world.now, 0.0) + self.rng.uniform(0, 5)
                    self.world.after(later, partial(gone.loop.call_soon_threadsafe, wait.task.cancel))
                self._hand_to(wait, self.rng.choice([each for each in self._alive() if each is not gone]))

    def _set_clock(self) -> None:
        self.clock_was_set = True
        process = self.rng.choice(self._alive())
        process.skew = self.rng.uniform(-SKEW, SKEW)
        self.world.note(f"the clock of {process.name} is set by {process.skew:.1f} s")

    def _edit_connection(self) -> None:
        self.world.note("the connection gets another key")
        before, self.settings = self.settings.secret_id, replace(self.settings, secret_id="AKIDtwo")
        self.world.after(self.rng.uniform(5, 30), lambda: self.cloud.revoked.add(str(before)))

    def _calm_down(self) -> None:
        self.world.note("calm")
        vars(self.cloud.weather).update(vars(CALM))

    # The end

    def run(self) -> World:
        """Run it to its end and check what must hold.

        :raises BrokenError: something does not.
        """
        self.world.run(self.ends_at, done=lambda: self.world.now > STORM and all(each.over for each in self.waits))
        self._check(not [each.number for each in self.waits if not each.over], "waits that do not end")
        self.world.run(self.world.now + 45)  # a watch lingers for a while
        processes = [each for each in self.world.processes if isinstance(each, AsyncProcess) and each.alive]
        left = [f"{each.name}: {one}" for each in processes for one in each.book_keeping()]
        self._check(not left, f"book-keeping is left: {left}")
        for each in processes:
            each.stop()
        self.world.run(self.world.now + 30)
        threads = [thread.name for each in processes for thread in each.threads if thread.is_alive()]
        self._check(not threads, f"threads are left: {threads}")
        if not any(not each.alive for each in self.world.processes):
            with self.server.database.read() as connection:
                lines = connection.execute(select(vod_waiter.c.waiter)).scalars().all()
            self._check(not lines, f"lines of waiters are left: {lines}")
        self.world.end()
        return self.world

    def _check(self, holds: bool, what: str) -> None:
        if not holds:
            raise self.world.broken(BrokenError(what))


def weather_of(rng: Random) -> Weather:
    """Draw how bad things are."""
    return Weather(
        request_lost=rng.choice((0.0, 0.05)),
        request_late=rng.choice((0.0, 0.0, 0.03)),
        answer_lost=rng.choice((0.0, 0.05)),
        answer_late=rng.choice((0.0, 0.05)),
        throttled=rng.choice((0.0, 0.05)),
        refused=rng.choice((0.0, 0.0, 0.02)),
        before_commit=rng.choice((0.0, 0.04, 0.3)),
        after_commit=rng.choice((0.0, 0.04)),
        rtt=rng.choice((0.005, 0.02, 0.2)),
        slow=rng.choice((0.0, 0.05)),
    )
