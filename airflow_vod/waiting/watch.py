"""The bridge between asyncio and the inbox: many waiters in a triggerer, one watch and one relay per queue.

Invariants: a waiter is registered before the inbox is looked into for it, so no event falls between the look and the wait;
the event loop does no I/O here; what waiting costs depends on the events that come, not on how many wait for them.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import itertools
import logging
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

from airflow_vod import metrics
from airflow_vod.exceptions import InboxUnavailableError
from airflow_vod.hooks.config import inbox_retention, inbox_url, open_inbox
from airflow_vod.hooks.vod import VodHook

if TYPE_CHECKING:
    from airflow_vod.events.matching import EventMatch
    from airflow_vod.inbox import EventHeader, InboxStore, StoredEvent
    from airflow_vod.relay.health import RelaySummary
    from airflow_vod.tencent.settings import VodSettings

log = logging.getLogger(__name__)

LINGER = 10.0  # seconds for which a watch outlives its last waiter: the next one is often near
LISTED_FOR = 600.0  # seconds for which who waits without end stays written down unless he is written down again
LOOK_AGAIN = 60.0  # seconds between looks into the inbox for all that is waited for, whatever was announced
SETTINGS_AGE = 60.0  # seconds for which a resolved connection serves the next waiters
END_PATIENCE = 15.0  # seconds for which a process that ends waits for its watches; Airflow kills a triggerer after 20
_TICK = 1.0  # seconds; how soon a watch notices that it is no longer needed, and how often it writes down who waits
_BATCH = 1000  # waiters that are written down at a time
_NEWS_LIMIT = 250  # rows per read of what is new; so many waiters at most wake up in one turn of their event loop


class Waiter:
    """One task's wait for the events of some VOD tasks. Belongs to the event loop in which it is made.

    :param vod_task_ids: what is waited for.
    :param event_types: event types that count; None for any that ends a task.
    :param name: who waits, such as ``dag/run/task``; for people on call.
    :param deadline: Unix seconds until which it waits at the latest; None for no end.
    """

    __slots__ = ("_error", "_found", "_woken", "deadline", "event_types", "loop", "missing", "name", "vod_task_ids")

    def __init__(
        self,
        vod_task_ids: Collection[str],
        event_types: Collection[str] | None = None,
        *,
        name: str = "",
        deadline: float | None = None,
    ) -> None:
        self.vod_task_ids = tuple(dict.fromkeys(vod_task_ids))
        self.missing = set(vod_task_ids)
        self.event_types = frozenset(event_types) if event_types else None
        self.name = name
        self.deadline = deadline
        self.loop = asyncio.get_running_loop()
        self._found: dict[str, EventHeader | StoredEvent | None] = {}
        self._error: BaseException | None = None
        self._woken: asyncio.Future[None] | None = None  # only while `next` waits

    @property
    def listed_for(self) -> Collection[str | None]:
        """The VOD tasks under which people see who waits; None for whoever waits for something else."""
        return self.vod_task_ids

    async def next(self, seconds: float) -> dict[str, EventHeader | StoredEvent | None]:
        """Wait for the next events.

        :param seconds: how long at the most.
        :return: the events that came since the last call, by VOD task id; empty after the timeout.
        :raises VodError: the watch cannot go on.
        """
        if not self._found and self._error is None:
            self._woken = self.loop.create_future()
            timer = self.loop.call_later(seconds, self._wake)
            try:
                await self._woken
            finally:
                timer.cancel()
                self._woken = None
        found, self._found = self._found, {}
        if self._error is not None and not found:
            error, self._error = self._error, None
            raise error.with_traceback(None)  # many waiters may raise this one object; its traceback would only grow
        return found

    def accepts(self, event: EventHeader | StoredEvent) -> bool:
        """Say whether an event ends a task that is waited for."""
        if not event.finished or event.vod_task_id not in self.missing:
            return False
        return self.event_types is None or event.event_type in self.event_types

    def deliver(self, event: EventHeader | StoredEvent) -> None:
        """Hand an event over, in the waiter's event loop."""
        if event.vod_task_id in self.missing:
            self.missing.discard(event.vod_task_id)
            self._found[event.vod_task_id] = event
            self._wake()

    def fail(self, error: BaseException) -> None:
        """End the wait with an error, in the waiter's event loop."""
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)


