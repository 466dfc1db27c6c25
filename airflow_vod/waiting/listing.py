"""The list of who waits, in the inbox: for people on call, and for `confirm_policy=awaited`.

Invariants: a line belongs to the process that wrote it last, and no other removes it, so a process that was stalled does
not take a wait off the list that another has taken over; what a crash leaves behind runs out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from airflow_vod import metrics
from airflow_vod.waiting.waiter import TaskWaiter

if TYPE_CHECKING:
    from airflow_vod.inbox import InboxStore
    from airflow_vod.inbox import Waiter as Line
    from airflow_vod.relay.reconcile import Answer, ReconcileLoop
    from airflow_vod.waiting.index import WaiterIndex
    from airflow_vod.waiting.waiter import Waiter

LISTED_FOR = 600.0  # seconds for which a wait without deadline stays on the list unless it is written again
_WRITE_EVERY = 1.0  # seconds
_BATCH = 1000  # changes that are written at a time


class Listed(NamedTuple):
    """A VOD task that is waited for.

    :param vod_task_id: the task.
    :param since_at: since when, in whatever process, in Unix seconds.
    :param asked_at: when VOD itself was last asked about it, in whatever process, in Unix seconds; None for never.
    :param unannounced: whether VOD announces no end of it, as far as is known.
    """

    vod_task_id: str
    since_at: float
    asked_at: float | None
    unannounced: bool


class Listing:
    """Keeps the list as it is in this process.

    :param inbox: the inbox.
    :param queue: whose waiters.
    :param index: who waits.
    :param lock: held while the index or the changes are touched.
    """

    def __init__(self, inbox: InboxStore, queue: str, index: WaiterIndex, lock: threading.RLock) -> None:
        from airflow_vod.inbox.leases import new_holder

        self._inbox = inbox
        self._queue = queue
        self._index = index
        self._lock = lock
        self._owner = new_holder()
        self._changed: list[Waiter] = []
        self._write_at, self._again_at = 0.0, time.monotonic() + LISTED_FOR / 2  # monotonic

    def keep(self, reconciling: ReconcileLoop, now: float) -> float:
        """Write what has changed, not too often, and let VOD be asked about the tasks of those who came.

        :param now: monotonic, as is the answer: when to call this again.
        """
        if now >= self._again_at:
            self.note_endless()
            self._again_at = now + LISTED_FOR / 2
        if not self.outdated:
            return self._again_at
        if now < self._write_at:
            return self._write_at
        for listed in self.write():
            reconciling.add(listed.vod_task_id, listed.since_at, listed.asked_at, unannounced=listed.unannounced)
        self._write_at = now if self.outdated else now + _WRITE_EVERY
        return min(self._write_at, self._again_at)

    def note(self, waiters: Iterable[Waiter]) -> None:
        """Note that waiters came or went; with the lock held."""
        self._changed += waiters

    def note_endless(self) -> None:
        """Let those who wait without deadline be written again, before their lines run out."""
        with self._lock:
            self._changed += [waiter for waiter in self._index if waiter.deadline_at is None]

    @property
    def outdated(self) -> bool:
        """Whether there are changes that are not yet written."""
        return bool(self._changed)

    def write(self, limit: int | None = _BATCH) -> list[Listed]:
        """Write changes down.

        :param limit: how many at most, so that news do not wait for long; None for all.
        :return: what waiters that came wait for.
        :raises InboxUnavailableError: they will be written with the next call.
        """
        with self._lock:
            changed, self._changed = self._changed[:limit], self._changed[limit:] if limit else []
            present, gone = self._lines_of(changed)
        try:
            self._inbox.waiters.remove(self._queue, gone, self._owner)
            self._inbox.waiters.add(self._queue, [line for line, _ in present], self._owner)
            listed = self._progress({line.id: waiter for line, waiter in present if isinstance(waiter, TaskWaiter)})
        except BaseException:
            with self._lock:
                self._changed += changed
            raise
        metrics.gauge("waiters", len(self._index), queue=self._queue)
        return listed

    def _lines_of(self, changed: Collection[Waiter]) -> tuple[list[tuple[Line, Waiter]], list[str]]:
        from airflow_vod.inbox.values import is_id

        last = {(each.name, vod_task_id): each for each in changed for vod_task_id in each.listed_for}
        present, gone = [], []
        for (name, vod_task_id), waiter in last.items():
            if vod_task_id is not None and not is_id(vod_task_id):
                continue  # no event can have it; its own trigger says so
            # A trigger that was taken over by another triggerer, or back, is the same waiter: what counts is who waits now.
            waiting = next(iter(self._index.named(name, vod_task_id)), waiter if waiter.listed_on else None)
            if waiting is None:
                gone.append(line_of(waiter, vod_task_id).id)
            else:
                present.append((line_of(waiting, vod_task_id), waiting))
        return present, gone

    def _progress(self, waiters: dict[str, TaskWaiter]) -> list[Listed]:
        listed = []
        for line in self._inbox.waiters.read(self._queue, list(waiters)):
            waiter = waiters[line.id]
            waiter.asked_at = max((at for at in (waiter.asked_at, line.asked_at) if at), default=None)
            waiter.answer = waiter.answer or line.answer
            if line.unannounced:
                waiter.unannounced |= {str(line.vod_task_id)}
            since_at = min(line.since or waiter.since_at, waiter.since_at)  # a watch that ends takes its lines with it
            unannounced = line.vod_task_id in waiter.unannounced
            listed.append(Listed(str(line.vod_task_id), since_at, waiter.asked_at, unannounced))
        return listed

    def note_answer(self, vod_task_id: str, answer: Answer) -> None:
        """Write down what VOD said of a task just now, for people and for the next process that waits for it."""
        with self._lock:
            waiters = list(self._index.of_task(vod_task_id))
        for waiter in waiters:
            waiter.asked_at, waiter.answer = time.time(), answer.words
            if answer.unannounced:
                waiter.unannounced |= {vod_task_id}
        ids = [line_of(waiter, vod_task_id).id for waiter in waiters]
        self._inbox.waiters.mark_asked(self._queue, ids, answer.words, unannounced=answer.unannounced)


def line_of(waiter: Waiter, vod_task_id: str | None) -> Line:
    """Make the line under which a waiter is listed for one of its VOD tasks."""
    from airflow_vod.inbox import Waiter as Line

    until = time.time() + LISTED_FOR if waiter.deadline_at is None else waiter.deadline_at
    line = Line.of(waiter.name, vod_task_id, waiter.event_types or (), until)
    if not isinstance(waiter, TaskWaiter):
        return line
    answer = waiter.answer if len(waiter.vod_task_ids) == 1 else None  # of several it is about one
    unannounced = True if vod_task_id in waiter.unannounced else None
    return replace(line, asked_at=waiter.asked_at, answer=answer, unannounced=unannounced)
