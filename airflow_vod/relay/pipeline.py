"""Runs a relay at full speed: pulls beside each other, commits in groups, confirms meanwhile.

Invariants: all state belongs to the one thread in `Pipeline.run`, which does no I/O; every call to VOD or to the inbox runs in
a worker thread and comes back as a note. A pull starts only under the lease, under the rate limit, and while what was pulled
before is being committed in time. Once told to stop, it starts no pull, lets open ones finish (a long poll that is broken
off may take 16 events with it), commits, confirms, and hands the lease back.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from airflow_vod.exceptions import (
    InboxUnavailableError,
    VodApiError,
    VodAuthenticationError,
    VodInvalidRequestError,
    VodThrottledError,
)
from airflow_vod.relay.steps import CONFIRM_WINDOW, LEASE_RENEWAL, Delivery, Relay
from airflow_vod.tencent.client import CONFIRM_LIMIT, PULL_HOLD, PULL_LIMIT

log = logging.getLogger(__name__)

MAX_DEPTH = 32  # pulls in flight; 22 keep the API's ceiling busy at a round trip of 200 ms
GROUP_LIMIT = 512  # events per commit
GATHER_EVENTS = 160  # while there is a backlog, a commit waits until it has so many events
GATHER_SECONDS = 0.05  # or until the first has waited for so long: each commit costs, and a backlog is late already
COMMIT_LAG = 8.0  # seconds that pulled events may wait for their commit or confirm before pulling pauses
EMPTY_INTERVAL = 0.25  # seconds from one pull to the next where VOD says without its long poll that nothing is there
ELECTION_PAUSE = 1.0  # seconds between two looks at a lease that another process holds
YIELD_AFTER = 60.0  # seconds without an answer to a pull after which another process may try: its network may be better
YIELD_FOR = 15.0  # seconds that it has to begin
PERMANENT_AFTER = 3  # refusals in a row that end a relay: a single one may be the API's own slip
OVERDUE = PULL_HOLD + 1  # seconds after which the answer to a pull is not counted on
_API_BACKOFF = 10.0  # seconds at most between two tries
_INBOX_BACKOFF = 2.0  # less, because what was pulled has to be confirmed in time
_LOOK_UP = 1.0  # seconds for which to wait for a note at most
_NEVER = float("inf")


class Pipeline:
    """Drives one relay until it is told to stop.

    :param relay: the relay; nobody else may use it meanwhile.
    :param max_depth: most pulls in flight, and most confirms.
    """

    def __init__(self, relay: Relay, *, max_depth: int = MAX_DEPTH) -> None:
        self.relay = relay
        self._max_depth = max_depth
        self._depth = 1
        self._stopping = threading.Event()
        self._error: BaseException | None = None
        self._workers = _Workers(f"vod-worker {relay.queue}")
        self._pulls: dict[int, float] = {}  # number of each open pull -> when it started
        self._pull_count = 0
        self._confirms = 0  # open calls
        self._committing = self._renewing = False
        self._leading: bool | None = None  # not known before the lease was asked for
        self._renew_at = float("-inf")
        self._uncommitted: deque[Delivery] = deque()
        self._unconfirmed: deque[Delivery] = deque()
        self._pull_trouble = _Trouble("pull from", _API_BACKOFF)
        self._inbox_trouble = _Trouble("write to the inbox of", _INBOX_BACKOFF)
        self._refusals = 0  # of pulls, in a row
        self._confirm_refusals = 0
        self._backlog = False  # the latest pull was full
        self._caught_up = False  # the latest pull left nothing behind
        self._pull_again_at = float("-inf")
        self._in_use = True  # the queue, as far as VOD says

    def stop(self) -> None:
        """Ask the pipeline to finish; callable from any thread or signal handler, more than once. Returns at once."""
        self._stopping.set()
        self._workers.wake()

    @property
    def caught_up(self) -> bool:
        """Whether the inbox has all that this process can bring: another one pulls, or the latest pull left nothing behind."""
        if self._leading is None or self._uncommitted or self._committing:
            return False
        return not self._leading or not self._in_use or self._caught_up

    def run(self) -> None:
        """Relay until `stop` is called: whenever no other process holds the lease.

        :raises VodApiError: VOD refused several pulls in a row for a reason that waiting does not mend.
        :raises InboxError: the database refuses.
        """
        try:
            while not self._finished():
                pauses = (self._keep_lease(), self._start_pulls(), self._start_commit(), self._start_confirms())
                self._workers.take_notes(min(*pauses, _LOOK_UP))
        finally:
            self._workers.end(wait=not self._pulls)
            self.relay.release_lease()
            log.info("Stopped relaying queue %s: %s", self.relay.queue, self.relay.summary)
        if self._error is not None:
            raise self._error

    def _finished(self) -> bool:
        busy = self._renewing or self._committing or self._confirms or self._uncommitted or self._unconfirmed
        return self._stopping.is_set() and not busy and not self._expected_pulls(self.relay.clock())

    def _fail(self, error: BaseException) -> None:
        """Bring home what is open, then end with the first error."""
        self._error = self._error or error
        self._stopping.set()

    # The lease

    def _keep_lease(self) -> float:
        """Renew the lease in time, or try to get it. Each step answers after how many seconds to come back at the latest."""
        now = self.relay.clock()
        self._tell_who_leads()
        if self._stopping.is_set():
            return _NEVER
        if self._leading:
            self._look_around()
        if self._renewing:
            return _NEVER
        if now < self._renew_at:
            return self._renew_at - now
        self._renewing = True
        if self._gives_up(now) and not self._expected_pulls(now):
            self._workers.start(self.relay.release_lease, self._lease_given_up)
            return _NEVER
        self._workers.start(self.relay.acquire_lease, self._lease_answered)
        return _NEVER

    def _gives_up(self, now: float) -> bool:
        return bool(self._leading) and self._pull_trouble.lasts_since < now - YIELD_AFTER

    def _look_around(self) -> None:
        """Do what the one relay of a queue does now and then."""
        if self.relay.mode_due():
            self._workers.start(self.relay.check_mode, self._mode_answered)
        if self._in_use and self.relay.depth_due():
            self._workers.start(self.relay.ask_depth, self._depth_answered)
        if self.relay.upkeep_due():
            # A daemon: it may take minutes, and nothing is lost when it is broken off.
            threading.Thread(target=self.relay.prune, name=f"vod-upkeep {self.relay.queue}", daemon=True).start()

    def _lease_given_up(self, error: BaseException | None) -> None:
        self._renewing = False
        if error is not None:
            self._fail(error)
        self._renew_at = self.relay.clock() + YIELD_FOR
        told = self.relay.failure or "no answer"
        log.warning(
            "Queue %s could not be pulled for %g s, another process may try: %s", self.relay.queue, YIELD_AFTER, told
        )

    def _lease_answered(self, held: bool | BaseException) -> None:
        self._renewing = False
        pause = LEASE_RENEWAL if held is True else ELECTION_PAUSE * random.uniform(0.5, 1.5)  # noqa: S311
        self._renew_at = self.relay.clock() + pause
        match held:
            case InboxUnavailableError():
                self._inbox_trouble.met(self.relay, held)
            case BaseException():
                self._fail(held)
            case _:
                self._inbox_trouble.over(self.relay)

    def _mode_answered(self, answer: bool | BaseException) -> None:
        if isinstance(answer, BaseException):
            self._fail(answer)
            return
        if answer != self._in_use:
            self._in_use = answer
            mode = "in its queue" if answer else "by callback: the queue is not pulled"
            log.info("The application of queue %s announces its events %s", self.relay.queue, mode)

    def _depth_answered(self, answer: int | BaseException | None) -> None:
        if isinstance(answer, BaseException):
            self._fail(answer)
        else:
            self.relay.count_depth(answer)

    def _tell_who_leads(self) -> None:
        leading = self.relay.holds_lease()
        if leading != self._leading and self._renew_at > float("-inf"):
            self._leading = leading
            self._pull_trouble.begin_anew(self.relay.clock())  # what failed before was another lease's time
            state = "This process pulls" if leading else "This process stands by, and another may pull"
            log.info("%s the events of queue %s", state, self.relay.queue)

    # Pulls

    def _start_pulls(self) -> float:
        """Start as many pulls as are wanted and allowed; they stand in line for the rate limit."""
        now = self.relay.clock()
        if self._stopping.is_set() or not self._in_use or not self.relay.holds_lease():
            return _NEVER
        if self._inbox_trouble.lasts or self._lags(self._uncommitted) or self._lags(self._unconfirmed):
            return _NEVER
        if self._gives_up(now):
            return _NEVER
        if (pause := max(self._pull_trouble.pause(now), self._pull_again_at - now)) > 0:
            return pause
        # A pull whose answer is overdue was probably lost on the way; it must not hold up the others.
        expected = self._expected_pulls(now)
        while expected < self._depth and len(self._pulls) < self._max_depth:
            expected += 1
            self._pull_count += 1
            self._pulls[self._pull_count] = now
            self._start_pull(self._pull_count)
        return _NEVER

    def _expected_pulls(self, now: float) -> int:
        return sum(now - started <= OVERDUE for started in self._pulls.values())

    def _lags(self, deliveries: deque[Delivery]) -> bool:
        return bool(deliveries) and self.relay.clock() - deliveries[0].pulled_at > COMMIT_LAG

    def _start_pull(self, number: int) -> None:
        def pull() -> list[Delivery] | None:
            self.relay.pull_pacer.wait()
            # Looked at again: much may have happened in line, and the process itself may have slept.
            now = self.relay.clock()
            if self._stopping.is_set() or self._pull_trouble.pause(now) or not self.relay.holds_lease():
                return None
            self._pulls[number] = now  # the one thing that a worker writes down: when it really began
            return self.relay.pull()

        self._workers.start(pull, lambda answer: self._pull_answered(number, answer))

    def _pull_answered(self, number: int, answer: list[Delivery] | BaseException | None) -> None:
        started = self._pulls.pop(number)
        match answer:
            case VodApiError():
                self._pull_failed(answer, started)
            case BaseException():
                self._fail(answer)
            case list():
                self.relay.count_pull(answer)
                self._uncommitted.extend(answer)
                self._pull_trouble.over(self.relay)
                self._refusals = 0
                self._pull_again_at = float("-inf") if answer else started + EMPTY_INTERVAL
                self._adapt(len(answer))

    def _adapt(self, pulled: int) -> None:
        """A full batch says that more is waiting; an empty one, after its long poll, that one poll is enough."""
        self._backlog = pulled >= PULL_LIMIT
        self._caught_up = not self._backlog
        if pulled >= PULL_LIMIT:
            self._depth = min(self._depth * 2, self._max_depth)
        elif pulled == 0:
            self._depth = 1
        elif self._depth > 1:
            self._depth -= 1

    def _pull_failed(self, error: VodApiError, started: float) -> None:
        self.relay.count_pull_failure(error)
        if started < self._pull_trouble.since:
            return  # pulls that went out beside each other and failed alike are one failure
        self._depth = max(1, self._depth // 2)
        refused = isinstance(error, (VodAuthenticationError, VodInvalidRequestError))
        # One answer that was lost says nothing about the next pull, so that one goes out at once.
        patience = 0 if refused or isinstance(error, VodThrottledError) else 1
        self._pull_trouble.met(self.relay, error, patience)
        if refused:
            self._refusals += 1
            if self._refusals >= PERMANENT_AFTER:
                self._fail(error)

    # Commits

    def _start_commit(self) -> float:
        """Commit what was pulled meanwhile; what cannot be committed inside its window is let go and comes back."""
        now = self.relay.clock()
        while self._uncommitted and now - self._uncommitted[0].pulled_at > CONFIRM_WINDOW:
            self._uncommitted.popleft()
            self.relay.summary.let_go += 1
        if self._committing or not self._uncommitted:
            return _NEVER
        age = now - self._uncommitted[0].pulled_at
        if self._backlog and len(self._uncommitted) < GATHER_EVENTS and age < GATHER_SECONDS:
            return GATHER_SECONDS - age
        if not self._stopping.is_set() and (pause := self._inbox_trouble.pause(now)):
            return pause
        group = _first(self._uncommitted, GROUP_LIMIT)
        self._committing = True
        self._workers.start(lambda: self.relay.receive(group), lambda answer: self._commit_answered(group, answer))
        return _NEVER

    def _commit_answered(self, group: list[Delivery], answer: list[Delivery] | BaseException) -> None:
        self._committing = False
        match answer:
            case list():
                self._unconfirmed.extend(answer)
                self._inbox_trouble.over(self.relay)
            case InboxUnavailableError():
                self._uncommitted.extendleft(reversed(group))
                self._inbox_trouble.met(self.relay, answer)
                if self._stopping.is_set():  # do not wait for the database: the events come back
                    self.relay.summary.let_go += len(self._uncommitted)
                    self._uncommitted.clear()
            case BaseException():
                self._fail(answer)

    # Confirms

    def _start_confirms(self) -> float:
        """Confirm in full chunks while many events flow, and at once when few do."""
        now = self.relay.clock()
        while self._unconfirmed and now - self._unconfirmed[0].pulled_at > CONFIRM_WINDOW:
            self._unconfirmed.popleft()
            self.relay.summary.confirm_failures += 1
        while self._unconfirmed and self._confirms < self._max_depth:
            if self._confirms and len(self._unconfirmed) < CONFIRM_LIMIT:
                break
            self._confirms += 1
            self._start_confirm(_first(self._unconfirmed, CONFIRM_LIMIT))
        return _NEVER

    def _start_confirm(self, chunk: list[Delivery]) -> None:
        self._workers.start(
            lambda: self.relay.confirm(chunk), lambda answer: self._confirm_answered(len(chunk), answer)
        )

    def _confirm_answered(self, number: int, answer: VodApiError | BaseException | None) -> None:
        self._confirms -= 1
        if answer is None or isinstance(answer, VodApiError):
            self.relay.count_confirm(number, answer)
            # Without this permission the same events would come again for days.
            self._confirm_refusals = self._confirm_refusals + 1 if isinstance(answer, VodAuthenticationError) else 0
            if answer is not None and self._confirm_refusals >= PERMANENT_AFTER:
                self._fail(answer)
        else:
            self._fail(answer)


def _first(deliveries: deque[Delivery], number: int) -> list[Delivery]:
    return [deliveries.popleft() for _ in range(min(len(deliveries), number))]


class _Workers:
    """Threads that do work for one other thread, which gets the outcomes as notes.

    Not an executor of the standard library: those take no more work once the main thread of a process has ended, and just
    then there are events to be stored and confirmed.

    :param name: of the threads. They are no daemons.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._work: queue.SimpleQueue[tuple[Callable[[], Any], Callable[[Any], None]] | None] = queue.SimpleQueue()
        self._notes: queue.SimpleQueue[tuple[Callable[[Any], None], Any] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._open = 0

    def start(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Let a thread do something, and `then` take what it returns or raises, in the thread that takes the notes."""
        self._open += 1
        self._work.put((work, then))
        if self._open > len(self._threads):
            thread = threading.Thread(target=self._serve, name=self._name)
            try:
                thread.start()
            except RuntimeError:  # the machine has no thread left: those that are there will do it in turn
                if not self._threads:
                    raise
            else:
                self._threads.append(thread)

    def take_notes(self, timeout: float) -> None:
        """Wait until some work is done or `wake` is called, and take all notes that are there: one commit serves many pulls.

        :param timeout: seconds to wait at most.
        """
        try:
            note = self._notes.get(timeout=timeout)
            while True:
                if note is not None:
                    self._open -= 1
                    then, outcome = note
                    then(outcome)
                note = self._notes.get_nowait()
        except queue.Empty:
            return

    def wake(self) -> None:
        """End `take_notes` early, from any thread."""
        self._notes.put(None)

    def end(self, *, wait: bool) -> None:
        """Let the threads end when they have done what is there.

        :param wait: until they have.
        """
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads if wait else ():
            thread.join()

    def _serve(self) -> None:
        while (item := self._work.get()) is not None:
            work, then = item
            try:
                self._notes.put((then, work()))
            except BaseException as error:
                self._notes.put((then, error))


class _Trouble:
    """Backs off while something fails, and tells of it once when it begins and once when it is over.

    :param what: is being tried, for the log.
    :param limit: seconds between two tries at the most.
    """

    def __init__(self, what: str, limit: float) -> None:
        self.since = float("-inf")  # when the latest failure was met
        self.lasts_since = float("inf")  # when the first was
        self._what = what
        self._limit = limit
        self._failures = 0
        self._retry_at = 0.0

    @property
    def lasts(self) -> bool:
        """Whether the latest try failed."""
        return self._failures > 0

    def met(self, relay: Relay, error: Exception, patience: int = 0) -> None:
        """Note a failure.

        :param patience: failures that are not yet a reason to pause.
        """
        self._failures += 1
        self.since = relay.clock()
        self.lasts_since = min(self.lasts_since, self.since)
        doublings = self._failures - patience
        pause = min(self._limit, 0.125 * 2 ** min(doublings, 10)) if doublings > 0 else 0.0
        self._retry_at = self.since + pause * random.uniform(0.5, 1.0)  # noqa: S311
        level = logging.WARNING if self._failures == 1 else logging.DEBUG
        log.log(level, "Cannot %s queue %s, trying on: %s", self._what, relay.queue, error)

    def begin_anew(self, now: float) -> None:
        """Count what still fails from now on."""
        if self._failures:
            self.lasts_since = now

    def over(self, relay: Relay) -> None:
        """Note a success."""
        if self._failures:
            log.info("Can %s queue %s again, after %d failures", self._what, relay.queue, self._failures)
        self._failures, self.lasts_since = 0, float("inf")

    def pause(self, now: float) -> float:
        """Seconds until the next try."""
        return max(0.0, self._retry_at - now) if self._failures else 0.0


def run_in_thread(pipeline: Pipeline, on_end: Callable[[BaseException | None], None]) -> threading.Thread:
    """Run a pipeline in a thread of its own.

    :param pipeline: what to run.
    :param on_end: called in that thread with the error that ended it, or None after `Pipeline.stop`.
    :return: the thread, started. It is no daemon: a process that ends waits until events at hand are stored and confirmed.
    """

    def run() -> None:
        try:
            pipeline.run()
        except BaseException as error:
            on_end(error)
        else:
            on_end(None)

    thread = threading.Thread(target=run, name=f"vod-relay {pipeline.relay.queue}")
    thread.start()
    return thread