class Follower(Waiter):
    """Somebody who waits for events by more than their VOD task, again and again.

    It is only told that there may be something for it; what that is it looks up in the inbox.

    :param match: what an event must be to count.
    :param name: who waits; for people on call.
    """

    __slots__ = ("match",)

    def __init__(self, match: EventMatch, *, name: str = "") -> None:
        super().__init__((), match.event_types, name=name)
        self.match = match

    @property
    def listed_for(self) -> Collection[str | None]:
        """See `Waiter.listed_for`."""
        return (self.match.get("vod_task_id"),)

    def accepts(self, event: EventHeader | StoredEvent) -> bool:
        """Say whether an event may count."""
        return self.match.may_count(event)

    def deliver(self, event: EventHeader | StoredEvent | None) -> None:
        """Tell that there may be something, in the follower's event loop."""
        self._found[""] = event
        self._wake()


class Watch:
    """Watches one queue for this process: owns its relay, its waiters, and the threads that serve them.

    One thread looks events up and hands them out, one runs the relay, one listens for what other processes commit, one asks
    VOD about tasks whose event does not come. All end soon after the last waiter has gone, or when the process ends.

    :param settings: the application whose queue is watched.
    :param store: the inbox.
    :param retention: seconds for which events stay in the inbox; None for ever.
    """

    def __init__(self, settings: VodSettings, store: InboxStore, retention: float | None = None) -> None:
        self.settings = settings
        self.queue = settings.queue
        self.store = store
        self.position: int | None = None  # in the inbox, up to which the news have been read
        self.summary: RelaySummary | None = None  # of this process's relay
        self.asked: dict[str, float] = {}  # when VOD last answered about a task itself, in Unix seconds
        self._retention = retention
        # Re-entrant, because the garbage collector may end a coroutine whose loop was closed, and that discards its waiter.
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._failure: BaseException | None = None
        self._waiters: set[Waiter] = set()
        self._by_task: dict[str, list[Waiter]] = {}
        self._followers: set[Follower] = set()
        self._added: list[Waiter] = []  # not yet looked up
        self._changed: list[Waiter] = []  # came or went, and that is not yet written down
        self._thread = threading.Thread(target=self._run, name=f"vod-watch {self.queue}")

    # For the event loop

    @property
    def alive(self) -> bool:
        """Whether waiters can still be added. A watch does not live on in a child of a fork."""
        return not self._ending.is_set() and self._thread.is_alive()

    def add(self, waiter: Waiter) -> bool:
        """Register a waiter; the inbox is looked into for it soon after.

        :return: False where this watch is ending and another one must be taken.
        """
        with self._lock:
            if not self.alive:
                if self._failure is not None:  # it ended before anybody could wait: another one would do the same
                    raise self._failure.with_traceback(None)
                return False
            self._waiters.add(waiter)
            if isinstance(waiter, Follower):
                self._followers.add(waiter)
            for vod_task_id in waiter.vod_task_ids:
                self._by_task.setdefault(vod_task_id, []).append(waiter)
            self._added.append(waiter)
            self._changed.append(waiter)
        self._wake.set()
        return True

    def discard(self, waiter: Waiter) -> None:
        """Forget a waiter that was added, whether or not it got what it waited for; harmless when it is forgotten already."""
        with self._lock:
            self._forget({waiter} & self._waiters)

    def _forget(self, waiters: set[Waiter]) -> None:
        self._waiters -= waiters
        self._followers -= waiters
        for waiter in waiters:
            for vod_task_id in waiter.vod_task_ids:
                self._by_task[vod_task_id].remove(waiter)
                if not self._by_task[vod_task_id]:
                    del self._by_task[vod_task_id]
        self._changed += waiters

    def start(self) -> None:
        """Start the threads of this watch."""
        _running.add(self)
        # Each time: a child that Airflow forks has forgotten what was registered before, but not this module.
        atexit.unregister(_end_all)
        atexit.register(_end_all)
        self._thread.start()

    def end(self) -> None:
        """End this watch now, for the end of a program; waiters that are left fail."""
        self._ending.set()
        self._wake.set()

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
        from airflow_vod.tencent.client import VodClient

        client = VodClient(self.settings)
        self._questions = ReconcileLoop(Reconciler(client, self.store), self._by_task.__contains__, self.asked)
        relay = Relay(client, self.store, on_received=self._wake.set, retention=self._retention)
        self.summary = relay.summary
        pipeline = Pipeline(relay)
        threads: list[threading.Thread] = []
        try:
            threads.append(run_in_thread(pipeline, self._relay_ended))
            for work, name in ((self._listen, "news"), (self._ask, "questions")):
                thread = threading.Thread(target=work, name=f"vod-{name} {self.queue}")
                thread.start()
                threads.append(thread)
            self._serve()
        except BaseException as error:
            self._failure = error
        finally:
            pipeline.stop()
            self._questions.end()
            self._end()
            for thread in threads:
                thread.join()
            client.close()

    def _relay_ended(self, error: BaseException | None) -> None:
        if error is not None:
            self._failure = error
            self._wake.set()

    def _ask(self) -> None:
        try:
            self._questions.run()
        except BaseException as error:
            self._failure = error
            self._wake.set()

    def _listen(self) -> None:
        while not self._ending.is_set():
            try:
                if self.store.wait_for_news(self.queue, timeout=_TICK, stop=self._ending):
                    self._wake.set()
            except InboxUnavailableError:
                self._ending.wait(_TICK)
            except BaseException as error:
                self._failure = error
                self._wake.set()
                return

    def _serve(self) -> None:
        """Hand out events until nobody needs them any more."""
        needed_at, look_again_at, write_at, trouble = time.monotonic(), None, 0.0, False
        list_again_at = needed_at + LISTED_FOR / 2
        while self._failure is None and not self._ending.is_set() and threading.main_thread().is_alive():
            woken = self._wake.wait(_TICK)
            if woken:  # else somebody may set it just now, which is for the next turn
                self._wake.clear()
            now = time.monotonic()
            if not woken or now >= (look_again_at or now):
                self._drop_closed()
            if self._waiters:
                needed_at = now
            elif now - needed_at > LINGER and self._try_end():
                break
            try:
                if look_again_at is None:
                    self.position, look_again_at = self.store.position(self.queue), now + LOOK_AGAIN
                self._look(self._take_added())
                if woken or trouble:
                    self._read_news()
                if now >= look_again_at:
                    self._look(self._waiters.copy())
                    self._read_news()
                    look_again_at = now + LOOK_AGAIN
                if now >= list_again_at:
                    list_again_at = now + LISTED_FOR / 2
                    with self._lock:
                        self._changed += self._waiters
                if self._changed and now >= write_at:
                    metrics.gauge("waiters", len(self._waiters), queue=self.queue)
                    self._write_changes(_BATCH)
                    if self._changed:
                        self._wake.set()
                    else:
                        write_at = now + _TICK
                trouble = False
            except InboxUnavailableError as error:
                if not trouble:
                    log.warning("Cannot read the inbox for queue %s, trying on: %s", self.queue, error)
                # Who was to be looked up now is looked up then.
                trouble, look_again_at = True, look_again_at and now
                self._ending.wait(_TICK)

    def _take_added(self) -> list[Waiter]:
        with self._lock:
            added, self._added = self._added, []
        self._questions.add(vod_task_id for waiter in added for vod_task_id in waiter.vod_task_ids)
        return added

    def _drop_closed(self) -> None:
        """Forget waiters whose event loop was closed under them: they cannot do so themselves."""
        with self._lock:
            closed = {loop for loop in {waiter.loop for waiter in self._waiters} if loop.is_closed()}
            if closed:
                self._forget({waiter for waiter in self._waiters if waiter.loop in closed})

    def _write_changes(self, limit: int | None = None) -> None:
        """Write down in the inbox who waits and who no longer does.

        :param limit: of changes, so that the news do not have to wait for long.
        """
        from airflow_vod.inbox import Waiter as WaiterRow
        from airflow_vod.inbox.values import is_id

        with self._lock:
            changed, self._changed = self._changed[:limit], self._changed[limit:] if limit else []
        present, gone = [], []
        for name, vod_task_id in dict.fromkeys((each.name, task) for each in changed for task in each.listed_for):
            # A trigger that was taken over by another triggerer, or back, is the same waiter: what counts is who waits now.
            waiter = self._find(name, vod_task_id)
            if vod_task_id is not None and not is_id(vod_task_id):
                continue  # no event can have it; its own trigger says so
            if waiter is None:
                gone.append(WaiterRow.of(name, vod_task_id).id)
            else:
                until = time.time() + LISTED_FOR if isinstance(waiter, Follower) else waiter.deadline
                present.append(WaiterRow.of(name, vod_task_id, waiter.event_types or (), until))
        try:
            self.store.waiters.remove(self.queue, gone)
            self.store.waiters.add(self.queue, present)
        except InboxUnavailableError:
            with self._lock:
                self._changed += changed
            raise

    def _find(self, name: str, vod_task_id: str | None) -> Waiter | None:
        with self._lock:
            of_task = self._by_task.get(vod_task_id or "", ())
            following = (each for each in self._followers if vod_task_id in each.listed_for)
            return next((each for each in itertools.chain(of_task, following) if each.name == name), None)

    def _look(self, waiters: Iterable[Waiter]) -> None:
        """Look into the inbox for events that came before anybody waited, or that passed unseen."""
        by_types: dict[frozenset[str] | None, set[str]] = {}
        followers = []
        for waiter in waiters:
            if isinstance(waiter, Follower):
                followers.append((waiter, functools.partial(waiter.deliver, None)))
                continue
            by_types.setdefault(waiter.event_types, set()).update(waiter.missing.copy())
        _call(followers)
        for event_types, vod_task_ids in by_types.items():
            self._hand_out(self.store.find(self.queue, vod_task_ids, event_types).values())

    def _read_news(self) -> None:
        """Hand out what was committed since the last read, by whomever."""
        while events := self.store.headers_after(self.queue, self.position or 0, _NEWS_LIMIT):
            self._hand_out(events)
            self.position = events[-1].position

    def _hand_out(self, events: Collection[EventHeader | StoredEvent]) -> None:
        with self._lock:
            calls: list[tuple[Waiter, Callable[[], None]]] = [
                (follower, functools.partial(follower.deliver, event))
                for follower in self._followers
                if (event := next(filter(follower.accepts, events), None))
            ]
            calls += [
                (waiter, functools.partial(waiter.deliver, event))
                for event in events
                for waiter in self._by_task.get(event.vod_task_id or "", ())
                if waiter.accepts(event)
            ]
        _call(calls)

    def _try_end(self) -> bool:
        with self._lock:
            if self._waiters:
                return False
            self._ending.set()
            return True

    def _end(self) -> None:
        """Let no waiter behind, neither here nor in the inbox."""
        with self._lock:
            self._ending.set()
            waiters = self._waiters.copy()
            self._forget(waiters)
        with contextlib.suppress(Exception):  # whatever it is, those who wait must hear of the end
            self._write_changes()
        error = self._failure or InboxUnavailableError("The process that waited is ending.")
        _call([(waiter, functools.partial(waiter.fail, error)) for waiter in waiters])


