"""The state of the emulated VOD service, and its only entry point.

Invariant: all state is accessed under one lock, held for microseconds; everything due by the clock has run before any state
is read. Plain Python without I/O: the clock is injected, and replies are callbacks.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_vod.emulator.admission import Admission, find_action
from airflow_vod.emulator.application import Application
from airflow_vod.emulator.calls import Calls
from airflow_vod.emulator.errors import ApiError
from airflow_vod.emulator.exchange import Exchange
from airflow_vod.emulator.faults import Faults
from airflow_vod.emulator.parameters import read, read_raw
from airflow_vod.emulator.push import posts_of
from airflow_vod.emulator.schedule import Schedule
from airflow_vod.emulator.sessions import Sessions
from airflow_vod.emulator.starters import STARTERS
from airflow_vod.emulator.starts import Starts
from airflow_vod.emulator.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from airflow_vod.emulator.clock import Clock
    from airflow_vod.emulator.options import EmulatorOptions
    from airflow_vod.emulator.push import Callback, Post
    from airflow_vod.emulator.queue import QueueCounts
    from airflow_vod.emulator.request import Answer, Request


T = TypeVar("T")
_BEFORE_THE_SERVICE = ("AuthFailure", "RequestLimitExceeded", "UnauthorizedOperation")
"""Refusals of the gateway: the service has never seen the request."""


class VodApi:
    """The VOD API as a thread-safe object.

    :param accounts: SecretId to secret key.
    :param sub_app_ids: existing applications (0 is the primary one); None accepts any.
    :param options: behaviour of the emulator.
    :param clock: the emulator's time.
    """

    def __init__(
        self,
        accounts: Mapping[str, str],
        sub_app_ids: Collection[int] | None,
        options: EmulatorOptions,
        clock: Clock,
    ) -> None:
        self.options = options
        self.schedule = Schedule(clock)
        self.faults = Faults()
        self.calls = Calls(options.calls_kept)
        self.starts = Starts(options.calls_kept)
        """The log of started tasks."""
        self.callbacks: deque[Callback] = deque(maxlen=options.calls_kept)
        """Outcomes of callbacks, oldest first."""
        self.on_post: Callable[[Post], None] = lambda post: None
        """Sends a callback; does nothing while no server is running."""
        self._admission = Admission(accounts, options)
        self._sub_app_ids = None if sub_app_ids is None else frozenset(sub_app_ids)
        self._applications: dict[int, Application] = {}
        self._sessions = Sessions(self.schedule)
        self._changed = threading.Condition(threading.RLock())

    def handle(self, request: Request, reply: Callable[[Answer], None]) -> Exchange:
        """Handle a call.

        :param request: as received.
        :param reply: called exactly once with the answer, now or later, possibly in another thread, under the lock.
        :return: the exchange, to report a disconnect of the client.
        """
        with self._changed:
            self.schedule.run()
            fault = self.faults.take(request.action, self.schedule.now()) if request.action else None
            exchange = Exchange(
                request, reply, fault=fault, schedule=self.schedule, calls=self.calls, options=self.options
            )
            exchange.begin(self._carry_out)
            self._use_session_of_refused(exchange)
            self._changed.notify_all()
            return exchange

    def disconnect(self, exchange: Exchange) -> None:
        """Report that the client of a call has disconnected.

        :param exchange: the call.
        """
        with self._changed:
            exchange.disconnect()
            self._changed.notify_all()

    def abandon(self, exchange: Exchange) -> None:
        """Report that a call can never be answered because the server stops: a held pull takes no more events.

        :param exchange: the call.
        """
        with self._changed:
            exchange.abandon()
            self._changed.notify_all()

    def after(self, seconds: float, run: Callable[[], None]) -> None:
        """Schedule a callback by the emulator's clock.

        :param seconds: from now.
        :param run: called under the lock.
        """
        with self._changed:
            self.schedule.after(seconds, run)
            self._changed.notify_all()

    def next_due(self) -> float | None:
        """:return: when the next scheduled entry is due, Unix seconds; None when there is none."""
        with self._changed:
            return self.schedule.next_due()

    def tick(self) -> None:
        """Run everything that is due."""
        with self._changed:
            self.schedule.run()
            self._changed.notify_all()

    def publish(self, event: Mapping[str, Any], sub_app_id: int) -> None:
        """Publish an event in an application.

        :param event: as an item of ``EventSet``, without handle.
        :param sub_app_id: 0 for the primary application.
        :raises ValueError: when the application does not exist.
        """
        with self._changed:
            self.schedule.run()
            self.application(sub_app_id).publish(event)
            self._changed.notify_all()

    def add_task(self, sub_app_id: int, vod_task_id: str, task_type: str, status: str, **rest: Any) -> None:
        """Register a task for DescribeTaskDetail.

        :param sub_app_id: 0 for the primary application.
        :param vod_task_id: of the task.
        :param task_type: such as ``EditMedia``.
        :param status: WAITING, PROCESSING, FINISH or ABORTED.
        :param rest: ``age`` in seconds since submission, and other fields of `Task`.
        :raises ValueError: when the application or the status does not exist.
        """
        with self._changed:
            now = self.schedule.now()
            created_at = now - rest.pop("age", 0.0)
            began_at = None if status == "WAITING" else created_at
            finished_at = now if status in ("FINISH", "ABORTED") else None
            task = Task(vod_task_id, task_type, status, created_at, began_at=began_at, finished_at=finished_at, **rest)
            self.application(sub_app_id).tasks.add(task)

    def with_application(self, sub_app_id: int, run: Callable[[Application], T]) -> T:
        """Do something to an application, under the lock.

        :param sub_app_id: 0 for the primary application.
        :param run: gets the application.
        :return: what it returns.
        :raises ValueError: when the application does not exist.
        """
        with self._changed:
            self.schedule.run()
            result = run(self.application(sub_app_id))
            self._changed.notify_all()
            return result

    def counts(self, sub_app_id: int) -> QueueCounts:
        """:return: the counts of one application's queue."""
        with self._changed:
            self.schedule.run()
            return self.application(sub_app_id).counts()

    def sub_app_ids(self) -> list[int]:
        """:return: the applications used so far."""
        with self._changed:
            return sorted(self._applications)

    def wait_until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait, in real time, for a condition to become true.

        :param condition: evaluated after every change, under the lock.
        :param timeout: in seconds.
        :return: whether it became true.
        """
        with self._changed:
            return self._changed.wait_for(condition, timeout)

    def application(self, sub_app_id: int) -> Application:
        """:return: the application, created on first use.
        :raises ValueError: when it does not exist.
        """
        if self._sub_app_ids is not None and sub_app_id not in self._sub_app_ids:
            raise ValueError(f"no application {sub_app_id!r}; existing ones: {sorted(self._sub_app_ids)}")
        if sub_app_id not in self._applications:
            shared = self._sessions if self.options.session_scope == "account" else None
            self._applications[sub_app_id] = Application(
                sub_app_id, self.schedule, self.options, self._push, starts=self.starts, sessions=shared
            )
        return self._applications[sub_app_id]

    def note_callback(self, callback: Callback) -> None:
        """Record the outcome of a callback.

        :param callback: the callback, after its last attempt.
        """
        with self._changed:
            self.callbacks.append(callback)
            self._changed.notify_all()

    def wall_clock(self) -> float:
        """:return: the time that signatures are made and verified with, Unix seconds."""
        return time.time() + self.options.clock_offset

    def _carry_out(self, exchange: Exchange) -> None:
        request = exchange.request
        action = find_action(request)
        exchange.secret_id = self._admission.authenticate(request, self.wall_clock())
        self._admission.authorize(exchange.secret_id, request, self.schedule.now())
        params = read(request, action.parameters)
        exchange.sub_app_id = params.sub_app_id
        app = self._application_of_call(params.sub_app_id, lists_error=action.lists_sub_app_error)
        if exchange.fault is not None and exchange.fault.name == "expire_handles" and request.action != "PullEvents":
            app.queue.expire_handles()
        action.run(app, params, exchange)

    def _application_of_call(self, sub_app_id: int, *, lists_error: bool) -> Application:
        try:
            return self.application(sub_app_id)
        except ValueError:
            listed = "InvalidParameterValue.SubAppId" if lists_error else "FailedOperation.InvalidVodUser"
            raise ApiError(self.options.unknown_sub_app or listed, f"The SubAppId {sub_app_id} is not valid.") from None

    def _use_session_of_refused(self, exchange: Exchange) -> None:
        """Use up the SessionId of a call that the service has refused, if it does that."""
        starter = STARTERS.get(exchange.request.action)
        if starter is None or not self.options.refusal_uses_session or not exchange.refused:
            return
        if exchange.refused.startswith(_BEFORE_THE_SERVICE):
            return
        with suppress(ApiError, TypeError, ValueError):  # a call without parameters that can be read has no SessionId
            given = read_raw(exchange.request)
            app = self.application(int(given.get("SubAppId") or 0))
            app.use_session(starter, str(given.get("SessionId") or ""))

    def _push(self, application: Application, event: Mapping[str, Any]) -> None:
        for post in posts_of(event, application.sub_app_id, application.config, self.options, self.wall_clock()):
            self.on_post(post)
