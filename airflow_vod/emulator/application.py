"""One VOD application (a SubAppId): its queue, its event configuration and its tasks, isolated from all others.

Invariant: an event published in PULL mode goes into the queue, one published in PUSH mode to the callback URL: the modes are
exclusive.

Source: VOD API 2018-07-17, SubAppId; "sub-applications behave like separate VOD accounts".
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from airflow_vod.emulator import editing
from airflow_vod.emulator.content import event_body
from airflow_vod.emulator.errors import ApiError
from airflow_vod.emulator.queue import EventQueue
from airflow_vod.emulator.tasks import Task, Tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_vod.emulator.options import EmulatorOptions
    from airflow_vod.emulator.queue import QueueCounts
    from airflow_vod.emulator.schedule import Schedule

SESSION_MEMORY = 3 * 86400.0
"""Seconds in which a ``SessionId`` may not come again (EditMedia's request text; its result text says 7 days)."""


@dataclass(slots=True)
class EventConfig:
    """How an application is told of events; the field names are the API's, in our spelling."""

    mode: str
    notification_url: str = ""
    upload_media_complete_event_switch: str = "OFF"
    delete_media_complete_event_switch: str = "OFF"
    persistence_complete_event_switch: str = "OFF"
    sign_key: str = ""

    def describe(self) -> dict[str, str]:
        """:return: the members of DescribeEventConfig's answer; the key for signing callbacks is never shown."""
        named = {"".join(word.capitalize() for word in name.split("_")): value for name, value in asdict(self).items()}
        del named["SignKey"]
        return named


class Application:
    """State of one SubAppId. Not thread-safe: whoever owns it holds a lock.

    :param sub_app_id: 0 for the primary application.
    :param schedule: tells the time and calls back.
    :param options: of the emulator.
    :param push: makes the callbacks of an event.
    """

    def __init__(
        self,
        sub_app_id: int,
        schedule: Schedule,
        options: EmulatorOptions,
        push: Callable[[Application, Mapping[str, Any]], None] = lambda application, event: None,
    ) -> None:
        self.sub_app_id = sub_app_id
        self.options = options
        self.queue = EventQueue(schedule, options)
        self.silence = EventQueue(schedule, options)
        """A queue that nothing ever comes into: what is pulled from in PUSH mode."""
        self.config = EventConfig(options.mode, options.notification_url, sign_key=options.sign_key)
        self.tasks = Tasks(schedule, options.task_lookback)
        self.edit_failure = options.edit_failure
        self.pushed = 0
        self._schedule = schedule
        self._push = push
        self._sessions: dict[str, float] = {}
        self._state: tuple[float, int] | None = None

    def publish(self, event: Mapping[str, Any]) -> None:
        """Let an event happen.

        :param event: as an item of ``EventSet``, without handle.
        """
        if self.config.mode == "PUSH":
            self.pushed += 1
            self._push(self, event)
            return
        self.queue.publish(event_body(event, null_fields=self.options.null_fields))

    def counts(self) -> QueueCounts:
        """:return: the queue's numbers."""
        return self.queue.counts(self.pushed)

    def events_to_pull(self) -> int:
        """:return: what DescribeEventsState says: the number of visible events, as it was a while ago."""
        now = self._schedule.now()
        if self._state is None or now - self._state[0] >= self.options.state_staleness:
            self._state = (now, self.queue.counts().visible)
        return self._state[1]

    def submit_edit(self, params: Mapping[str, Any]) -> str:
        """Start an EditMedia task, which ends by itself and announces it.

        :param params: of the call.
        :return: its VOD task id.
        :raises ApiError: when the SessionId was there before.
        """
        self._remember_session(params.get("SessionId"))
        now = self._schedule.now()
        vod_task_id = editing.new_task_id(self.sub_app_id)
        detail = editing.running(vod_task_id, params)
        task = Task(vod_task_id, "EditMedia", "PROCESSING", now, detail, began_at=now)
        failure = self.edit_failure
        end = editing.failed(detail, failure) if failure else editing.succeeded(detail, params, self.sub_app_id)
        self.tasks.add(task)
        self._schedule.after(self.options.edit_seconds, lambda: self._finish(task, end))
        return vod_task_id

    def _finish(self, task: Task, detail: Mapping[str, Any]) -> None:
        task.status, task.detail, task.finished_at = "FINISH", detail, self._schedule.now()
        self.publish({"EventType": "EditMediaComplete", "EditMediaCompleteEvent": detail})

    def _remember_session(self, session_id: str | None) -> None:
        if not session_id:
            return
        now = self._schedule.now()
        if now - self._sessions.get(session_id, float("-inf")) < SESSION_MEMORY:
            raise ApiError("InvalidParameterValue.SessionId", "The session id was used before.")
        self._sessions[session_id] = now
