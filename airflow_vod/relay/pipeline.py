"""Runs a relay at full speed: concurrent pulls, commits in groups, confirms meanwhile.

Invariants: all state belongs to the one thread in `Pipeline.run`, which does no I/O; every call to VOD or to the inbox runs in
a worker thread and comes back as a note. A pull starts only under the lease, under the rate limit, and while what was pulled
before is being committed in time. Once told to stop, it starts no pull, lets open ones finish (a long poll that is broken
off may take 16 events with it), commits, confirms, and gives the lease back.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from airflow_vod.exceptions import (
    InboxUnavailableError,
    VodApiError,
    VodAuthenticationError,
    VodInvalidRequestError,
    VodThrottledError,
)
from airflow_vod.relay.backoff import Backoff
from airflow_vod.relay.leadership import Leadership
from airflow_vod.relay.pace import MAX_DEPTH, Pace
from airflow_vod.relay.steps import CONFIRM_WINDOW, Delivery, Relay
from airflow_vod.relay.workers import Workers
from airflow_vod.tencent.client import CONFIRM_LIMIT, PULL_HOLD

log = logging.getLogger(__name__)

GROUP_LIMIT = 512  # events per commit
GATHER_EVENTS = 160  # while there is a backlog, a commit waits until it has so many events
GATHER_SECONDS = 0.05  # or until the first has waited for so long: each commit costs, and a backlog is late already
COMMIT_LAG = 8.0  # seconds that pulled events may wait for their commit or confirm before pulling pauses
FLOW_CONFIRM = 1.0  # seconds for which, where events flow, one waits to be confirmed together with others
NEWS_PAUSE = 0.1  # seconds without a new pull after news, in a process that may end now that it has them
PERMANENT_AFTER = 3  # refusals in a row that end a relay: a single one may be the API's own slip
OVERDUE = PULL_HOLD + 1  # seconds after which the answer to a pull is no longer expected
_API_BACKOFF = 10.0  # seconds between two tries at most
_INBOX_BACKOFF = 2.0  # less, because what was pulled has to be confirmed in time
_LOOK_UP = 1.0  # seconds for which to wait for a note at most
_NEVER = float("inf")


class Pipeline:
    """Drives one relay until it is told to stop. Clock and randomness are those of the relay.

    :param relay: the relay; nobody else may use it meanwhile.
    :param max_depth: most pulls in flight, and most confirms.
    :param workers: threads for blocking calls; None to make some.
    :param passes_by: says whether this process may end as soon as it has its news, as a sensor's on a worker does: then no
        pull starts beside a commit or right after it, for a long poll would hold the process.
    """

    def __init__(
        self,
        relay: Relay,
        *,
        max_depth: int = MAX_DEPTH,
        workers: Workers | None = None,
        passes_by: Callable[[], bool] = lambda: False,
    ) -> None:
        self.relay = relay
        self._max_depth = max_depth
        self._passes_by = passes_by
        self._pace = Pace(max_depth)
        self._stopping = False
        self._error: BaseException | None = None
        self._workers = workers or Workers(f"vod-worker {relay.queue}")
        self._pulls: dict[int, float] = {}  # number of each open pull -> when it started; monotonic, as all times here
        self._pull_count = 0
        self._confirms = 0  # open calls
        self._committing = False
        self._uncommitted: deque[Delivery] = deque()
        self._unconfirmed: deque[Delivery] = deque()
        self._pull_backoff = self._backoff(f"pull events from queue {relay.queue}", _API_BACKOFF)
        self._commit_backoff = self._backoff(f"commit events of queue {relay.queue} to the inbox", _INBOX_BACKOFF)
        self._leadership = Leadership(relay, self._workers, self._pull_backoff, self._fail)
        self._refusals = 0  # of pulls, in a row
        self._confirm_refusals = 0
        self._in_use = True  # the queue, as far as VOD says

    def _backoff(self, what: str, limit: float) -> Backoff:
        return Backoff(what, limit, clock=self.relay.clock, rng=self.relay.rng)

    def stop(self) -> None:
        """Ask the pipeline to finish, and return at once.

        May be called more than once, from any thread and from signal handlers, even from one that interrupts this very call:
        it takes no lock that Python code could hold at that moment.
        """
        self._stopping = True
        self._workers.wake()

    @property
    def caught_up(self) -> bool:
        """Whether the inbox has all that this process can bring: another one pulls, or the latest pull left nothing behind.

        May be read from any thread.
        """
        if not self._leadership.decided or self._uncommitted or self._committing:
            return False
        return not self._leadership.leading or not self._in_use or self._pace.caught_up

    def run(self) -> None:
        """Relay until `stop` is called, whenever no other process holds the lease.

        :raises VodApiError: VOD refused several pulls or confirms in a row for a reason that waiting does not mend.
        :raises InboxError: the database refuses.
        """
        try:
            while not self._finished():
                pauses = (self._keep_lease(), self._start_pulls(), self._start_commit(), self._start_confirms())
                self._workers.take_notes(min(*pauses, _LOOK_UP))
        finally:
            self._workers.end()
            self.relay.release_lease()
            why = "as told" if self._error is None else f"because of an error, {self._error}"
            log.info("Stopped relaying queue %s %s. Events: %s", self.relay.queue, why, self.relay.summary)
        if self._error is not None:
            raise self._error

    def _finished(self) -> bool:
        busy = self._leadership.busy or self._committing or self._confirms or self._uncommitted or self._unconfirmed
        return self._stopping and not busy and not self._expected_pulls(self.relay.clock())

    def _fail(self, error: BaseException) -> None:
        """Finish what is open, then end with the first error."""
        self._error = self._error or error
        self._stopping = True

    # The lease, and what comes with it

    def _keep_lease(self) -> float:
        """Keep the lease and do the chores. Each step returns the seconds after which it must be called again at the latest."""
        self._leadership.note_changes(self._in_use)
        if self._stopping:
            return _NEVER
        if self._leadership.leading:
            self._run_chores()
        return self._leadership.keep(pulls_open=self._expected_pulls(self.relay.clock()) > 0)

    def _run_chores(self) -> None:
        """Do what the one relay of a queue does now and then."""
        if self.relay.mode_due():
            self._workers.start(self.relay.check_mode, self._mode_answered)
        if self._in_use and self.relay.depth_due():
            self._workers.start(self.relay.ask_depth, self._depth_answered)
        for chore in self.relay.upkeep.due():
            self._workers.start_detached(chore)

    def _mode_answered(self, answer: bool | BaseException) -> None:
        if isinstance(answer, BaseException):
            self._fail(answer)
            return
        self._in_use = answer
        self.relay.count_mode(answer)

    def _depth_answered(self, answer: int | BaseException | None) -> None:
        if isinstance(answer, BaseException):
            self._fail(answer)
        else:
            self.relay.count_depth(answer)

    # Pulls

    def _start_pulls(self) -> float:
        """Start as many pulls as are wanted and allowed; they queue for the rate limit."""
        now = self.relay.clock()
        lead = self._leadership
        if self._stopping or not self._in_use or not lead.leading or lead.failing or lead.gives_up():
            return _NEVER
        if self._awaits_commit() or self._lags(self._unconfirmed):
            return _NEVER
        if (pause := max(self._pull_backoff.pause(), self._commit_backoff.pause(), self._pace.due - now)) > 0:
            return pause
        # A pull whose answer is overdue was probably lost on the way; it must not hold up the others.
        expected = self._expected_pulls(now)
        while expected < self._pace.depth and len(self._pulls) < self._max_depth:
            expected += 1
            self._pull_count += 1
            self._pulls[self._pull_count] = now
            self._start_pull(self._pull_count)
        return _NEVER

    def _expected_pulls(self, now: float) -> int:
        return sum(now - started <= OVERDUE for started in self._pulls.values())

    def _awaits_commit(self) -> bool:
        """Say whether events at hand have to be committed before the next pull."""
        if not self._uncommitted and not self._committing:
            return False  # even where the latest commit failed: only new events can show whether it works again
        waits = not self._pace.backlog and self._passes_by()
        return waits or self._commit_backoff.failing or self._lags(self._uncommitted)

    def _lags(self, deliveries: deque[Delivery]) -> bool:
        return bool(deliveries) and self.relay.clock() - deliveries[0].pulled_monotonic > COMMIT_LAG

    def _start_pull(self, number: int) -> None:
        def pull() -> list[Delivery] | None:
            self.relay.pull_pacer.wait()
            # Checked again: much may have happened in the queue, and the process itself may have slept.
            if self._stopping or self._pull_backoff.pause() or not self.relay.holds_lease():
                return None
            self._pulls[number] = self.relay.clock()  # the one thing that a worker writes: when it really began
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
                self._pull_backoff.succeeded()
                self._refusals = 0
                self._pace.answered(len(answer), started, self.relay.clock())

    def _pull_failed(self, error: VodApiError, started: float) -> None:
        self.relay.count_pull_failure(error)
        if started < self._pull_backoff.failed_last:
            return  # concurrent pulls that fail alike are one failure
        self._pace.failed()
        refused = isinstance(error, (VodAuthenticationError, VodInvalidRequestError))
        # One answer that was lost says nothing about the next pull, so that one goes out at once.
        patience = 0 if refused or isinstance(error, VodThrottledError) else 1
        self._pull_backoff.failed(error, patience)
        if refused:
            self._refusals += 1
            if self._refusals >= PERMANENT_AFTER:
                self._fail(error)

    # Commits

    def _start_commit(self) -> float:
        """Commit what was pulled meanwhile; events that cannot be committed inside their window are let go and come back."""
        now = self.relay.clock()
        while self._uncommitted and now - self._uncommitted[0].pulled_monotonic > CONFIRM_WINDOW:
            self._uncommitted.popleft()
            self.relay.summary.let_go += 1
        if self._committing or not self._uncommitted:
            return _NEVER
        age = now - self._uncommitted[0].pulled_monotonic
        if self._pace.backlog and len(self._uncommitted) < GATHER_EVENTS and age < GATHER_SECONDS:
            return GATHER_SECONDS - age
        if not self._stopping and (pause := self._commit_backoff.pause()):
            return pause
        group, stored = _first(self._uncommitted, GROUP_LIMIT), self.relay.summary.stored
        self._committing = True
        self._workers.start(
            lambda: self.relay.receive(group), lambda answer: self._commit_answered(group, stored, answer)
        )
        return _NEVER

    def _commit_answered(self, group: list[Delivery], stored: int, answer: list[Delivery] | BaseException) -> None:
        self._committing = False
        match answer:
            case list():
                self._unconfirmed.extend(answer)
                self._commit_backoff.succeeded()
                if self.relay.summary.stored > stored and not self._pace.backlog and self._passes_by():
                    self._pace.rest(self.relay.clock() + NEWS_PAUSE)
            case InboxUnavailableError():
                self._uncommitted.extendleft(reversed(group))
                self._commit_backoff.failed(answer)
                self._pace.slow_down()
                if self._stopping:  # do not wait for the database: the events come back
                    self.relay.summary.let_go += len(self._uncommitted)
                    self._uncommitted.clear()
            case BaseException():
                self._fail(answer)

    # Confirms

    def _start_confirms(self) -> float:
        """Confirm in full chunks while many events flow, and at once when few come."""
        now = self.relay.clock()
        while self._unconfirmed and now - self._unconfirmed[0].pulled_monotonic > CONFIRM_WINDOW:
            self._unconfirmed.popleft()
            self.relay.summary.confirm_failures += 1
        while self._unconfirmed and self._confirms < self._max_depth:
            if len(self._unconfirmed) < CONFIRM_LIMIT:
                if self._confirms:
                    break
                age = now - self._unconfirmed[0].pulled_monotonic
                if self._pace.flows and age < FLOW_CONFIRM and not self._stopping:
                    return FLOW_CONFIRM - age
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
