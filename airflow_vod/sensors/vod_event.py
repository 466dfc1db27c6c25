"""A sensor that waits for the next event of VOD that says what the user wants to hear.

Invariant: what counts is decided by `airflow_vod.events.matching` alone and looked for in the inbox alone, from a point in
time on; so in every mode the same event ends the wait, whether it comes before the sensor or after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import PokeReturnValue

from airflow_vod.events.matching import EventMatch, seconds_of
from airflow_vod.inbox.lookup import event_to_dict, next_event, task_name
from airflow_vod.sensors.base import VodSensor

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_vod.inbox import StoredEvent
    from airflow_vod.triggers.vod_event import VodNextEventTrigger


class VodEventSensor(VodSensor):
    """Waits for the next event that matches, and returns it.

    For events that have no VOD task id: an upload, a deletion, a persistence, a cast. The event is a dictionary with the
    keys ``key``, ``event_type``, ``vod_task_id``, ``file_id``, ``status``, ``queue``, ``position``, ``received_at`` (Unix
    seconds), ``payload`` and ``result``, see `airflow_vod.inbox.lookup.event_to_dict`. The sensor takes an event as it is, also
    one that reports a failure.

    :param event_type: event type that counts, or several; None for any.
    :param match: what the event must say: ``file_id``, ``vod_task_id``, ``session_id``, ``session_context``, ``source``
        (such as ``Upload``), ``source_context``, and any path in the payload, such as ``MediaBasicInfo.Name``, with the
        value that must be there. Values compare as strings, exactly; several must all be there. Templated.
    :param since: events that came before count as past. ISO 8601, a datetime or Unix seconds; UTC where it names no time
        zone. The default is when the DAG run was due: an event that came between that and the start of the sensor is
        found, also after the task is cleared, and one of an earlier run is not. Templated.
    :param vod_conn_id: Airflow connection to the VOD application.
    :param sub_app_id: another application of the same account than the connection's.
    :param deferrable: wait in the triggerer instead of on a worker. ``[operators] default_deferrable`` sets the default.
    :param poke_interval: seconds between two looks in the mode ``reschedule``, at least 15. In every other mode an event is
        noticed at once; there it is only the pause before a wait that broke begins anew, with ``silent_fail``.
    """

    template_fields: Sequence[str] = ("event_type", "match", "since", "vod_conn_id", "sub_app_id")

    def __init__(
        self,
        *,
        event_type: str | Sequence[str] | None = None,
        match: Mapping[str, Any] | None = None,
        since: Any = "{{ dag_run.run_after }}",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if _is_known(event_type):
            EventMatch.of(event_type)  # a wrong one shows when the DAG is parsed
        self.event_type = event_type
        self.match = match
        self.since = since

    _looked_up_to = 0
    _found: StoredEvent | None = None

    def event_page_query(self) -> dict[str, str]:
        """Tell the event that was found, by its ids; before that, what is known of the one that is waited for."""
        if (found := self._found) is not None:
            return {"search": found.vod_task_id or found.file_id or "", "event_type": found.event_type or ""}
        wanted = self._match
        about = wanted.get("vod_task_id") or wanted.get("file_id")
        return {"search": about or "", "event_type": wanted.event_types[0] if len(wanted.event_types) == 1 else ""}

    @cached_property
    def _match(self) -> EventMatch:
        return EventMatch.of(self.event_type, self.match)

    @cached_property
    def _since(self) -> float:
        return seconds_of(self.since)

    def _listed_for(self) -> Sequence[str | None]:
        return (self._match.get("vod_task_id"),)

    def _look(self, context: Context) -> PokeReturnValue | None:
        event = self._next_event()
        return self._end_with(context, event) if event else None

    def _next_event(self) -> StoredEvent | None:
        match, since = self._match, self._since  # wrong ones are an error before anything is read
        event, position = next_event(self._inbox, self._queue, match, since=since, after=self._looked_up_to)
        if event is None:
            self._looked_up_to = position
        return event

    def _end_with(self, context: Context, event: StoredEvent) -> PokeReturnValue:
        self.log.info("Found %s, position %d of the inbox", event.event_type, event.position)
        self._inbox.mark_read(event.queue, [event.position], task_name(context["ti"]))
        self._found = event
        return PokeReturnValue(is_done=True, xcom_value=event_to_dict(event))

    def _trigger(self, context: Context, deadline_at: float) -> VodNextEventTrigger:
        from airflow_vod.triggers.vod_event import VodNextEventTrigger

        return VodNextEventTrigger(
            event_type=list(self._match.event_types) or None,
            match=dict(self._match.fields),
            since=self._since,
            vod_conn_id=self.vod_conn_id,
            sub_app_id=self.sub_app_id,
            deadline=deadline_at,
            waiter=task_name(context["ti"]),
            silent_fail=self.silent_fail,
        )

    def _take(self, context: Context, event: dict[str, Any]) -> PokeReturnValue | None:
        stored = self._inbox.get(event["queue"], event["position"])
        return self._end_with(context, stored) if stored else None

    def _wanted(self) -> str:
        return f"{self._match} since {self.since}"

    def _timeout_message(self, event: dict[str, Any]) -> str:
        return f"After {self.timeout:g} s, no event has come that is {self._wanted()}."


def _is_known(event_type: Any) -> bool:
    """Whether an argument holds no template and nothing that Airflow has yet to resolve."""
    each = event_type if isinstance(event_type, (list, tuple, set, frozenset)) else [event_type]
    return not any(hasattr(name, "resolve") or (isinstance(name, str) and "{" in name) for name in each)