def _call(calls: Iterable[tuple[Waiter, Callable[[], None]]]) -> None:
    """Make calls in the event loops of their waiters; each loop is woken once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Callable[[], None]]] = {}
    for waiter, call in calls:
        by_loop.setdefault(waiter.loop, []).append(call)
    for loop, loop_calls in by_loop.items():
        with contextlib.suppress(RuntimeError):  # a closed loop has taken its waiters with it
            loop.call_soon_threadsafe(_call_each, loop_calls)


def _call_each(calls: Iterable[Callable[[], None]]) -> None:
    for call in calls:
        call()


_running: set[Watch] = set()  # those whose threads have not ended


def _end_all() -> None:
    """Let what watches end in order. Airflow's triggerer leaves its process without waiting for the threads in it."""
    left = [watch for watch in _running.copy() if watch._thread.is_alive()]  # in the child of a fork none is
    for watch in left:
        watch.end()
    give_up_at = time.monotonic() + END_PATIENCE
    for watch in left:
        watch.join(max(0.0, give_up_at - time.monotonic()))


_watches: dict[VodSettings, Watch] = {}  # two connections to one queue, or one that was edited, have one each
_watches_lock = threading.Lock()
_resolved: dict[tuple[str, str], tuple[Watch, float]] = {}  # by connection and SubAppId, with the time of resolution
_locks: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = weakref.WeakKeyDictionary()


