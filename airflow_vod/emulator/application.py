"""One VOD application (a SubAppId): its queue, its event configuration and its tasks, isolated from all others.

Invariant: an event published in PULL mode goes to the queue, one published in PUSH mode to the callback URL, never to both;
one whose switch is OFF goes nowhere.

Source: VOD API 2018-07-17, SubAppId; "sub-applications behave like separate VOD accounts"; ModifyEventConfig for the switches.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pydantic.alias_generators import to_pascal

from airflow_vod.emulator import editing
from airflow_vod.emulator.content import event_body
from airflow_vod.emulator.errors import ApiError
from airflow_vod.emulator.media import MediaLibrary
from airflow_vod.emulator.queue import EventQueue
from airflow_vod.emulator.tasks import Task, Tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_vod.emulator.options import EmulatorOptions
    from airflow_vod.emulator.parameters import EditMedia
    from airflow_vod.emulator.queue import QueueCounts
    from airflow_vod.emulator.schedule import Schedule

log = logging.getLogger(__name__)

_SWITCHES = {
    "NewFileUpload": "upload_media_complete_event_switch",
    "FileDeleted": "delete_media_complete_event_switch",
    "PersistenceComplete": "persistence_complete_event_switch",
}
"""The event types that ModifyEventConfig switches, and the field of `EventConfig`. All others are always published."""
SESSION_MEMORY = 3 * 86400.0
"""Seconds during which a ``SessionId`` must not be reused (EditMedia's request text; its result text says 7 days)."""


@dataclass(slots=True)
class EventConfig:
    """How an application is notified of events; the field names are the API's, in snake case."""

    mode: str
    notification_url: str = ""
    upload_media_complete_event_switch: str = "OFF"
    delete_media_complete_event_switch: str = "OFF"
    persistence_complete_event_switch: str = "OFF"
    sign_key: str = ""

    def switch_off(self, event_type: object) -> str | None:
        """:return: the API's name of the switch that keeps events of this type from being published; None if none does."""
        name = _SWITCHES.get(str(event_type))
        return to_pascal(name) if name and getattr(self, name) != "ON" else None

    def describe(self) -> dict[str, str]:
        """:return: the members of DescribeEventConfig's answer; the key that signs callbacks is never shown."""
        return {to_pascal(name): value for name, value in asdict(self).items() if name != "sign_key"}


class Application:
    """State of one SubAppId. Not thread-safe: its owner holds a lock.

    :param sub_app_id: 0 for the primary application.
    :param schedule: the emulator's time.
    :param options: of the emulator.
    :param push: sends the callbacks of an event.
    :param media: the media files of all applications; by default of none.
    """

    def __init__(
        self,
        sub_app_id: int,
        schedule: Schedule,
        options: EmulatorOptions,
        push: Callable[[Application, Mapping[str, Any]], None] = lambda application, event: None,
        media: MediaLibrary | None = None,
    ) -> None:
        self.sub_app_id = sub_app_id
        self.options = options
        self.media = media or MediaLibrary()
        self.queue = EventQueue(schedule, options)
        self.empty_queue = EventQueue(schedule, options)
        """Never gets an event: stands in for the queue in PUSH mode."""
        switches = dict.fromkeys(_SWITCHES.values(), options.event_switches)
        self.config = EventConfig(options.mode, options.notification_url, sign_key=options.sign_key, **switches)
        self.tasks = Tasks(schedule, options.task_lookback)
        self.edit_failure = options.edit_failure
        self.pushed = 0
        self._schedule = schedule
        self._push = push
        self._session_used_at: dict[str, float] = {}
        self._events_to_pull = 0
        self._counted_at: float | None = None

    def publish(self, event: Mapping[str, Any]) -> str | None:
        """Publish an event, unless its switch is OFF.

        :param event: as an item of ``EventSet``, without handle.
        :return: the switch that kept it from being published; None if it was published.
        """
        if switch := self.config.switch_off(event.get("EventType")):
            log.warning(
                "%s was not published: %s is OFF, as it is in VOD until ModifyEventConfig turns it ON. In the emulator, "
                "EmulatorOptions(event_switches='ON') or --event-switches ON does so from the start.",
                event["EventType"],
                switch,
            )
            return switch
        if self.config.mode == "PUSH":
            self.pushed += 1
            self._push(self, event)
        else:
            self.queue.publish(event_body(event, null_fields=self.options.null_fields))
        return None

    def counts(self) -> QueueCounts:
        """:return: the queue's counts."""
        return self.queue.counts(self.pushed)

    def events_to_pull(self) -> int:
        """:return: the answer of DescribeEventsState: the number of visible events, `state_staleness` seconds old at most."""
        now = self._schedule.now()
        if self._counted_at is None or now - self._counted_at >= self.options.state_staleness:
            self._counted_at, self._events_to_pull = now, self.queue.counts().visible
        return self._events_to_pull

    def submit_edit(self, params: EditMedia) -> str:
        """Start an EditMedia task, which ends by itself and publishes its event.

        :param params: of the call.
        :return: its VOD task id.
        :raises ApiError: when the SessionId was used before.
        """
        self._remember_session(params.session_id)
        now = self._schedule.now()
        vod_task_id = editing.new_task_id(self.sub_app_id)
        detail = editing.running(vod_task_id, params)
        task = Task(vod_task_id, "EditMedia", "PROCESSING", now, detail, began_at=now)
        failure = self.edit_failure
        end = editing.failed(detail, failure) if failure else editing.succeeded(detail, params, self.sub_app_id)
        if not failure and self.options.serve_media:
            end = self._with_media(end)
        self.tasks.add(task)
        self._schedule.after(self.options.edit_seconds, lambda: self._finish(task, end))
        return vod_task_id

    def _with_media(self, detail: Mapping[str, Any]) -> dict[str, Any]:
        """Let the output of an edit be a file that can be downloaded."""
        output, about = detail["Output"], detail["MetaData"]
        file = self.media.add(
            output["FileUrl"].rpartition("/")[2],
            file_id=output["FileId"],
            size=about["Size"],
            sub_app_id=self.sub_app_id,
            duration=about["Duration"],
            created_at=self._schedule.now(),
        )
        return {**detail, "Output": {**output, "FileUrl": file.url}, "MetaData": {**about, "Md5": file.md5}}

    def _finish(self, task: Task, detail: Mapping[str, Any]) -> None:
        task.status, task.detail, task.finished_at = "FINISH", detail, self._schedule.now()
        self.publish({"EventType": "EditMediaComplete", "EditMediaCompleteEvent": detail})

    def _remember_session(self, session_id: str) -> None:
        if not session_id:
            return
        now = self._schedule.now()
        if now - self._session_used_at.get(session_id, float("-inf")) < SESSION_MEMORY:
            raise ApiError("InvalidParameterValue.SessionId", "The session id was used before.")
        self._session_used_at[session_id] = now
