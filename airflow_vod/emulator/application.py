"""One VOD application (a SubAppId): its queue, its event configuration and its tasks, isolated from all others.

Invariant: an event published in PULL mode goes to the queue, one published in PUSH mode to the callback URL, never to both.

Source: VOD API 2018-07-17, SubAppId; "sub-applications behave like separate VOD accounts".
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pydantic.alias_generators import to_pascal

from airflow_vod.emulator.content import event_body
from airflow_vod.emulator.errors import ApiError
from airflow_vod.emulator.queue import EventQueue
from airflow_vod.emulator.runner import TaskRunner
from airflow_vod.emulator.sessions import Sessions
from airflow_vod.emulator.starts import Start, Starts
from airflow_vod.emulator.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_vod.emulator.options import EmulatorOptions
    from airflow_vod.emulator.queue import QueueCounts
    from airflow_vod.emulator.schedule import Schedule
    from airflow_vod.emulator.starter import Starter


@dataclass(slots=True)
class EventConfig:
    """How an application is notified of events; the field names are the API's, in snake case."""

    mode: str
    notification_url: str = ""
    upload_media_complete_event_switch: str = "OFF"
    delete_media_complete_event_switch: str = "OFF"
    persistence_complete_event_switch: str = "OFF"
    sign_key: str = ""

    def describe(self) -> dict[str, str]:
        """:return: the members of DescribeEventConfig's answer; the key that signs callbacks is never shown."""
        return {to_pascal(name): value for name, value in asdict(self).items() if name != "sign_key"}


class Application:
    """State of one SubAppId. Not thread-safe: its owner holds a lock.

    :param sub_app_id: 0 for the primary application.
    :param schedule: the emulator's time.
    :param options: of the emulator.
    :param push: sends the callbacks of an event.
    :param starts: where the tasks that requests start are logged; by default a log of its own.
    :param sessions: the SessionIds used so far; by default its own.
    """

    def __init__(
        self,
        sub_app_id: int,
        schedule: Schedule,
        options: EmulatorOptions,
        push: Callable[[Application, Mapping[str, Any]], None] = lambda application, event: None,
        *,
        starts: Starts | None = None,
        sessions: Sessions | None = None,
    ) -> None:
        self.sub_app_id = sub_app_id
        self.options = options
        self.queue = EventQueue(schedule, options)
        self.empty_queue = EventQueue(schedule, options)
        """Never gets an event: stands in for the queue in PUSH mode."""
        self.config = EventConfig(options.mode, options.notification_url, sign_key=options.sign_key)
        self.tasks = Tasks(schedule, options.task_lookback)
        self.runner = TaskRunner(sub_app_id, schedule, options, self.tasks, self.publish)
        self.pushed = 0
        self._schedule = schedule
        self._push = push
        self._starts = Starts(options.calls_kept) if starts is None else starts
        self._sessions = Sessions(schedule) if sessions is None else sessions
        self._events_to_pull = 0
        self._counted_at: float | None = None

    def publish(self, event: Mapping[str, Any]) -> None:
        """Publish an event.

        :param event: as an item of ``EventSet``, without handle.
        """
        if self.config.mode == "PUSH":
            self.pushed += 1
            self._push(self, event)
            return
        self.queue.publish(event_body(event, null_fields=self.options.null_fields))

    def counts(self) -> QueueCounts:
        """:return: the queue's counts."""
        return self.queue.counts(self.pushed)

    def events_to_pull(self) -> int:
        """:return: the answer of DescribeEventsState: the number of visible events, `state_staleness` seconds old at most."""
        now = self._schedule.now()
        if self._counted_at is None or now - self._counted_at >= self.options.state_staleness:
            self._counted_at, self._events_to_pull = now, self.queue.counts().visible
        return self._events_to_pull

    def use_session(self, starter: Starter, session_id: str) -> None:
        """Use a SessionId.

        :param starter: the action that it is given to.
        :param session_id: empty if the request has none, which is never a duplicate.
        :raises ApiError: when it was used before.
        """
        if not session_id or not starter.takes_session:
            return
        key = (starter.action if self.options.session_per_action else "", session_id)
        window = starter.window if self.options.session_window is None else self.options.session_window
        if self._sessions.used(key, window):
            raise ApiError(self.options.duplicate_code or starter.duplicate, "The session id was used before.")
        self._sessions.remember(key)

    def note_start(self, action: str, session_id: str, vod_task_id: str) -> None:
        """Log that a request has started a task.

        :param action: of the request.
        :param session_id: of the request.
        :param vod_task_id: of the task.
        """
        self._starts.add(Start(action, self.sub_app_id, session_id, vod_task_id, self._schedule.now()))

    def announce_persistence(self, file_id: str, source: str) -> None:
        """Publish that a clip has been made permanent, if the application wants to know.

        :param file_id: of the new file.
        :param source: the action that made it.
        """
        if self.config.persistence_complete_event_switch == "ON":
            payload = {"FileId": file_id, "PersistenceSource": source}
            self.publish({"EventType": "PersistenceComplete", "PersistenceCompleteEvent": payload})
