"""What the inbox knows about VOD tasks and events that somebody waits for.

Invariant: every kind of wait looks here, so the same events always have the same outcome.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_vod.events.parse import is_identifier
from airflow_vod.events.results import Outcome, TaskResult, result_of
from airflow_vod.exceptions import EventParseError, ResultError, VodSettingsError

if TYPE_CHECKING:
    from airflow_vod.events.matching import EventMatch
    from airflow_vod.inbox import InboxStore, StoredEvent

_PAGE = 100  # events whose bodies are read at once


@dataclass(frozen=True, slots=True)
class FinishedTasks:
    """The results of the VOD tasks that have ended.

    :param wanted: all tasks that were asked for, in the order given.
    :param events: the event that ended each task, by VOD task id.
    :param results: what each task produced, by VOD task id.
    """

    wanted: tuple[str, ...]
    events: dict[str, StoredEvent]
    results: dict[str, TaskResult]

    @property
    def complete(self) -> bool:
        """Whether every task has ended."""
        return all(vod_task_id in self.results for vod_task_id in self.wanted)

    @property
    def missing(self) -> list[str]:
        """The tasks that have not ended."""
        return [vod_task_id for vod_task_id in self.wanted if vod_task_id not in self.results]

    def failed(self, on_partial: str) -> list[TaskResult]:
        """List the results of tasks that failed.

        :param on_partial: ``fail`` includes tasks that failed in part; ``succeed`` does not.
        """
        counts = {Outcome.FAILED} | ({Outcome.PARTLY_FAILED} if on_partial == "fail" else set())
        return [result for result in self.results.values() if result.outcome in counts]

    def values(self) -> list[dict[str, Any]]:
        """:return: the results as they go into XCom, in the order asked for. Call it only when `complete`."""
        return [self.results[vod_task_id].to_dict() for vod_task_id in self.wanted]

    def mark_read(self, store: InboxStore, reader: str) -> None:
        """Record in the inbox who took these results.

        :param store: the inbox.
        :param reader: who, for people.
        :raises InboxUnavailableError: not all of them are marked; try again.
        """
        if self.events:
            queue = next(iter(self.events.values())).queue
            store.mark_read(queue, [event.position for event in self.events.values()], reader)


def look(
    store: InboxStore, queue: str, vod_task_ids: Sequence[str], event_types: Collection[str] | None = None
) -> FinishedTasks:
    """Look up VOD tasks in the inbox.

    :param store: the inbox.
    :param queue: name of the VOD queue.
    :param vod_task_ids: the tasks.
    :param event_types: event types that count; None for any that ends a task.
    :raises InboxUnavailableError: the database does not answer now.
    """
    events = store.find(queue, set(vod_task_ids), event_types)
    results = {vod_task_id: result_of(event.event()) for vod_task_id, event in events.items()}
    return FinishedTasks(tuple(vod_task_ids), events, results)


def vod_task_ids(value: Any) -> list[str]:
    """Check ids of VOD tasks after templating.

    :param value: an id, or a sequence of ids.
    :return: the ids as a list.
    :raises VodSettingsError: an id is blank, is not a string, or cannot be an id; the message shows it.
    """
    ids = [value] if isinstance(value, str) or not isinstance(value, Sequence) else list(value)
    for vod_task_id in ids:
        # A template renders a missing XCom as "None".
        if not isinstance(vod_task_id, str) or vod_task_id.strip() in ("", "None") or not is_identifier(vod_task_id):
            raise VodSettingsError(
                f"vod_task_id is {vod_task_id!r:.300} after templating, but must be the id that VOD gave the task. "
                "Check the template, or the task whose output it takes."
            )
        if vod_task_id.lstrip()[:1] in ("[", "{", "("):
            raise VodSettingsError(
                f"vod_task_id is {vod_task_id!r:.300} after templating: a list or dictionary that a template rendered as text. "
                "Give the task's own output, `task.output`, or set render_template_as_native_obj=True on the DAG."
            )
    if not ids:
        raise VodSettingsError("vod_task_id is an empty list: there is nothing to wait for.")
    return ids


def task_name(ti: Any) -> str:
    """Name a task instance for people: ``dag/run/task``, with its index if it is mapped."""
    index = f"[{ti.map_index}]" if ti.map_index is not None and ti.map_index >= 0 else ""
    return f"{ti.dag_id}/{ti.run_id}/{ti.task_id}{index}"


def next_event(
    store: InboxStore, queue: str, match: EventMatch, *, since: float, after: int = 0
) -> tuple[StoredEvent | None, int]:
    """Find the first event that matches.

    :param store: the inbox.
    :param queue: name of the VOD queue.
    :param match: what an event must be like.
    :param since: Unix seconds; only events received then or later.
    :param after: the position up to which events have been examined already.
    :return: the event, if there is one, and the position up to which events have now been examined.
    :raises InboxUnavailableError: the database does not answer now.
    """
    while page := store.candidates(queue, after=after, since=since, limit=_PAGE, **match.columns()):
        for stored in page:
            if takes(match, stored):
                return stored, stored.position
        after = page[-1].position
    return None, after


SMALL = 8_000
"""Characters of JSON that a trigger may carry through Airflow's logs and metadata database."""


def event_to_dict(stored: StoredEvent) -> dict[str, Any]:
    """Convert an event to a dictionary that can be written as JSON, for whoever waited for it.

    ``key`` is the same for every copy of the event. ``queue`` and ``position`` say where it is in the inbox,
    ``received_at`` when it was received (Unix seconds). ``payload`` is its content under VOD's names; ``result`` is what the
    finished VOD task produced (see `airflow_vod.events.results.TaskResult.to_dict`), None for events that end no task.

    :param stored: an event that could be parsed.
    """
    event = stored.event()
    try:
        result = result_of(event).to_dict()
    except ResultError:
        result = None
    return {
        "key": stored.key,
        "event_type": event.event_type,
        "vod_task_id": event.vod_task_id,
        "file_id": event.file_id,
        "status": event.status,
        "queue": stored.queue,
        "position": stored.position,
        "received_at": stored.received_at,
        "payload": dict(event.payload),
        "result": result,
    }


def event_to_small_dict(stored: StoredEvent) -> dict[str, Any]:
    """Convert an event as `event_to_dict` does, but omit ``payload``, and then ``result``, if it would exceed `SMALL`."""
    event = event_to_dict(stored)
    for name in ("payload", "result"):
        if len(json.dumps(event)) > SMALL:
            event[name] = None
    return event


def takes(match: EventMatch, stored: StoredEvent) -> bool:
    """Say whether a stored event matches; one that this version cannot parse does not."""
    try:
        return match.counts(stored.event())
    except EventParseError:
        return False
