"""What waits in the triggerer for a VOD task that this Airflow task has started.

Invariant: the VOD task is aborted only where Airflow no longer wants it: neither a triggerer that lost its triggers to another,
nor a task that waits again already, aborts anything.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow_vod.hooks.version_compat import AIRFLOW_V_3_3_PLUS
from airflow_vod.triggers.vod import VodTaskTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.triggers.base import TriggerEvent

    from airflow_vod.inbox import InboxStore
    from airflow_vod.tencent.settings import VodSettings


class VodSubmittedTaskTrigger(VodTaskTrigger):
    """Waits as `VodTaskTrigger` does, and aborts the VOD task where Airflow's task is ended by a user meanwhile.

    :param submission_key: of the submission that started the VOD task.
    :param attempt: the try of the Airflow task that waits.
    :param abort_on_kill: whether to abort it.
    :param kwargs: what `VodTaskTrigger` takes.
    """

    def __init__(self, *, submission_key: str, attempt: int, abort_on_kill: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.submission_key = submission_key
        self.attempt = attempt
        self.abort_on_kill = abort_on_kill
        self._fired = False

    def _arguments(self) -> dict[str, Any]:
        own = {
            "submission_key": self.submission_key,
            "attempt": self.attempt,
            "abort_on_kill": self.abort_on_kill,
        }
        return super()._arguments() | own

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the one event."""
        async for event in super().run():
            self._fired = True
            yield event

    async def cleanup(self) -> None:
        """Stand in for `on_kill` before Airflow 3.3, which calls only this, and whenever a trigger ends."""
        if not (AIRFLOW_V_3_3_PLUS or self._fired):
            await self.on_kill()

    async def on_kill(self) -> None:
        """Abort the VOD task; Airflow 3.3 and newer calls this when a user ends or clears the deferred task.

        It also does so in a triggerer that was stalled while another one took over: then the task is deferred as before.
        """
        if self.abort_on_kill and not await self._is_deferred():
            settings = self.watch.settings if self.watch else await self._settings()
            await asyncio.to_thread(self._abort, settings, self.watch.inbox if self.watch else None)

    async def _is_deferred(self) -> bool:
        """Say whether the Airflow task still waits in a triggerer."""
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
        from asgiref.sync import sync_to_async

        ti = self.task_instance
        if ti is None:
            return True  # nobody can tell: harm nothing
        states = await sync_to_async(RuntimeTaskInstance.get_task_states)(
            dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
        )
        return "deferred" in [str(state) for tasks in states.values() for state in tasks.values()]

    async def _settings(self) -> VodSettings:
        from airflow_vod.hooks.vod import VodHook

        return await VodHook(self.vod_conn_id, sub_app_id=self.sub_app_id).aget_settings()

    def _abort(self, settings: VodSettings, inbox: InboxStore | None) -> None:
        from airflow_vod.hooks.config import inbox_url, open_inbox
        from airflow_vod.submission import abort_task

        abort_task(
            settings,
            inbox or open_inbox(inbox_url()),
            self.submission_key,
            "its Airflow task was ended while it was deferred",
            attempt=self.attempt,
        )
