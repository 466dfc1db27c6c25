"""Asks VOD itself about tasks whose event does not come.

Invariant: only a plain statement of VOD that a task has ended becomes an event in the inbox; any other answer (it does not know
the task, the task is older than three days or of a kind it no longer describes) is no information and never a failure.
"""

from __future__ import annotations

import heapq
import logging
import queue
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
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
FINISH_TIME = "FinishTime"  # field of its answer, in ISO 8601
CALLS_PER_SECOND = 5  # of the 100 that the API allows an account
FIRST_AFTER = 300.0  # seconds of waiting without an event
SLOWEST = 3600.0  # seconds between two calls about one task at most


class Reconciler:
    """Asks VOD about tasks of one queue. Safe to use from several threads at once.

    :param client: the application.
    :param store: the inbox that takes the answers.
    """

    def __init__(self, client: VodClient, store: InboxStore) -> None:
        self._client = client
        self._store = store
        self._queue = client.settings.queue
        self._pacer = pacer(client.settings.account, ACTION, CALLS_PER_SECOND)

    def ask(self, vod_task_id: str, *, tries: int = 3) -> bool:
        """Ask about one task, and store its end as an event if VOD says that it has ended.

        :param vod_task_id: the task.
        :param tries: calls at most if VOD does not answer.
        :return: whether the inbox holds the end of the task now.
        :raises VodApiError: VOD did not answer, or refuses this action for good.
        :raises InboxUnavailableError: the answer could not be stored.
        """
        self._pacer.wait()
        try:
            detail = self._client.describe_task_detail(vod_task_id, tries=tries)
            event = event_of_detail(detail, vod_task_id)
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
        # Kept beside the content, and not of the key: whether the event should have come before is judged by it.
        event = replace(event, raw={**event.raw, FINISH_TIME: str(detail.get(FINISH_TIME))})
        [received] = self._store.receive(self._queue, [event], "reconcile")
        if not received.duplicate:
            metrics.count("reconciles", queue=self._queue)
            log.info(
                "VOD says that task %s has ended (%s); its event has not reached the inbox so far",
                vod_task_id,
                event.event_type,
            )
        return True


class ReconcileLoop:
    """Reconciles the tasks that are waited for, each at its `reconcile_times`, until it is ended.

    :param reconciler: asks VOD.
    :param is_awaited: says whether somebody still waits for a task.
    :param note_asked: takes down that VOD has just answered about a task.
    """

    def __init__(
        self, reconciler: Reconciler, is_awaited: Callable[[str], bool], note_asked: Callable[[str], None]
    ) -> None:
        self._reconciler = reconciler
        self._is_awaited = is_awaited
        self._note_asked = note_asked
        self._added: queue.SimpleQueue[tuple[str, float, float | None] | None] = queue.SimpleQueue()
        # A heap: when to ask and the start of the wait, both monotonic; the task. Only what `_planned` says too counts.
        self._due: list[tuple[float, float, str]] = []
        self._planned: dict[str, float] = {}
        self._ending = False

    def add(self, vod_task_id: str, since_at: float, asked_at: float | None = None) -> None:
        """Reconcile this task too, at the first of its times that VOD was not asked at; from any thread.

        :param since_at: since when it is waited for, in whatever process, in Unix seconds.
        :param asked_at: when VOD was last asked about it, in whatever process, in Unix seconds; None for never.
        """
        self._added.put((vod_task_id, since_at, asked_at))

    def end(self) -> None:
        """Let `run` return soon; from any thread."""
        self._ending = True
        self._added.put(None)

    def run(self) -> None:
        """Reconcile until `end` is called.

        :raises Exception: what is neither VOD's nor the inbox's failure to answer, which only delay a task.
        """
        while not self._ending:
            self._take_added()
            now = time.monotonic()
            while self._due and self._due[0][0] <= now and not self._ending:
                at, since, vod_task_id = heapq.heappop(self._due)
                if self._planned.get(vod_task_id) == at:
                    self._ask(vod_task_id, since)

    def _take_added(self) -> None:
        """Wait until the next task is due or one is added, and take all that were added."""
        try:
            timeout = max(self._due[0][0] - time.monotonic(), 0.0) if self._due else None
            added = self._added.get(timeout=timeout)
            while True:
                if added is not None:
                    vod_task_id, since_at, asked_at = added
                    since = _monotonic(since_at)
                    self._plan(vod_task_id, since, since if asked_at is None else _monotonic(asked_at))
                added = self._added.get_nowait()
        except queue.Empty:
            return

    def _plan(self, vod_task_id: str, since: float, after: float) -> None:
        """Plan the first time to ask that is later than a moment."""
        at = next(since + at for at in reconcile_times(vod_task_id) if since + at > after)
        if at < self._planned.get(vod_task_id, float("inf")):  # a wait that ended may have left a later time
            self._planned[vod_task_id] = at
            heapq.heappush(self._due, (at, since, vod_task_id))

    def _ask(self, vod_task_id: str, since: float) -> None:
        del self._planned[vod_task_id]
        if not self._is_awaited(vod_task_id):
            return
        try:
            self._reconciler.ask(vod_task_id, tries=1)  # its next time comes; whoever ends this must not wait for long
            self._note_asked(vod_task_id)
        except (VodApiError, InboxError) as error:
            log.info("Task %s cannot be reconciled now and will be later: %s", vod_task_id, error)
        self._plan(vod_task_id, since, time.monotonic())


def _monotonic(moment_at: float) -> float:
    """Find a past moment on the monotonic clock, on which nobody sets the time."""
    return time.monotonic() - max(0.0, time.time() - moment_at)


def reconcile_times(vod_task_id: str) -> Iterator[float]:
    """Yield the times at which to reconcile a task, in seconds since its wait began: after a while, then ever more rarely.

    :param vod_task_id: always has the same times, so that a sensor that wakes up in a new process knows them; other tasks have
        others, so that waits that began together are spread.
    """
    jitter = 0.8 + 0.4 * zlib.crc32(vod_task_id.encode("utf-8", "replace")) / 2**32
    at, step = 0.0, FIRST_AFTER
    while True:
        at += step * jitter
        yield at
        step = min(step * 2, SLOWEST)
