"""Matching of events by type and content.

Invariant: sensors, triggers and asset watchers all match here, so an event matches for all of them or for none. Values
compare exactly, as strings; nothing is parsed out of an id.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from airflow_vod.events.paths import values_at
from airflow_vod.events.types import EVENT_TYPES
from airflow_vod.exceptions import VodSettingsError

if TYPE_CHECKING:
    from airflow_vod.events.parse import VodEvent

NAMES: Mapping[str, tuple[str, ...]] = {
    "vod_task_id": (),  # these two are attributes of the event, see `_values`
    "file_id": ("FileIdSet[]", "FileInfoSet[].FileId", "Output.FileInfos[].FileId"),
    "session_id": ("SessionId",),
    "session_context": ("SessionContext",),
    "source": ("MediaBasicInfo.SourceInfo.SourceType", "PersistenceSource"),
    "source_context": ("MediaBasicInfo.SourceInfo.SourceContext",),
}
"""Short names for common criteria, and their paths in payloads (VOD API 2018-07-17, EventContent and MediaSourceData)."""


class HeaderLike(Protocol):
    """The fields of an event that the inbox keeps in columns."""

    @property
    def event_type(self) -> str | None:
        """Such as ``ConcatComplete``; None for a body that could not be parsed."""

    @property
    def vod_task_id(self) -> str | None:
        """The VOD task that the event is about."""

    @property
    def file_id(self) -> str | None:
        """The one media file that the event is about."""


@dataclass(frozen=True, slots=True)
class EventMatch:
    """Criteria that an event must meet. Made by `EventMatch.of`.

    :param event_types: the accepted types, sorted; empty for any.
    :param fields: pairs of a name or path in the payload and the required value; sorted.
    """

    event_types: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, event_type: str | Sequence[str] | None = None, match: Mapping[str, Any] | None = None) -> EventMatch:
        """Validate the arguments of a user, after templating.

        :param event_type: one type, several, or None for any.
        :param match: the required value by name (`NAMES`) or by path in the payload, such as ``MediaBasicInfo.Name`` or
            ``FileInfoSet[].FileId`` (one of the values there must be equal).
        :raises VodSettingsError: an argument is not valid; the message names it and says why.
        """
        if not isinstance(match, Mapping) and match is not None:
            raise VodSettingsError(f"match is {match!r:.200}, but must be a dictionary such as {{'file_id': '5285…'}}.")
        fields = {_checked_name(name): _checked_value(name, value) for name, value in (match or {}).items()}
        return cls(tuple(sorted(set(_event_types(event_type)))), tuple(sorted(fields.items())))

    def may_count(self, header: HeaderLike) -> bool:
        """Whether an event may match, judging by its header alone."""
        if header.event_type is None or (self.event_types and header.event_type not in self.event_types):
            return False
        vod_task_id, file_id = self.get("vod_task_id"), self.get("file_id")
        if vod_task_id is not None and header.vod_task_id != vod_task_id:
            return False
        # An event about several files has no file id of its own.
        return file_id is None or header.file_id in (None, file_id)

    def counts(self, event: VodEvent) -> bool:
        """Whether an event matches."""
        if self.event_types and event.event_type not in self.event_types:
            return False
        return all(wanted in values_of(event, name) for name, wanted in self.fields)

    def get(self, name: str) -> str | None:
        """Return the required value for a name; None if any value is accepted."""
        return dict(self.fields).get(name)

    def columns(self) -> dict[str, Any]:
        """Return the criteria that the inbox can query, as arguments of `InboxStore.candidates`."""
        return {
            "event_types": self.event_types,
            "vod_task_id": self.get("vod_task_id"),
            "file_id": self.get("file_id"),
        }

    def __str__(self) -> str:
        types = " or ".join(self.event_types) or "any event"
        return types + "".join(f", {name} = {value!r:.80}" for name, value in self.fields)


def values_of(event: VodEvent, name: str) -> Iterator[str]:
    """Answer what an event says under a name, as it is compared.

    :param name: one of `NAMES`, or a path in the payload.
    """
    for value in _values_of(event, name):
        if (text := _text(value)) is not None:
            yield text


def _values_of(event: VodEvent, name: str) -> Iterator[Any]:
    match name:
        case "vod_task_id":
            yield event.vod_task_id
        case "file_id" if event.file_id is not None:
            yield event.file_id
        case _:
            for path in NAMES.get(name, (name,)):
                yield from values_at(event.payload, path)


def seconds_of(since: Any) -> float:
    """Convert a point in time to Unix seconds.

    :param since: Unix seconds (a number or its text), an ISO 8601 text, or a datetime; UTC if it has no time zone.
    :return: Unix seconds.
    :raises VodSettingsError: `since` is none of these.
    """
    try:
        if isinstance(since, str):
            since = since.strip()
            since = datetime.fromisoformat(since) if not _is_number(since) else float(since)
        if isinstance(since, datetime):
            return (since if since.tzinfo else since.replace(tzinfo=UTC)).timestamp()
        if isinstance(since, (int, float)) and not isinstance(since, bool) and 0 <= since < 1e11:
            return float(since)
    except (ValueError, OverflowError):
        pass
    raise VodSettingsError(
        f"since is {since!r:.100} after templating, but must be a time: ISO 8601 such as 2026-01-31T06:00:00+08:00, "
        "a datetime, or Unix seconds."
    )


def check_end_tasks(event_type: str | Sequence[str]) -> None:
    """Check the event types of a wait for the end of a VOD task.

    :param event_type: one type or several.
    :raises VodSettingsError: one of them never ends a task, so the wait could not end.
    """
    for name in _event_types(event_type):
        row = EVENT_TYPES.get(name)
        if row is not None and not row.ends_task:
            raise VodSettingsError(
                f"event_type holds {name}, which ends no VOD task; VodEventSensor waits for such events."
            )


def _event_types(event_type: Any) -> Iterator[str]:
    given = [event_type] if isinstance(event_type, str) else event_type
    if given is None:
        return
    if not isinstance(given, (list, tuple, set, frozenset)):
        raise VodSettingsError(
            f"event_type is {event_type!r:.100}, but must be a name such as NewFileUpload, or several."
        )
    if not given:
        raise VodSettingsError("event_type is an empty list: no event could match. Use None for any type.")
    known = {name.lower(): name for name in EVENT_TYPES}
    for name in given:
        if not isinstance(name, str) or not name.strip() or name.strip() == "None":
            raise VodSettingsError(f"event_type holds {name!r:.100}, but must hold names such as NewFileUpload.")
        if not (name.isascii() and name.isidentifier()):
            raise VodSettingsError(
                f"event_type holds {name!r:.100}, which no event has: names are letters and digits, without white space."
            )
        # A type missing from the table may be new in VOD; one that differs only in case is a mistake.
        if name not in EVENT_TYPES and name.lower() in known:
            raise VodSettingsError(f"event_type holds {name!r}; VOD writes it {known[name.lower()]}.")
        if name not in EVENT_TYPES and (close := difflib.get_close_matches(name, EVENT_TYPES, 1, 0.9)):
            text = f"VOD documents no event type {name!r}; did you mean {close[0]!r}?"
            warnings.warn(text, UserWarning, stacklevel=2)
        yield name


def _checked_name(name: Any) -> str:
    """Reject names that no payload has: VOD's begin with a capital letter."""
    if isinstance(name, str) and (name in NAMES or all(step[:1].isupper() or step == "*" for step in name.split("."))):
        return name
    raise VodSettingsError(
        f"match has the unknown name {name!r:.100}. It takes {', '.join(NAMES)}, and paths in the event's payload, "
        "such as MediaBasicInfo.Name."
    )


def _checked_value(name: str, value: Any) -> str:
    text = _text(value)
    # A template renders a missing XCom as "None".
    if text is None or text.strip() in ("", "None"):
        raise VodSettingsError(
            f"match[{name!r}] is {value!r:.200} after templating, but must be the text or number that the event has there. "
            "Check the template, or the task whose output it uses."
        )
    return text


def _text(value: Any) -> str | None:
    """Convert a value to the text by which it is compared; None if it has none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, (int, float)) else None


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal() and len(text.partition(".")[0]) > 8
