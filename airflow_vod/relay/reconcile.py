"""Asks VOD itself about tasks whose event does not come.

Invariant: only what VOD says plainly, that a task has ended, becomes an event in the inbox; whatever else it answers (a task
it does not know, one older than three days, a kind it no longer describes) is no information and never a failure.
"""

from __future__ import annotations

import heapq
import logging
import queue
import time
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from airflow_vod import metrics
from airflow_vod.events.parse import event_of_detail
from airflow_vod.exceptions import EventParseError, InboxError, VodApiError, VodInvalidRequestError
from airflow_vod.tencent.pacing import pacer

if TYPE_CHECKING:
    from airflow_vod.inbox import InboxStore
    from airflow_vod.tencent.client import VodClient

log = logging.getLogger(__name__)

ACTION = "DescribeTaskDetail"
CALLS_PER_SECOND = 5  # of the 100 that the API allows an account
FIRST_AFTER = 300.0  # seconds of waiting without an event
SLOWEST = 3600.0  # seconds between two questions about one task


class Reconciler:
    """Asks about tasks of one queue. Safe to use from several threads at once.

    :param client: the application.
    :param store: the inbox that takes the answers.
    """

    def __init__(self, client: VodClient, store: InboxStore) -> None:
        self._client = client
        self._store = store
        self._queue = client.settings.queue
        self._pacer = pacer(client.settings.account, ACTION, CALLS_PER_SECOND)

    def ask(self, vod_task_id: str, *, tries: int = 3) -> bool:
        """Ask about one task, and store its end as an event if VOD knows of it.

        :param vod_task_id: the task.
        :param tries: how often VOD is called at the most where it does not answer.
        :return: whether the inbox holds its end now.
        :raises VodApiError: VOD could not be asked now, or refuses this action for good.
        :raises InboxUnavailableError: the answer could not be stored.
        """
        self._pacer.wait()
        try:
            event = event_of_detail(self._client.describe_task_detail(vod_task_id, tries=tries), vod_task_id)
        except VodInvalidRequestError as error:
            if error.code.startswith(("InvalidParameterValue", "ResourceNotFound")):
                log.info("VOD does not know task %s of application %s: %s", vod_task_id, self._queue, error)
                return False
            raise
        except EventParseError as error:
            log.warning("VOD describes task %s in a way that cannot be read: %s", vod_task_id, error)
            return False
        if event is None or not event.finished:
            return False
        self._store.receive(self._queue, [event], "reconcile")
        metrics.count("reconciles", queue=self._queue)
        log.info("VOD says that task %s has ended (%s), although no event came", vod_task_id, event.event_type)
        return True


class ReconcileLoop:
    """Asks VOD about tasks that are waited for, each at its own times, in a thread of their own.

    :param reconciler: asks.
    :param is_awaited: whether somebody still waits for a task.
    :param note_asked: takes down that VOD has just answered about a task.
    """

    def __init__(
        self, reconciler: Reconciler, is_awaited: Callable[[str], bool], note_asked: Callable[[str], None]
    ) -> None:
        self._reconciler = reconciler
        self._is_awaited = is_awaited
        self._note_asked = note_asked
        self._added: queue.SimpleQueue[tuple[str, float, float | None] | None] = queue.SimpleQueue()
        # A heap: when to ask and since when it is waited for, both by the monotonic clock, and the task.
        self._due: list[tuple[float, float, str]] = []
        self._tasks: set[str] = set()
        self._ending = False

    def add(self, vod_task_id: str, since_at: float, asked_at: float | None = None) -> None:
        """Ask about this task too, from any thread; the first time after some minutes of waiting.

        :param since_at: since when it is waited for, in whatever process, in Unix seconds.
        :param asked_at: when VOD was last asked about it, in whatever process, in Unix seconds; None for never.
        """
        self._added.put((vod_task_id, since_at, asked_at))

    def end(self) -> None:
        """Let `run` return soon, from any thread."""
        self._ending = True
        self._added.put(None)

    def run(self) -> None:
        """Ask until `end` is called."""
        while not self._ending:
            self._take_added()
            now = time.monotonic()
            while self._due and self._due[0][0] <= now and not self._ending:
                _, since, vod_task_id = heapq.heappop(self._due)
                self._ask(vod_task_id, since)

    def _take_added(self) -> None:
        """Wait until the next task is due or one is added, and take all that were."""
        try:
            timeout = max(self._due[0][0] - time.monotonic(), 0.0) if self._due else None
            added = self._added.get(timeout=timeout)
            while True:
                if added is not None and added[0] not in self._tasks:
                    vod_task_id, since_at, asked_at = added
                    self._tasks.add(vod_task_id)
                    since = _monotonic(since_at)
                    self._plan(vod_task_id, since, _monotonic(asked_at) if asked_at else since)
                added = self._added.get_nowait()
        except queue.Empty:
            return

    def _plan(self, vod_task_id: str, since: float, after: float) -> None:
        """Plan the first time to ask that is later than a moment."""
        at = next(since + at for at in question_times(vod_task_id) if since + at > after)
        heapq.heappush(self._due, (at, since, vod_task_id))

    def _ask(self, vod_task_id: str, since: float) -> None:
        if not self._is_awaited(vod_task_id):
            self._tasks.discard(vod_task_id)
            return
        try:
            self._reconciler.ask(vod_task_id)
            self._note_asked(vod_task_id)
        except (VodApiError, InboxError) as error:
            log.info("VOD cannot be asked about task %s now, and will be later: %s", vod_task_id, error)
        self._plan(vod_task_id, since, time.monotonic())


def _monotonic(moment_at: float) -> float:
    """Find a moment in the past on the monotonic clock, on which the time of day that is set later changes nothing."""
    return time.monotonic() - max(0.0, time.time() - moment_at)


def question_times(vod_task_id: str) -> Iterator[float]:
    """Seconds after the beginning of a wait at which to ask about its task: after a while, then ever more rarely.

    :param vod_task_id: its times are always the same, so that a sensor which wakes up in a new process knows them; those of
        other tasks are others, so that waits that began together do not ask together.
    """
    jitter = 0.8 + 0.4 * zlib.crc32(vod_task_id.encode("utf-8", "replace")) / 2**32
    at, step = 0.0, FIRST_AFTER
    while True:
        at += step * jitter
        yield at
        step = min(step * 2, SLOWEST)
