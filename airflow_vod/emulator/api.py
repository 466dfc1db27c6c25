"""The state of the emulated VOD service, and the one door to it.

Invariant: all state is touched under one lock, held for microseconds; what is due by the clock has happened before anything
is looked at. Plain Python without I/O: the time is injected, and replies are callbacks.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from airflow_vod.emulator.application import Application
from airflow_vod.emulator.calls import Calls
from airflow_vod.emulator.errors import ApiError
from airflow_vod.emulator.exchange import Exchange
from airflow_vod.emulator.faults import Faults
from airflow_vod.emulator.limiter import FixedWindow, SlidingWindow
from airflow_vod.emulator.push import posts_of
from airflow_vod.emulator.schedule import Schedule
from airflow_vod.emulator.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from airflow_vod.emulator.clock import Clock
    from airflow_vod.emulator.options import EditFailure, EmulatorOptions
    from airflow_vod.emulator.push import Callback, Post
    from airflow_vod.emulator.queue import QueueCounts
    from airflow_vod.emulator.request import Answer, Request


class VodApi:
    """The VOD API as a thread-safe object.

    :param accounts: SecretId to secret key.
    :param sub_app_ids: applications that exist (0 is the primary one); None for any.
    :param options: how it behaves.
    :param clock: tells the time.
    """

    def __init__(
        self,
        accounts: Mapping[str, str],
        sub_app_ids: Collection[int] | None,
        options: EmulatorOptions,
        clock: Clock,
    ) -> None:
        self.accounts = dict(accounts)
        self.options = options
        self.schedule = Schedule(clock)
        self.faults = Faults()
        self.calls = Calls(options.calls_kept)
        self._sub_app_ids = None if sub_app_ids is None else frozenset(sub_app_ids)
        self._applications: dict[int, Application] = {}
        self.callbacks: deque[Callback] = deque(maxlen=options.calls_kept)
        """What came of callbacks, the oldest first."""
        self.on_post: Callable[[Post], None] = lambda post: None
        """Makes a POST; while no server runs, nobody does."""
        self._limiter = FixedWindow() if options.rate_window == "fixed" else SlidingWindow()
        self._changed = threading.Condition(threading.RLock())

    def handle(self, request: Request, reply: Callable[[Answer], None]) -> Exchange:
        """Carry a call out.

        :param request: as it arrived.
        :param reply: called exactly once with the answer, at once or later, perhaps in another thread, under the lock.
        :return: the exchange, for telling that the client has gone.
        """
        with self._changed:
            self.schedule.run()
            exchange = Exchange(self, request, reply)
            exchange.begin()
            self._changed.notify_all()
            return exchange

    def disconnect(self, exchange: Exchange) -> None:
        """Tell that the client of a call has gone."""
        with self._changed:
            exchange.disconnect()
            self._changed.notify_all()

    def abandon(self, exchange: Exchange) -> None:
        """Tell that a call can never be answered, because the server stops: a held pull takes nothing any more."""
        with self._changed:
            exchange.abandon()
            self._changed.notify_all()

    def after(self, seconds: float, run: Callable[[], None]) -> None:
        """Plan something by the emulator's clock.

        :param seconds: from now.
        :param run: called under the lock.
        """
        with self._changed:
            self.schedule.after(seconds, run)
            self._changed.notify_all()

    def next_due(self) -> float | None:
        """:return: when the next thing is due, in Unix seconds; None when nothing is planned."""
        with self._changed:
            return self.schedule.next_due()

    def tick(self) -> None:
        """Do all that is due now."""
        with self._changed:
            self.schedule.run()
            self._changed.notify_all()

    def publish(self, event: Mapping[str, Any], sub_app_id: int) -> None:
        """Let an event happen in an application."""
        with self._changed:
            self.schedule.run()
            self.application(sub_app_id).publish(event)
            self._changed.notify_all()

    def add_task(self, sub_app_id: int, vod_task_id: str, task_type: str, status: str, **rest: Any) -> None:
        """Register a task for DescribeTaskDetail; see `Task` for the rest."""
        with self._changed:
            now = self.schedule.now()
            created_at = now - rest.pop("age", 0.0)
            began_at = None if status == "WAITING" else created_at
            finished_at = now if status in ("FINISH", "ABORTED") else None
            task = Task(vod_task_id, task_type, status, created_at, began_at=began_at, finished_at=finished_at, **rest)
            self.application(sub_app_id).tasks.add(task)

    def fail_edits(self, failure: EditFailure | None, sub_app_id: int) -> None:
        """Decide how EditMedia tasks end that are submitted from now on."""
        with self._changed:
            self.application(sub_app_id).edit_failure = failure

    def counts(self, sub_app_id: int) -> QueueCounts:
        """:return: the numbers of one application's queue."""
        with self._changed:
            self.schedule.run()
            return self.application(sub_app_id).counts()

    def sub_app_ids(self) -> list[int]:
        """:return: the applications that were used so far."""
        with self._changed:
            return sorted(self._applications)

    def wait_until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait, in real time, for something to become true.

        :param condition: looked at after every change, under the lock.
        :param timeout: in seconds.
        :return: whether it became true.
        """
        with self._changed:
            return self._changed.wait_for(condition, timeout)

    def application(self, sub_app_id: int) -> Application:
        """:return: the application, made on first use.
        :raises ValueError: when there is none.
        """
        if self._sub_app_ids is not None and sub_app_id not in self._sub_app_ids:
            raise ValueError(f"no application {sub_app_id!r}; there are {sorted(self._sub_app_ids)}")
        if sub_app_id not in self._applications:
            self._applications[sub_app_id] = Application(sub_app_id, self.schedule, self.options, self._push)
        return self._applications[sub_app_id]

    def _push(self, application: Application, event: Mapping[str, Any]) -> None:
        for post in posts_of(event, application.sub_app_id, application.config, self.options, self.wall_clock()):
            self.on_post(post)

    def note_callback(self, callback: Callback) -> None:
        """Write down what came of a callback."""
        with self._changed:
            self.callbacks.append(callback)
            self._changed.notify_all()

    def application_of_call(self, sub_app_id: int, *, lists_error: bool) -> Application:
        """:param lists_error: whether the action lists an error code of its own for this.
        :return: the application of a call.
        :raises ApiError: when there is none.
        """
        try:
            return self.application(sub_app_id)
        except ValueError:
            listed = "InvalidParameterValue.SubAppId" if lists_error else "FailedOperation.InvalidVodUser"
            raise ApiError(self.options.unknown_sub_app or listed, f"The SubAppId {sub_app_id} is not valid.") from None

    def limit(self, secret_id: str, action: str) -> None:
        """Count a call.

        :raises ApiError: RequestLimitExceeded, when it is one too many.
        """
        if self.options.rate_limit is None:
            return
        allowed = self.options.rate_limits.get(action, self.options.rate_limit)
        if not self._limiter.admit((secret_id, action), allowed, self.schedule.now()):
            raise ApiError(
                "RequestLimitExceeded",
                f"Your current request frequency exceeds the limit of {allowed}/s for `{action}`.",
            )

    def wall_clock(self) -> float:
        """:return: what signatures are checked against, in Unix seconds."""
        return time.time() + self.options.clock_offset