async def watch_of(vod_conn_id: str, sub_app_id: int | str | None = None) -> Watch:
    """Answer the watch of this process for a connection's queue; start it if there is none.

    A triggerer resolves connections one after the other at about a tenth of a second each, so many waiters share one look.

    :param vod_conn_id: Airflow connection id.
    :param sub_app_id: as in `VodHook`.
    :raises VodSettingsError: the connection cannot work as it is written.
    :raises InboxError: the inbox cannot be opened.
    """
    key = (vod_conn_id, str(sub_app_id or ""))
    async with _locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        watch, resolved_at = _resolved.get(key, (None, 0.0))
        if watch and watch.alive and time.monotonic() - resolved_at < SETTINGS_AGE:
            return watch
        settings = await VodHook(vod_conn_id, sub_app_id=sub_app_id).aget_settings()
        if watch and watch.settings != settings:
            watch.end()  # the connection was edited: who waits comes back in a moment, and then by what it says now
        watch = await asyncio.to_thread(_watch_for, settings)
        _resolved[key] = (watch, time.monotonic())
        return watch


def _watch_for(settings: VodSettings) -> Watch:
    with _watches_lock:
        watch = _watches.get(settings)
        if watch is None or not watch.alive:
            for each in [each for each, one in _watches.items() if not one.alive]:
                del _watches[each]
            watch = _watches[settings] = Watch(settings, open_inbox(inbox_url()), inbox_retention())
            watch.start()
        return watch


def watches() -> list[Watch]:
    """List the watches that this process has started, for people and for the demo."""
    with _watches_lock:
        return list(_watches.values())
