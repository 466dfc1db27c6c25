"""Relays that confirm only what somebody here waits for, beside another consumer of the same queue or beside none.

Invariants that are checked, at each step or at the end, besides those of `relays`:

- no event is confirmed that nobody here waits for, or has waited for;
- once the weather is calm, every event that somebody waits for, or has read, is confirmed; all others are left to whoever else
  pulls, and where nobody does, they stay in the queue.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import ClassVar

from sqlalchemy import select

from airflow_vod.emulator.queue import Delivery
from airflow_vod.inbox import Waiter
from airflow_vod.inbox.tables import vod_event
from airflow_vod.tencent.settings import VodSettings
from tests.simulation import relays
from tests.simulation.cloud import task_in
from tests.simulation.relays import SETTINGS, STORM
from tests.simulation.world import BrokenError

OWNER = "a process that waits"
LATEST = 30.0  # seconds by which a wait, or an event, may be later than planned


class Drill(relays.Drill):
    """One run; see `relays.Drill`."""

    scenario: ClassVar[str] = "awaited"
    settings: ClassVar[VodSettings] = replace(SETTINGS, confirm_policy="awaited")
    afterwards: ClassVar[float] = 250.0

    def _plan(self, rng: Random) -> None:
        self.own: set[str] = set()  # events that somebody here waits for, or is going to
        self.listed: set[str] = set()  # those of them that have been on the list
        self.taken: set[str] = set()  # confirmed by the other consumer
        self.cloud.may_confirm = self.listed.__contains__
        super()._plan(rng)
        self.shared = rng.random() < 0.6
        if self.shared:
            self.world.after(rng.uniform(0, 10), self._pull_elsewhere)

    def _publish(self) -> None:
        rng, vod_task_id = self.world.rng, self.cloud.new_id()
        if rng.random() < 0.6:
            self.own.add(vod_task_id)
            self.world.after(rng.uniform(0, LATEST), lambda: self._wait_for(vod_task_id))
            self.world.after(rng.choice((0.0, rng.uniform(0, LATEST))), lambda: self.cloud.publish(vod_task_id))
        else:
            self.cloud.publish(vod_task_id)

    def _wait_for(self, vod_task_id: str) -> None:
        """List a wait, as a watch does."""
        self.listed.add(vod_task_id)
        line = Waiter.of(f"dag/run/{vod_task_id[-4:]}", vod_task_id, (), self.world.time() + 1e6)
        self.server.store.waiters.add(self.settings.queue, [line], OWNER)
        self._look(vod_task_id, line.id)

    def _look(self, vod_task_id: str, line: str) -> None:
        """Take the event and the wait off the list, as a sensor does once its event is in the inbox."""
        with self.server.database.read() as connection:
            found = select(vod_event.c.position).where(vod_event.c.vod_task_id == vod_task_id)
            position = connection.execute(found).scalar()
        if position is None:
            self.world.after(self.world.rng.uniform(0.5, 5), lambda: self._look(vod_task_id, line))
            return
        self.server.store.mark_read(self.settings.queue, [position], "dag/run/task")
        self.server.store.waiters.remove(self.settings.queue, [line], OWNER)

    def _pull_elsewhere(self) -> None:
        """Let another consumer pull, confirm what is not ours, and leave the rest hidden until it appears again."""
        rng, queue, now = self.world.rng, self.cloud.queue, self.world.now
        if now > STORM + LATEST and not self._left():
            return  # it has all that is its own; two who pull on hide from each other what they leave, perhaps for ever
        poll = queue.pull(self._take)
        # VOD does not say whom of those who wait it serves first.
        if poll in queue._polls and (now > STORM or rng.random() < 0.5):
            queue._polls.move_to_end(poll, last=False)
        # In the end several of its pulls wait at every moment: what is its own could appear between two of them again and again.
        self.world.after(rng.uniform(0.1, 8 if now < STORM else 1), self._pull_elsewhere)

    def _take(self, deliveries: Sequence[Delivery]) -> None:
        of_task = {task_in(json.loads(each.body)): each.handle for each in deliveries}
        foreign = {each: handle for each, handle in of_task.items() if each not in self.own}
        self.taken |= foreign.keys()
        self.cloud.queue.confirm(list(foreign.values()))
        self.world.note(f"another consumer takes {len(foreign)} of {len(of_task)} events")

    def _left(self) -> set[str]:
        """Answer what nobody here waits for, and the other consumer has not confirmed."""
        return set(self.cloud.published) - self.own - self.taken

    def _all_over(self) -> bool:
        counts, published, left = self.cloud.queue.counts(), set(self.cloud.published), self._left()
        if not self.own <= published or (self.shared and left) or not left <= set(self.server.vod_task_ids()):
            return False
        return counts.visible + counts.hidden == len(left) and counts.published == len(published)

    def _check_inbox(self) -> None:
        stored = self.server.vod_task_ids()
        if len(stored) != len(set(stored)):
            raise self.world.broken(BrokenError("an event is in the inbox twice"))
        if lost := self.own - set(stored):
            raise self.world.broken(BrokenError(f"lost {sorted(lost)}"))
