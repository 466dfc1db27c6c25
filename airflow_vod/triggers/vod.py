"""What waits in the triggerer while a sensor is deferred.

Invariants: a trigger carries ids only, never a secret or a setting; it ends right after its one event; its deadline is a
point in time, so a restart of the triggerer does not prolong the wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from airflow_vod.events.matching import EventMatch
from airflow_vod.exceptions import (
    InboxUnavailableError,
    VodAuthenticationError,
    VodConnectionError,
    VodError,
    error_to_dict,
)
from airflow_vod.inbox.lookup import FinishedTasks, look, task_name, vod_task_ids

if TYPE_CHECKING:
    from airflow_vod.waiting.watch import Waiter, Watch

_FIRST_REPORT = 300.0  # seconds until the first line about a wait that goes on; then ever more rarely
_REPORT_LIMIT = 3600.0  # seconds
_RETRY_PAUSE = 5.0  # seconds
_UNKNOWN_TRIES = 4  # to read a connection that Airflow does not know, or cannot read now
_REFUSAL_WINDOW = 300.0  # seconds within which a second refusal of the credentials ends the wait

FOUND = {"status": "found"}


class VodWaitTrigger(BaseTrigger):
    """What triggers that wait for a sensor have in common: what disturbs a wait, and what ends it.

    :param vod_conn_id: Airflow connection id.
    :param sub_app_id: another application than the connection's.
    :param deadline: Unix seconds at which the wait ends without result; None for no end.
    :param waiter: who waits, ``dag/run/task``; for people on call. None takes it from the task instance.
    """

    def __init__(
        self,
        *,
        vod_conn_id: str,
        sub_app_id: int | str | None = None,
        deadline: float | None = None,
        waiter: str | None = None,
    ) -> None:
        super().__init__()
        self.vod_conn_id = vod_conn_id
        self.sub_app_id = sub_app_id
        self.deadline = deadline
        self.waiter = waiter

    def _waiter(self) -> Any:
        """Make what waits.

        :raises VodError: what is waited for cannot be.
        """
        raise NotImplementedError

    async def _wait(self, waiter: Any) -> TriggerEvent:
        """Wait with one watch, until what is waited for is there or the time is over."""
        raise NotImplementedError

    def _timed_out(self, waiter: Any, asked_at: float | None = None) -> TriggerEvent:
        """Make the event of a wait whose time is over.

        :param asked_at: when VOD was last asked about what is missing, in Unix seconds.
        """
        return TriggerEvent({"status": "timeout"})

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the one event."""
        yield await self._last_event()

    async def _last_event(self) -> TriggerEvent:
        """Wait for as long as it may help."""
        refused_at, unknown = float("-inf"), 0
        try:
            waiter = self._waiter()
        except VodError as error:
            return _error(error)
        while True:
            try:
                return await self._wait(waiter)
            except InboxUnavailableError as error:
                self.log.warning("The inbox does not answer, trying on: %s", error)
                await asyncio.sleep(min(_RETRY_PAUSE, self._remaining()))
                if self._remaining() <= 0:  # as in the other modes, the end of the time counts and not the last trouble
                    return self._timed_out(waiter)
            except VodAuthenticationError as error:
                # The key may have been replaced while this waited: the connection is read again, once.
                if time.monotonic() - refused_at < _REFUSAL_WINDOW:
                    return _error(error)
                refused_at = time.monotonic()
            except VodConnectionError as error:
                # Airflow says the same of one that is not there and of one that it cannot read now.
                unknown += 1
                if unknown >= _UNKNOWN_TRIES:
                    return _error(error)
                await asyncio.sleep(min(_RETRY_PAUSE, self._remaining()))
            except VodError as error:
                return _error(error)

    async def _join(self, waiter: Waiter) -> Watch:
        """Find the watch of the queue and wait with it; the caller discards the waiter."""
        from airflow_vod.waiting.watch import watch_of

        watch = await watch_of(self.vod_conn_id, self.sub_app_id)
        while not watch.add(waiter):
            watch = await watch_of(self.vod_conn_id, self.sub_app_id)
        return watch

    def _name(self) -> str:
        ti = self.task_instance
        return self.waiter or (task_name(ti) if ti else "")

    def _ends_at(self) -> float | None:
        """Answer when the wait ends. A trigger that no worker made knows only when Airflow is going to end it."""
        airflows: datetime | None = getattr(self, "timeout_after", None)  # the triggerer sets it
        if self.deadline is not None or airflows is None:
            return self.deadline
        return airflows.replace(tzinfo=airflows.tzinfo or UTC).timestamp()

    def _remaining(self) -> float:
        ends_at = self._ends_at()
        return float("inf") if ends_at is None else max(ends_at - time.time(), 0.0)


class Report:
    """Says of a wait, after minutes and then ever more rarely, that it goes on.

    :param log: the trigger's.
    :param watch: counts what comes by.
    """

    def __init__(self, log: Any, watch: Watch) -> None:
        self._log = log
        self._watch = watch
        self._first_position, self._started, self._after = watch.position, time.monotonic(), _FIRST_REPORT

    def pause(self) -> float:
        """Answer for how many seconds there is nothing to say."""
        return max(self._started + self._after - time.monotonic(), 0.01)

    def tell(self, wanted: str) -> None:
        """Say it, if it is time to."""
        if self._first_position is None:  # the watch had not yet looked
            self._first_position = self._watch.position
        waited = time.monotonic() - self._started
        if waited >= self._after:
            events = (self._watch.position or 0) - (self._first_position or 0)
            self._log.info(
                "Waiting for %s for %d minutes; %d events of the queue came by", wanted, waited // 60, events
            )
            self._after += min(self._after, _REPORT_LIMIT)


