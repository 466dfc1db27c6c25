"""The bridge between asyncio and the inbox: many waiters in a process, one watch and one relay per queue.

Invariants: a waiter is registered before the inbox is looked into for it, so no event falls between the look and the wait;
the event loop does no I/O here; what waiting costs depends on the events that come, not on how many wait for them.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_vod.exceptions import InboxUnavailableError
from airflow_vod.waiting.calls import Signal, call_in_loops
from airflow_vod.waiting.index import WaiterIndex
from airflow_vod.waiting.listing import Listing
from airflow_vod.waiting.lookout import Lookout
from airflow_vod.waiting.trouble import Troubles
from airflow_vod.waiting.waiter import WatchRetiredError

if TYPE_CHECKING:
    from airflow_vod.inbox import InboxStore
    from airflow_vod.relay.health import RelaySummary
    from airflow_vod.relay.pipeline import Pipeline
    from airflow_vod.tencent.settings import VodSettings
    from airflow_vod.waiting.waiter import Waiter

LINGER = 10.0  # seconds for which a watch outlives its last waiter: the next one is often near
END_PATIENCE = 15.0  # seconds for which a process that ends waits for its watches; Airflow kills a triggerer after 20
LOOK_AGAIN = 60.0  # seconds between looks into the inbox for all that is waited for, whatever was announced
_CALL_PATIENCE = 2.0  # seconds that a watch which ends gives an open call about something else
_NEVER = float("inf")
_TICK = 1.0  # seconds; how soon a watch notices that it is no longer needed

Step = Callable[[float], float]
"""What a watch does now and then: takes the monotonic time, and answers that at which it wants to be called again."""


class Watch:
    """Watches one queue for this process: owns its relay, its waiters, and the threads that serve them.

    One thread looks events up and hands them out, one runs the relay, one listens for what other processes commit, one asks
    VOD about tasks whose event does not come. All end soon after the last waiter has gone, or when the process ends.

    :param settings: the application whose queue is watched.
    :param inbox: the inbox.
    :param retention: seconds for which events stay in the inbox; None for ever.
    """

    def __init__(self, settings: VodSettings, inbox: InboxStore, retention: float | None = None) -> None:
        self.settings = settings
        self.queue = settings.queue
        self.inbox = inbox
        self.summary: RelaySummary | None = None  # of this process's relay
        self.caught_up = False
        """Whether the inbox has been seen to hold all that this process can bring: another process pulls, or VOD's queue was
        empty, and all who waited have been looked up since."""
        self._retention = retention
        # Re-entrant, because the garbage collector may end a coroutine whose loop was closed, and that discards its waiter.
        self._lock = threading.RLock()
        self._index = WaiterIndex()
        self._added: list[Waiter] = []  # not yet looked up
        self._lookout = Lookout(inbox, self.queue, self._index, self._lock)
        self._listing = Listing(inbox, self.queue, self._index, self._lock)
        self._signal = Signal()
        self._ending = threading.Event()
        self._retired = False
        self._failure: BaseException | None = None
        self._news = False  # something may have been committed
        self._needed_at = self._look_again_at = 0.0  # monotonic
        self._troubles = Troubles(inbox, self.queue)
        self._troubled = False  # those who wait have been woken for it
        self._thread = threading.Thread(target=self._run, name=f"vod-watch {self.queue}")

    # For the event loop

    @property
    def alive(self) -> bool:
        """Whether waiters can still be added. A watch does not live on in a child of a fork."""
        return not self._ending.is_set() and self._thread.is_alive()

    @property
    def position(self) -> int | None:
        """In the inbox, up to which the news have been read; None before the first look."""
        return self._lookout.position

    @property
    def trouble(self) -> str:
        """What keeps events from coming, in words; empty where nothing is known to. Waiters are woken when that changes."""
        return self._troubles.text

    def add(self, waiter: Waiter) -> bool:
        """Register a waiter; the inbox is looked into for it soon after.

        :return: False where this watch is ending and another one must be taken.
        """
        with self._lock:
            if not self.alive:
                if self._failure is not None:  # it ended before anybody could wait: another one would do the same
                    raise self._failure.with_traceback(None)
                return False
            self._index.add(waiter)
            self._added.append(waiter)
            self._listing.note([waiter])
        self._signal.send()
        return True

    def discard(self, waiter: Waiter) -> None:
        """Forget a waiter that was added, whether or not it got what it waited for; harmless when it is forgotten already."""
        with self._lock:
            self._forget([waiter])
        self._signal.send()

    def _forget(self, waiters: list[Waiter]) -> None:
        self._listing.note([waiter for waiter in waiters if self._index.discard(waiter)])

    def start(self) -> None:
        """Start the threads of this watch."""
        _running.add(self)
        # Each time: a child that Airflow forks has forgotten what was registered before, but not this module.
        atexit.unregister(_end_all)
        atexit.register(_end_all)
        self._thread.start()

    def end(self, *, retired: bool = False) -> None:
        """End this watch now; waiters that are left fail.

        :param retired: because another one takes its place, and not because the program ends.
        """
        self._retired = retired
        self._ending.set()
        self._signal.send()

    def end_if_unneeded(self) -> bool:
        """End this watch unless somebody waits.

        :return: whether it ends.
        """
        with self._lock:
            if len(self._index):
                return False
            self.end()
            return True

    def join(self, timeout: float | None = None) -> None:
        """Wait until what was pulled is stored and confirmed and the threads of this watch have ended.

        :param timeout: seconds to wait at most; None for as long as it takes.
        """
        self._thread.join(timeout)

    # In the threads of the watch

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self._failure = error
            self._end()
        finally:
            _running.discard(self)

    def _work(self) -> None:
        """Start the other threads, serve, and end them."""
        from airflow_vod.relay.pipeline import Pipeline, run_in_thread
        from airflow_vod.relay.reconcile import ReconcileLoop, Reconciler
        from airflow_vod.relay.steps import Relay
        from airflow_vod.relay.survey import Survey
        from airflow_vod.tencent.client import VodClient

        client = VodClient(self.settings)
        reconciling = ReconcileLoop(
            Reconciler(client, self.inbox),
            lambda each: bool(self._index.of_task(each)),
            self._listing.note_answer,
            Survey(client),
        )
        relay = Relay(client, self.inbox, on_received=self._note_news, retention=self._retention)
        self.summary = relay.summary
        pipeline = Pipeline(relay, passes_by=self._passes_by)
        threads: list[threading.Thread] = []
        try:
            threads.append(run_in_thread(pipeline, self._fail))
            for work, name in ((self._listen, "news"), (reconciling.run, "reconcile")):
                # Daemons, because what they do may be broken off; a call to VOD may go unanswered for long.
                threads.append(
                    threading.Thread(target=self._guarded, args=(work,), name=f"vod-{name} {self.queue}", daemon=True)
                )
                threads[-1].start()
            self._serve(
                self._drop_closed,
                self._look_up_added,
                self._read_news,
                self._look_again,
                functools.partial(self._listing.keep, reconciling),
                functools.partial(self._note_caught_up, pipeline),
                self._troubles.check,
                self._end_unneeded,
            )
        except BaseException as error:
            self._failure = error
        finally:
            pipeline.stop()
            reconciling.end()
            self._end()
            for thread in threads:
                thread.join(_CALL_PATIENCE if thread.daemon else None)
            client.close()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException | None) -> None:
        if error is not None:
            self._failure = error
            self._signal.send()

    def _note_news(self) -> None:
        self._news = True
        self._signal.send()

    def _passes_by(self) -> bool:
        """Say whether this process may end with the next event, as a worker does whose only sensor is done."""
        return len(self._index) <= 1

    def _listen(self) -> None:
        while not self._ending.is_set():
            try:
                if self.inbox.wait_for_news(self.queue, timeout=_TICK, stop=self._ending):
                    self._note_news()
            except InboxUnavailableError:
                self._ending.wait(_TICK)

    # The steps

    def _serve(self, *steps: Step) -> None:
        """Run the steps until this watch is no longer needed."""
        self._needed_at = now = time.monotonic()
        self._look_again_at = now + LOOK_AGAIN
        due = dict.fromkeys(steps, now)
        while self._failure is None and not self._ending.is_set() and threading.main_thread().is_alive():
            # For a second at most: the end of the main thread sends no signal.
            woken = self._signal.wait(min(min(due.values()) - time.monotonic(), _TICK))
            now = time.monotonic()
            try:
                for step in steps:
                    if woken or due[step] <= now:
                        due[step] = step(now)
                self._troubles.inbox_answers()
            except InboxUnavailableError as error:
                self._troubles.inbox_fails(error)
                self._news, self._look_again_at = True, 0.0  # what came meanwhile is looked for, for all who wait
                due = dict.fromkeys(steps, 0.0)  # whatever was not done is tried again
                self._ending.wait(_TICK)
            self._tell_trouble()

    def _tell_trouble(self) -> None:
        """Wake those who wait when trouble begins, and when it ends: each says so in its own log."""
        if bool(self.trouble) != self._troubled:
            self._troubled = not self._troubled
            with self._lock:
                waiters = list(self._index)
            call_in_loops([(waiter, waiter.wake) for waiter in waiters])

    def _drop_closed(self, now: float) -> float:
        """Forget waiters whose event loop was closed under them: they cannot do so themselves."""
        with self._lock:
            self._forget(self._index.of_closed_loops())
        return now + _TICK

    def _look_up_added(self, now: float) -> float:
        self._lookout.begin()
        with self._lock:
            added, self._added = self._added, []
        if added:
            self._lookout.look_up(added)
        return now if self._lookout.scan() else _NEVER

    def _read_news(self, now: float) -> float:
        if self._news:
            self._news = False
            self._lookout.read_news()
        return _NEVER

    def _look_again(self, now: float) -> float:
        if now >= self._look_again_at:
            with self._lock:
                waiters = list(self._index)
            self._lookout.look_up(waiters)
            self._lookout.read_news()
            self._look_again_at = now + LOOK_AGAIN
            self._signal.send()  # event waiters are scanned for in the next turn
        return self._look_again_at

    def _note_caught_up(self, pipeline: Pipeline, now: float) -> float:
        # In this order: what was pulled is announced as news before the pipeline says that it has caught up.
        caught_up = pipeline.caught_up
        self.caught_up = caught_up and not (self._news or self._added or self._lookout.scanning)
        return now + (_TICK if self.caught_up else _TICK / 10)

    def _end_unneeded(self, now: float) -> float:
        if len(self._index):
            self._needed_at = now
        elif now - self._needed_at > LINGER:
            self.end_if_unneeded()
        return now + _TICK

    def _end(self) -> None:
        """Leave no waiter behind, neither here nor in the inbox."""
        with self._lock:
            self._ending.set()
            waiters = list(self._index)
            self._forget(waiters)
        with contextlib.suppress(Exception):  # whatever it is, those who wait must hear of the end
            self._listing.write(None)
        error = self._failure or (
            WatchRetiredError() if self._retired else InboxUnavailableError("This process is ending.")
        )
        call_in_loops([(waiter, functools.partial(waiter.fail, error)) for waiter in waiters])


_running: set[Watch] = set()  # those whose threads have not ended


def watches() -> list[Watch]:
    """List the watches that run in this process; in the child of a fork none does."""
    return [watch for watch in _running.copy() if watch._thread.is_alive()]


def _end_all() -> None:
    """Let what watches end in order. Airflow's triggerer leaves its process without waiting for the threads in it."""
    left = watches()
    for watch in left:
        watch.end()
    give_up_at = time.monotonic() + END_PATIENCE
    for watch in left:
        watch.join(max(0.0, give_up_at - time.monotonic()))
