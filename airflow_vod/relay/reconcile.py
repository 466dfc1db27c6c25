"""Asks VOD itself about tasks whose event does not come.

Invariants: only a plain statement of VOD that a task has ended becomes an event in the inbox; any other answer (it does not know
the task, the task is older than three days or of a kind it no longer describes) is no information and never a failure. A task
whose end VOD announces is asked about ever more rarely; one whose end it does not announce, every few seconds.
"""

from __future__ import annotations

import heapq
import logging
import queue
import random
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_vod import metrics
from airflow_vod.events.parse import event_of_detail
from airflow_vod.events.types import is_unannounced
from airflow_vod.exceptions import (
    EventParseError,
    InboxError,
    VodApiError,
    VodAuthenticationError,
    VodInvalidRequestError,
)
from airflow_vod.tencent.pacing import pacer

if TYPE_CHECKING:
    from airflow_vod.inbox import InboxStore
    from airflow_vod.relay.survey import Survey
    from airflow_vod.tencent.client import VodClient

log = logging.getLogger(__name__)

ACTION = "DescribeTaskDetail"
FINISH_TIME = "FinishTime"  # field of its answer, in ISO 8601
CALLS_PER_SECOND = 20  # of the 100 that the API allows an account: five processes may ask at once
FIRST_AFTER = 300.0  # seconds of waiting without an event
SLOWEST = 3600.0  # seconds between two calls about one task at most
CLOSE_FIRST, CLOSE_SLOWEST = 5.0, 15.0  # seconds between two calls about a task that is not announced
SURVEY_FROM = 3  # such tasks; fewer are asked about one by one, which is cheaper
SURVEY_EVERY = 5.0  # seconds
REFUSALS = 3  # of the API key in a row; a single one may be the API's own slip


@dataclass(frozen=True, slots=True)
class Answer:
    """What VOD says of a task.

    :param ended: whether the inbox holds the end of the task now.
    :param words: the same for people, with the name of the task.
    :param unannounced: whether VOD announces no end of such a task; None where the answer does not tell.
    """

    ended: bool
    words: str
    unannounced: bool | None = None


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

    def ask(self, vod_task_id: str, *, tries: int = 3) -> Answer:
        """Ask about one task, and store its end as an event if VOD says that it has ended.

        :param vod_task_id: the task.
        :param tries: calls at most if VOD does not answer.
        :raises VodApiError: VOD did not answer, or refuses this action for good.
        :raises InboxUnavailableError: the answer could not be stored.
        """
        self._pacer.wait()
        try:
            detail = self._client.describe_task_detail(vod_task_id, tries=tries)
            event = event_of_detail(detail, vod_task_id)
        except VodInvalidRequestError as error:
            if error.code.startswith(("InvalidParameterValue", "ResourceNotFound")):
                return Answer(False, f"VOD does not know task {vod_task_id} in application {self._queue}: {error.text}")
            raise
        except EventParseError as error:
            return Answer(False, f"VOD describes task {vod_task_id} in a way that cannot be read: {error.text}")
        unannounced = is_unannounced(detail["TaskType"]) if detail.get("TaskType") else None
        if event is None or not event.finished:
            return Answer(False, _progress(vod_task_id, detail), unannounced)
        # Kept beside the content, and not of the key: whether the event should have come before is judged by it.
        event = replace(event, raw={**event.raw, FINISH_TIME: str(detail.get(FINISH_TIME))})
        [received] = self._store.receive(self._queue, [event], "reconcile")
        if not received.duplicate:
            metrics.count("reconciles", queue=self._queue)
            why = "VOD announces no such tasks" if unannounced else "its event has not reached the inbox so far"
            log.info("VOD says that task %s has ended (%s); %s", vod_task_id, event.event_type, why)
        return Answer(True, f"VOD says that task {vod_task_id} has ended", unannounced)


def _progress(vod_task_id: str, detail: Mapping[str, Any]) -> str:
    """Say how far a task is, by VOD's own words; whatever they are, they do not break a line of the log."""
    kind, status, created = (_word(detail.get(name)) for name in ("TaskType", "Status", "CreateTime"))
    return f"VOD says that task {vod_task_id} ({kind}), created {created}, is {status}"


def _word(value: Any) -> str:
    text = value[:64] if isinstance(value, str) else ""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text) or "unknown"