class VodTaskTrigger(VodWaitTrigger):
    """Waits until VOD tasks have ended: until the inbox holds an event that says so for each of them.

    Its event is ``{"status": "found"}``, ``{"status": "timeout", "missing": …, "asked_at": …}`` (how many tasks have not ended,
    and when VOD was last asked about one of them) or ``{"status": "error", "error": …}``; the result itself stays in the
    inbox, where the task reads it.

    :param vod_task_id: id of the VOD task, or a list of ids; compared exactly.
    :param event_types: event types that count; None for any that ends a task.
    :param vod_conn_id: Airflow connection id.
    :param sub_app_id: another application than the connection's.
    :param deadline: Unix seconds at which the wait ends without result; None for no end.
    :param waiter: who waits, ``dag/run/task``; for people on call. None takes it from the task instance.
    :param on_partial: as at the sensor: whether a task that failed in part counts as failed.
    :param fail_fast: whether the first failed task ends the wait for the others.
    :param end_from_trigger: whether success ends the task here, with the result pushed to XCom, instead of on a worker.
    :param do_xcom_push: whether there is a result to push then.
    """

    def __init__(
        self,
        *,
        vod_task_id: str | Sequence[str],
        event_types: Sequence[str] | None = None,
        vod_conn_id: str,
        sub_app_id: int | str | None = None,
        deadline: float | None = None,
        waiter: str | None = None,
        on_partial: str = "fail",
        fail_fast: bool = True,
        end_from_trigger: bool = False,
        do_xcom_push: bool = True,
    ) -> None:
        super().__init__(vod_conn_id=vod_conn_id, sub_app_id=sub_app_id, deadline=deadline, waiter=waiter)
        self.vod_task_id = vod_task_id
        self.event_types = event_types
        self.on_partial = on_partial
        self.fail_fast = fail_fast
        self.end_from_trigger = end_from_trigger
        self.do_xcom_push = do_xcom_push
        self._unjudged: set[str] = set()  # ended, and nobody has looked yet whether well

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Write this trigger as Airflow stores it."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "vod_task_id": _plain(self.vod_task_id),
                "event_types": _plain(self.event_types),
                "vod_conn_id": self.vod_conn_id,
                "sub_app_id": self.sub_app_id,
                "deadline": self.deadline,
                "waiter": self.waiter,
                "on_partial": self.on_partial,
                "fail_fast": self.fail_fast,
                "end_from_trigger": self.end_from_trigger,
                "do_xcom_push": self.do_xcom_push,
            },
        )

    def _waiter(self) -> Waiter:
        from airflow_vod.waiting.watch import Waiter

        types = EventMatch.of(self.event_types or None).event_types
        return Waiter(vod_task_ids(self.vod_task_id), types, name=self._name(), deadline=self._ends_at())

    async def _wait(self, waiter: Waiter) -> TriggerEvent:
        """Wait with one watch, until everything is found or the time is over."""
        watch = await self._join(waiter)
        report = Report(self.log, watch)
        try:
            while waiter.missing:
                if self._unjudged and self.fail_fast:
                    found = await self._look(watch, list(self._unjudged))
                    if found.failed(self.on_partial):
                        return TriggerEvent(FOUND)
                    self._unjudged.clear()
                if self._remaining() <= 0:
                    asked_at = max((watch.asked.get(each, 0.0) for each in waiter.missing), default=0.0)
                    return self._timed_out(waiter, asked_at or None)
                report.tell(f"{len(waiter.missing)} VOD task(s), such as {next(iter(waiter.missing), None)},")
                self._unjudged |= set(await waiter.next(min(self._remaining(), report.pause())))
        finally:
            watch.discard(waiter)
        return await self._found(watch)

    def _timed_out(self, waiter: Waiter, asked_at: float | None = None) -> TriggerEvent:
        return TriggerEvent({"status": "timeout", "missing": len(waiter.missing), "asked_at": asked_at})

    async def _found(self, watch: Watch) -> TriggerEvent:
        """Everything is in the inbox: hand over to the worker, or end the task here if that was asked for."""
        if not self.end_from_trigger:
            return TriggerEvent(FOUND)
        found = await self._look(watch, vod_task_ids(self.vod_task_id))
        if found.failed(self.on_partial) or not found.complete:
            return TriggerEvent(FOUND)  # only a worker can fail a task with a reason
        try:
            await self._push(found.values())
        except Exception as error:
            self.log.warning("Cannot push the result from here, a worker will: %s", error)
            return TriggerEvent(FOUND)
        await asyncio.to_thread(found.mark_read, watch.store, self._name())
        return TaskSuccessEvent()

    async def _look(self, watch: Watch, ids: Sequence[str]) -> FinishedTasks:
        return await asyncio.to_thread(look, watch.store, watch.queue, ids, self.event_types)

    async def _push(self, values: list[dict[str, Any]]) -> None:
        """Push the result as the task would: what `TaskSuccessEvent` itself pushes arrives downstream as JSON text."""
        if not self.do_xcom_push:
            return
        from airflow.sdk.execution_time.xcom import XCom

        ti = self.task_instance
        if ti is None:
            raise VodError("the trigger does not know its task instance")
        single = isinstance(self.vod_task_id, str)
        await XCom.aset(
            "return_value",
            values[0] if single else values,
            dag_id=ti.dag_id,
            task_id=ti.task_id,
            run_id=ti.run_id,
            map_index=-1 if ti.map_index is None else ti.map_index,
            _mapped_length=None if single else len(values),
        )


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else list(value)


def _error(error: VodError) -> TriggerEvent:
    return TriggerEvent({"status": "error", "error": error_to_dict(error)})
