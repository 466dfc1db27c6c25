"""One asset watcher in several triggerers, on Airflow's own shared streams, while triggerers die, hang and lose the inbox.

Invariants that are checked, at each step or at the end:

- the watcher's cursor passes an event only after Airflow has stored it, and all before it;
- every event that counts is stored by Airflow at least once; where nothing fails, once, whichever triggerer has handed it out;
- once the weather is calm the cursor comes to the end of the inbox;
- when the triggerers end nothing is left: no task, thread or entry in an index.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from random import Random

from airflow.triggers.shared_stream import SharedStreamManager
from sqlalchemy import select

from airflow_vod.inbox.tables import vod_event
from airflow_vod.triggers.vod_event import VodEventTrigger
from airflow_vod.waiting import watch as watch_module
from tests.simulation.cloud import CALM, Cloud, Weather
from tests.simulation.databases import Server
from tests.simulation.relays import SETTINGS, weather_of
from tests.simulation.triggerers import AsyncProcess
from tests.simulation.world import BrokenError, World

WATCHER = "new splices"
STORM = 40.0  # virtual seconds for which things fail
AFTERWARDS = 200.0  # within which everything must be in order again
MINE, OTHER = "mp4", "m3u8"  # file types of the events that count, and of those that do not


class Triggerer(AsyncProcess):
    """A triggerer that runs the watcher, as Airflow 3.3 does.

    :param drill: of which it is a part.
    :param name: for the trace.
    """

    def __init__(self, drill: Drill, name: str) -> None:
        super().__init__(drill.cloud, drill.server, name, lambda: SETTINGS)
        self._drill = drill
        self.streams: SharedStreamManager | None = None
        cursors = self.store.cursors
        advance = cursors.advance

        def checked(watcher: str, queue: str, position: int) -> bool:
            drill.check_cursor(position)
            return advance(watcher, queue, position)

        cursors.advance = checked  # type: ignore[method-assign]
        self.spawn(self._live, lambda _: None)

    async def _live(self) -> None:
        try:
            await self._watch()
        except Exception as error:
            self.world.errors.append(error)

    async def _watch(self) -> None:
        match = {"Output.FileType": MINE}
        trigger = VodEventTrigger(event_type="EditMediaComplete", match=match, vod_conn_id="vod", watcher=WATCHER)
        key, streams = trigger.shared_stream_key(), SharedStreamManager()
        stream = streams.subscribe(trigger_id=1, trigger=trigger, key=key)
        try:
            async for event in trigger.filter_shared_stream(stream):
                number = streams.bind_pending_event(trigger_id=1, key=key)
                self.world.after(
                    self.world.rng.uniform(0, 2), partial(self._store, event.payload["position"], streams, number)
                )
        finally:
            await streams.unsubscribe(1, key)

    def _store(self, position: int, streams: SharedStreamManager, number: int) -> None:
        """Store an event, as Airflow does soon after its trigger has yielded it, unless the triggerer has died since."""
        if not self.alive:
            return
        self._drill.stored[position] += 1
        self.world.note(f"Airflow stores event {position} of {self.name}")
        self.world.after(
            self.world.rng.uniform(0, 2),
            lambda: self.loop.call_soon_threadsafe(streams.confirm_persisted, [number]),
        )


class Drill:
    """One run.

    :param seed: decides everything.
    :param server: the database, in which nobody else is at work.
    """

    def __init__(self, seed: int, server: Server) -> None:
        self.world = World(seed, "feeds")
        self.server = server
        server.begin(self.world)
        watch_module._running.clear()
        rng = self.rng = self.world.rng
        self.faultless = rng.random() < 0.3
        weather = Weather(rtt=rng.choice((0.005, 0.1))) if self.faultless else weather_of(rng)
        self.cloud = Cloud(self.world, weather)
        self.cloud.is_committed = server.holds
        self.stored: Counter[int] = Counter()  # by position, how often Airflow has stored an event
        server.store.cursors.get(WATCHER, SETTINGS.queue, 0)  # the watcher is as old as the inbox
        self.triggerers = [self._triggerer() for _ in range(rng.randint(1, 2))]
        self._plan(rng)

    def _triggerer(self) -> Triggerer:
        number = sum(isinstance(each, Triggerer) for each in self.world.processes)
        return Triggerer(self, f"triggerer{number}")

    def _plan(self, rng: Random) -> None:
        world = self.world
        for _ in range(rng.choice((3, 20, 60))):
            kind = rng.choice((MINE, MINE, OTHER))
            world.at(rng.triangular(0, STORM, 0), partial(self.cloud.publish, file_type=kind))
        world.at(STORM, self._calm_down)
        if self.faultless:
            return
        for _ in range(rng.choice((0, 1))):  # what is stored, and not yet known to be, comes again then
            world.at(rng.uniform(0, STORM), self._restart)
        for _ in range(rng.randint(0, 3)):
            world.at(rng.uniform(0, STORM), self._replace)
        for _ in range(rng.choice((0, 0, 2))):
            world.at(rng.uniform(0, STORM), lambda: self._pick().freeze(rng.uniform(0.1, 50)))

    def _pick(self) -> Triggerer:
        return self.rng.choice(self.triggerers)

    def _replace(self) -> None:
        killed = self._pick()
        killed.kill()
        self.triggerers[self.triggerers.index(killed)] = self._triggerer()

    def _restart(self) -> None:
        """End a triggerer in order, and begin another one."""
        ended = self._pick()
        self.world.note(f"{ended.name} is to end")
        ended.stop()
        self.triggerers[self.triggerers.index(ended)] = self._triggerer()

    def _calm_down(self) -> None:
        self.world.note("calm")
        vars(self.cloud.weather).update(vars(CALM))

    # What must hold

    def positions(self, up_to: float = float("inf")) -> list[int]:
        """Answer where in the inbox the events are that count."""
        with self.server.database.read() as connection:
            rows = connection.execute(select(vod_event.c.position, vod_event.c.vod_task_id)).all()
        types = self.cloud.file_types
        return sorted(position for position, task in rows if types[task] == MINE and position <= up_to)

    def check_cursor(self, position: int) -> None:
        """Check that the cursor may go up to a position."""
        if still_open := [each for each in self.positions(position) if not self.stored[each]]:
            words = f"the cursor goes to {position}, although Airflow has not stored {still_open}"
            self.world.errors.append(BrokenError(words))

    def run(self) -> World:
        """Run it to its end and check what must hold.

        :raises BrokenError: something does not.
        """
        self.world.run(STORM + AFTERWARDS, done=lambda: self.world.now > STORM + 1 and self._all_over())
        self._check(self._all_over(), f"not over: {self.cloud.queue.counts()}, {self.stored}")
        self.world.run(self.world.now + 15)  # what would be stored once more is on its way
        if self.faultless:
            self._check(set(self.stored.values()) <= {1}, f"stored more than once: {self.stored}")
        processes = [each for each in self.triggerers if each.alive]
        for each in processes:
            each.stop()
        self.world.run(self.world.now + 30)
        left = [f"{each.name}: {one}" for each in processes for one in (*each.left(), *each.book_keeping())]
        self._check(not left, f"left: {left}")
        self.world.end()
        return self.world

    def _all_over(self) -> bool:
        counts = self.cloud.queue.counts()
        if counts.visible or counts.hidden or len(self.server.vod_task_ids()) < len(self.cloud.published):
            return False
        positions = self.positions()
        at = self.server.store.cursors.get(WATCHER, SETTINGS.queue, 0)
        return all(map(self.stored.__getitem__, positions)) and at >= max(positions, default=0)

    def _check(self, holds: bool, what: str) -> None:
        if not holds:
            raise self.world.broken(BrokenError(what))
