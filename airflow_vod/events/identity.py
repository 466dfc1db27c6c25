"""What makes an event the same event, whichever form it arrives in.

Invariant: two events that differ in their ids, their state, their errors, or their files (kind, template, id, URL, type, error)
are two. For most types all of the content is the identity. A few types say less in form 2.0 than in form 3.0: theirs is what
both say, as the readers of results read it, so that a callback of form 2.0 and one of form 3.0, or the answer of
DescribeTaskDetail, are one event. What only form 3.0 says of an event (how long a video is, when a file was made) describes
it and does not make another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_vod.events.outputs import outputs_of, task_failure_of
from airflow_vod.events.paths import values_at

if TYPE_CHECKING:
    from airflow_vod.events.types import EventType

_IDS = ("TaskId", "SessionId", "SessionContext", "ProcedureTaskId", "ReviewAudioVideoTaskId")


def identity_of(event_type: str, row: EventType, content: Mapping[str, Any], file_id: str | None) -> dict[str, Any]:
    """Reduce an event to what makes it this one.

    :param event_type: its name on the wire.
    :param row: of its type.
    :param content: the payload without the fields that say nothing, under the names of form 3.0.
    :param file_id: the one media file that it is about.
    :return: plain JSON.
    """
    if row.stated is None:
        return {"EventType": event_type, row.field or f"{event_type}Event": content}
    failure = task_failure_of(content, row)
    files, findings = outputs_of(content, row, event_type, failure)
    return {
        "EventType": event_type,
        "Ids": {name: content.get(name) for name in _IDS},
        "File": file_id,
        "Status": content.get("Status"),
        "Failure": _listed(failure),
        "Stated": {path: [value for value in values_at(content, path) if _says_more(value)] for path in row.stated},
        "Files": [
            [[file.kind, file.definition, file.file_id, file.url, file.type, _listed(file.failure)] for file in group]
            for group in files
        ],
        "Findings": [[each.kind, each.definition, each.suggestion, _listed(each.failure)] for each in findings],
    }


def _listed(failure: tuple[int | str | None, str | None] | None) -> list[Any]:
    return list(failure or ())


def _says_more(value: Any) -> bool:
    """Whether a value says more than which file it is about: form 3.0 repeats the id of a file that was deleted as a whole."""
    return not (isinstance(value, Mapping) and value.keys() == {"FileId"})