class _Awaited(NamedTuple):
    vod_task_id: str
    since_at: float
    asked_at: float | None
    unannounced: bool


class _Unannounced(NamedTuple):
    since: float  # monotonic, as is the other
    asked: float


class ReconcileLoop:
    """Reconciles the tasks that are waited for until it is ended, each at its own times.

    A task whose end VOD announces comes at its `reconcile_times`. One whose end it does not announce comes after
    `CLOSE_FIRST` to `CLOSE_SLOWEST` seconds, by the time that it has been waited for; from `SURVEY_FROM` such tasks on, VOD is
    asked instead which tasks have ended, for all of them at once. By the arithmetic of the API's 100 calls a second: 1,000
    tasks asked one by one every 15 s take 67 of them, and one survey every 5 s takes 0.2 for each 100 tasks of the application
    that ended in five minutes.

    :param reconciler: asks VOD.
    :param is_awaited: says whether somebody still waits for a task.
    :param note_answer: takes down what VOD has just answered about a task.
    :param survey: asks which tasks have ended; None where each is asked about by itself.
    :param clock: monotonic seconds.
    :param wall_clock: Unix seconds.
    :param rng: spreads the questions.
    """

    def __init__(
        self,
        reconciler: Reconciler,
        is_awaited: Callable[[str], bool],
        note_answer: Callable[[str, Answer], None],
        survey: Survey | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        self._reconciler = reconciler
        self._is_awaited = is_awaited
        self._note_answer = note_answer
        self._survey = survey
        self._clock = clock
        self._wall_clock = wall_clock
        self._rng = rng or random.Random()  # noqa: S311
        self._added: queue.SimpleQueue[_Awaited | None] = queue.SimpleQueue()
        # A heap: when to ask and the start of the wait, both monotonic; the task. Only what `_planned` says too counts.
        self._due: list[tuple[float, float, str]] = []
        self._planned: dict[str, float] = {}
        self._unannounced: dict[str, _Unannounced] = {}
        self._surveying = False
        self._survey_due = float("inf")  # monotonic
        self._ending = False
        self._refusals = 0  # of the API key, in a row

    def add(
        self, vod_task_id: str, since_at: float, asked_at: float | None = None, *, unannounced: bool = False
    ) -> None:
        """Reconcile this task too, at the first of its times that VOD was not asked at; from any thread.

        :param since_at: since when it is waited for, in whatever process, in Unix seconds.
        :param asked_at: when VOD was last asked about it, in whatever process, in Unix seconds; None for never.
        :param unannounced: whether it is known that VOD announces no end of it.
        """
        self._added.put(_Awaited(vod_task_id, since_at, asked_at, unannounced))

    def end(self) -> None:
        """Let `run` return soon; from any thread."""
        self._ending = True
        self._added.put(None)

    def run(self) -> None:
        """Reconcile until `end` is called.

        :raises VodAuthenticationError: VOD refuses the API key, which was replaced: where another process pulls, nothing else
            here would ever notice.
        :raises Exception: what is neither VOD's nor the inbox's failure to answer, which only delay a task.
        """
        while not self._ending:
            due = self.due()
            self.take_added(None if due == float("inf") else max(due - self._clock(), 0.0))
            self.turn()

    def due(self) -> float:
        """Answer when to call `turn` again, by the monotonic clock; infinity for when something is added."""
        return min(self._due[0][0] if self._due else float("inf"), self._survey_due)

    def turn(self) -> None:
        """Ask about all that is due; a survey does not stand in line behind single tasks."""
        if self._clock() >= self._survey_due:
            self._look_around()
        now = self._clock()
        while self._due and self._due[0][0] <= now and not self._ending:
            at, since, vod_task_id = heapq.heappop(self._due)
            if self._planned.get(vod_task_id) == at:
                if self._is_surveyed(vod_task_id):
                    del self._planned[vod_task_id]
                    self._plan(vod_task_id, since, now, closely=False)
                else:
                    self._ask(vod_task_id, since)
            if self._clock() >= self._survey_due:
                return

    def take_added(self, seconds: float | None = 0.0) -> None:
        """Take the tasks that were added.

        :param seconds: for which to wait at most if there are none; None waits until there are, or until `end`.
        """
        try:
            added = self._added.get(timeout=seconds) if seconds != 0.0 else self._added.get_nowait()
            while True:
                if added is not None:
                    self._take(added)
                added = self._added.get_nowait()
        except queue.Empty:
            return

    def _take(self, added: _Awaited) -> None:
        since = self._monotonic(added.since_at)
        asked = since if added.asked_at is None else self._monotonic(added.asked_at)
        if added.unannounced:
            self._note_unannounced(added.vod_task_id, since, asked)
        self._plan(added.vod_task_id, since, asked, closely=added.vod_task_id in self._unannounced)

    def _note_unannounced(self, vod_task_id: str, since: float, asked: float) -> None:
        self._unannounced[vod_task_id] = _Unannounced(since, asked)
        if self._survey is not None and self._survey_due == float("inf"):
            self._survey_due = self._clock()

    def _is_surveyed(self, vod_task_id: str) -> bool:
        """Say whether surveys would have shown the end of a task: it was asked about in the time that they look at."""
        known = self._unannounced.get(vod_task_id)
        if known is None or not self._surveying or self._survey is None or self._survey.covers_since_at is None:
            return False
        return self._wall_clock() - (self._clock() - known.asked) >= self._survey.covers_since_at

    def _plan(self, vod_task_id: str, since: float, after: float, *, closely: bool) -> None:
        """Plan the first time to ask that is later than a moment."""
        if closely:
            at = after + self._close_pause(after - since)
        else:
            at = next(since + at for at in reconcile_times(vod_task_id) if since + at > after)
        if at < self._planned.get(vod_task_id, float("inf")):  # a wait that ended may have left a later time
            self._planned[vod_task_id] = at
            heapq.heappush(self._due, (at, since, vod_task_id))

    def _ask(self, vod_task_id: str, since: float) -> None:
        self._planned.pop(vod_task_id, None)
        if not self._is_awaited(vod_task_id):
            self._unannounced.pop(vod_task_id, None)
            return
        try:
            # Its next time comes; whoever ends this must not wait for long.
            answer = self._reconciler.ask(vod_task_id, tries=1)
            if answer.unannounced or vod_task_id in self._unannounced:
                self._note_unannounced(vod_task_id, since, self._clock())
            self._refusals = 0
            self._note_answer(vod_task_id, answer)
        except (VodApiError, InboxError) as error:
            log.info("Task %s cannot be reconciled now and will be later: %s", vod_task_id, error)
            self._judge(error)
        # A refusal is soon put to the test: that the key was replaced must not stay unknown until the next questions.
        closely = self._refusals > 0 or (vod_task_id in self._unannounced and not self._surveying)
        self._plan(vod_task_id, since, self._clock(), closely=closely)

    def _judge(self, error: VodApiError | InboxError) -> None:
        """Raise an error that says that no question will be answered; a key without the right to this one may well pull."""
        if isinstance(error, VodAuthenticationError) and "UnauthorizedOperation" not in error.code:
            self._refusals += 1
            if self._refusals >= REFUSALS:
                raise error

    def _look_around(self) -> None:
        """Ask which of the tasks that are not announced have ended, where that is cheaper than to ask about each."""
        self._unannounced = {each: known for each, known in self._unannounced.items() if self._is_awaited(each)}
        ended, was_surveying = None, self._surveying
        if self._survey is not None and len(self._unannounced) >= SURVEY_FROM:
            ended = self._survey.ended(self._unannounced.keys())
        self._surveying = ended is not None
        for vod_task_id in ended or ():
            self._ask(vod_task_id, self._unannounced[vod_task_id].since)
        if was_surveying and not self._surveying:
            for vod_task_id, known in self._unannounced.items():
                self._plan(vod_task_id, known.since, self._clock(), closely=True)
        pause = SURVEY_EVERY * self._rng.uniform(0.8, 1.2)
        self._survey_due = self._clock() + pause if self._unannounced else float("inf")

    def _close_pause(self, waited: float) -> float:
        """Answer after how many seconds to ask again about a task that is not announced.

        :param waited: seconds for which it has been waited for: what has taken long may take longer.
        """
        return min(CLOSE_FIRST + max(waited, 0.0) / 30, CLOSE_SLOWEST) * self._rng.uniform(0.8, 1.0)

    def _monotonic(self, moment_at: float) -> float:
        """Find a past moment on the monotonic clock, on which nobody sets the time."""
        return self._clock() - max(0.0, self._wall_clock() - moment_at)


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
