"""What waits in the triggerer while a sensor is deferred, and on a worker while it is not: the end of VOD tasks.

Invariant: every wait for VOD tasks, in every mode, uses this trigger; the result itself stays in the inbox.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from airflow_vod.events.matching import EventMatch
from airflow_vod.exceptions import VodError
from airflow_vod.inbox.lookup import FinishedTasks, look, vod_task_ids
from airflow_vod.triggers.base import VodWaitTrigger
from airflow_vod.waiting.trouble import moment_in_words

if TYPE_CHECKING:
    from airflow_vod.waiting.waiter import TaskWaiter
    from airflow_vod.waiting.watch import Watch

FOUND = {"status": "found"}


class VodTaskTrigger(VodWaitTrigger):
    """Waits until VOD tasks have ended: until the inbox holds an event that says so for each of them.

    Its event is ``{"status": "found"}``, ``{"status": "timeout", "missing": …, "asked_at": …, "answer": …}`` (how many tasks
    have not ended, when VOD was last asked about one of them, and what it said; with ``"trouble"`` if something disturbed the
    wait) or ``{"status": "error", "error": …}``; the result itself stays in the inbox, where the task reads it.

    :param vod_task_id: id of the VOD task, or a list of ids; compared exactly.
    :param event_types: event types that count; None for any that ends a task; none at all says that VOD announces no end of
        these tasks, so that they are asked about every few seconds.
    :param on_partial: as at the sensor: whether a task that failed in part counts as failed.
    :param fail_fast: whether the first failed task ends the wait for the others.
    :param end_from_trigger: whether success ends the task here, with the result pushed to XCom, instead of on a worker.
    :param do_xcom_push: whether there is a result to push then.
    :param asked_at: when VOD itself was asked about the tasks before this wait, in Unix seconds; None for never.
    :param answer: what it said then, in words.
    :param unannounced: those of the tasks of which VOD announces no end, by what it said of them.
    :param kwargs: what `VodWaitTrigger` takes.
    """

    def __init__(
        self,
        *,
        vod_task_id: str | Sequence[str],
        event_types: Sequence[str] | None = None,
        on_partial: str = "fail",
        fail_fast: bool = True,
        end_from_trigger: bool = False,
        do_xcom_push: bool = True,
        asked_at: float | None = None,
        answer: str | None = None,
        unannounced: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vod_task_id = vod_task_id
        self.event_types = event_types
        self.on_partial = on_partial
        self.fail_fast = fail_fast
        self.end_from_trigger = end_from_trigger
        self.do_xcom_push = do_xcom_push
        self.asked_at = asked_at
        self.answer = answer
        self.unannounced = unannounced
        self._unjudged: set[str] = set()  # ended, but their outcome has not been read yet

    def _arguments(self) -> dict[str, Any]:
        return {
            "vod_task_id": _plain(self.vod_task_id),
            "event_types": _plain(self.event_types),
            "on_partial": self.on_partial,
            "fail_fast": self.fail_fast,
            "end_from_trigger": self.end_from_trigger,
            "do_xcom_push": self.do_xcom_push,
            "asked_at": self.asked_at,
            "answer": self.answer,
            "unannounced": _plain(self.unannounced),
        }

    def _make_waiter(self) -> TaskWaiter:
        from airflow_vod.waiting.waiter import TaskWaiter

        ids = vod_task_ids(self.vod_task_id)
        return TaskWaiter(
            ids,
            EventMatch.of(self.event_types or None).event_types,
            name=self._name(),
            deadline_at=self._ends_at(),
            asked_at=self.asked_at,
            answer=self.answer,
            unannounced=self.unannounced if self.event_types is None or self.event_types else ids,
        )

    def _wanted(self, waiter: TaskWaiter) -> str:
        return f"{len(waiter.missing)} VOD task(s), such as {next(iter(waiter.missing), None)},"

    def _known(self, waiter: TaskWaiter) -> str:
        return f"{waiter.answer} ({moment_in_words(waiter.asked_at)})" if waiter.answer and waiter.asked_at else ""

    def _has_something(self, waiter: TaskWaiter) -> bool:
        return len(waiter.missing) < len(waiter.vod_task_ids) if self.fail_fast else not waiter.missing

    async def _ended(self, watch: Watch, waiter: TaskWaiter, news: Collection[str] | None) -> TriggerEvent | None:
        self._unjudged |= set(news or ())
        if not waiter.missing:
            return await self._found(watch)
        if self._unjudged and self.fail_fast:
            ended = await self._look(watch, list(self._unjudged))
            if ended.failed(self.on_partial):
                return TriggerEvent(FOUND)
            self._unjudged.clear()
        return None

    def _timed_out(self, waiter: TaskWaiter | None) -> TriggerEvent:
        missing = len(waiter.missing) if waiter else len(vod_task_ids(self.vod_task_id))
        asked_at, answer = (waiter.asked_at, waiter.answer) if waiter else (self.asked_at, self.answer)
        return self._timeout(missing=missing, asked_at=asked_at, answer=answer)

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
        await asyncio.to_thread(found.mark_read, watch.inbox, self._name())
        return TaskSuccessEvent()

    async def _look(self, watch: Watch, ids: Sequence[str]) -> FinishedTasks:
        return await asyncio.to_thread(look, watch.inbox, watch.queue, ids, self.event_types or None)

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
