"""The result of a finished VOD task: outcome, files, errors. This is what users see in XCom.

Invariant: a result never claims more than VOD reported. ``succeeded`` means that the task ended and that neither it nor any
of its parts reports an error; where only the parts report an outcome, at least one of them reported success.

Where each event type keeps its outcome, errors and files is listed in the table of :mod:`airflow_vod.events.types`.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cache
from typing import Annotated, Any

from pydantic import BeforeValidator, StrictInt, StrictStr, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from airflow_vod.events.parse import VodEvent, is_unfinished
from airflow_vod.events.types import EVENT_TYPES, UNKNOWN, EventType, values_at
from airflow_vod.exceptions import ResultError


class Outcome(StrEnum):
    """How a VOD task ended."""

    SUCCEEDED = "succeeded"
    """All requested outputs were made."""
    PARTLY_FAILED = "partly_failed"
    """Some of the outputs were made."""
    FAILED = "failed"
    """No output was made, as far as VOD reports."""


def _plain_json(value: Any) -> Any:
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        raise PydanticCustomError("plain_json", "Input should be plain JSON") from None


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A file that the task made, or a placeholder for one that it failed to make.

    :param file_id: the media file id; None if the file has none of its own (a transcoded version, a snapshot).
    :param url: where the file can be downloaded; None if it could not be made.
    :param type: VOD's ``FileType``, else the suffix of the URL, such as ``mp4``.
    :param error_code: 0 for a good file; else VOD's code, a number or a word; None if VOD sent none.
    :param message: VOD's error message; None if there is none.
    :param definition: the id of the template that the file was made with; None if VOD names none.
    """

    file_id: StrictStr | None = None
    url: StrictStr | None = None
    type: StrictStr | None = None
    error_code: StrictInt | StrictStr | None = 0
    message: StrictStr | None = None
    definition: StrictInt | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the form that goes into XCom.

        :return: the fields of this class by name, JSON primitives only.
        """
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True, slots=True)
class TaskResult:
    """The result of a finished VOD task.

    :param vod_task_id: the task; None for types that VOD identifies by media file alone (RestoreMediaComplete).
    :param event_type: the type of the event that reported it, such as ``ConcatComplete``.
    :param outcome: how the task ended.
    :param files: the files made, in VOD's order; for each one that failed, an entry with the error.
    :param error_code: 0 if the task succeeded; else ``ErrCodeExt``, or ``ErrCode`` if there is no ``ErrCodeExt``, or the
        status that means failure (``ABORTED``); if only parts failed, the code of the first; None if VOD sent no code.
    :param message: VOD's message, or this package's if VOD sent none; None if there is nothing to report.
    :param status: ``Status`` as VOD sent it; None if the type has none.
    :param file_id: the one media file that the event is about.
    :param outputs: outputs other than files, under VOD's own names (``Output``, ``MetaData``, ...).
    :param session_id: the ``SessionId`` given when the task was submitted.
    :param session_context: the ``SessionContext`` given when the task was submitted.
    :param follow_up_task_ids: VOD tasks that this one started (a procedure on the file made, a review).
    """

    vod_task_id: StrictStr | None
    event_type: StrictStr
    outcome: Outcome
    files: tuple[ResultFile, ...] = ()
    error_code: StrictInt | StrictStr | None = 0
    message: StrictStr | None = None
    status: StrictStr | None = None
    file_id: StrictStr | None = None
    outputs: Annotated[Mapping[str, Any], BeforeValidator(_plain_json)] = field(default_factory=dict)
    session_id: StrictStr | None = None
    session_context: StrictStr | None = None
    follow_up_task_ids: tuple[StrictStr, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the form that goes into XCom: JSON primitives under stable keys.

        ``vod_task_id``, ``event_type``, ``error_code``, ``message``, ``status``, ``file_id``, ``outputs``,
        ``session_id`` and ``session_context`` are the fields of this class. ``outcome`` is ``succeeded``,
        ``partly_failed`` or ``failed``. ``files`` is a list of objects with the keys ``file_id``, ``url``, ``type``,
        ``error_code``, ``message`` and ``definition`` (see :class:`ResultFile`). ``follow_up_task_ids`` is a list.

        :return: a new dictionary with all of these keys, always.
        """
        return {
            **{f.name: getattr(self, f.name) for f in fields(self)},
            "outcome": self.outcome.value,
            "files": [file.to_dict() for file in self.files],
            "outputs": dict(self.outputs),
            "follow_up_task_ids": list(self.follow_up_task_ids),
        }

    @classmethod
    def from_dict(cls, value: Any) -> TaskResult:
        """Read the form that :meth:`to_dict` returns, as it comes out of XCom.

        Unknown keys are ignored, so that results of a newer version can be read.

        :param value: the dictionary; ``event_type``, ``outcome`` and ``files`` are required.
        :return: the result.
        :raises ResultError: names the key, its value and the remedy.
        """
        try:
            # The constructor's defaults differ: here `files` is required and `vod_task_id` is not.
            full = {"vod_task_id": None, "files": None, **value} if isinstance(value, dict) else value
            return _reader().validate_python(full)
        except ValidationError as error:
            raise ResultError(
                f"{_problem(error)}; pass on what a VOD sensor returned, as in `sensor.output`."
            ) from None


@cache  # building it takes some milliseconds, which parsing a DAG need not spend
def _reader() -> TypeAdapter[TaskResult]:
    return TypeAdapter(TaskResult)


def _problem(error: ValidationError) -> str:
    """Name the first key that cannot be read, its value, and what it must be."""
    details = error.errors(include_url=False, include_context=False)
    place = _place(details[0])
    if details[0]["type"] == "missing":
        return f"{place} is missing"
    try:
        shown = reprlib.repr(details[0]["input"])
    except ValueError:  # Python refuses to print a number of thousands of digits
        shown = f"a huge {type(details[0]['input']).__name__}"
    return f"{place} is {shown}: {' or '.join(each['msg'] for each in details if _place(each) == place)}"


def _place(detail: ErrorDetails) -> str:
    """Write where a value is, such as ``result.files[0].url``."""
    # Where a value may be a number or a text, pydantic appends the type that it tried; no key has such a name.
    steps = (step for step in detail["loc"] if step not in ("int", "str"))
    return "result" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def result_of(event: VodEvent) -> TaskResult:
    """Extract the result of a VOD task from the event that ends it.

    :param event: an event that reports the end of a task.
    :return: the result; any parsed event of that kind has one, whatever is missing or malformed in its content.
    :raises ResultError: the event does not end a task, for example because its status is PROCESSING.
    """
    payload, row = event.payload, _row_of_end(event)
    outcome, (code, message), files = _judge(event, row)
    return TaskResult(
        vod_task_id=event.vod_task_id,
        event_type=event.event_type,
        outcome=outcome,
        files=files,
        error_code=code,
        message=message,
        status=event.status,
        file_id=event.file_id,
        outputs={name: payload[name] for name in row.outputs if payload.get(name) not in (None, "", [], {})},
        session_id=_text(payload.get("SessionId")),
        session_context=_text(payload.get("SessionContext")),
        follow_up_task_ids=tuple(_follow_ups(payload)),
    )


def outcome_of(event: VodEvent) -> Outcome:
    """Extract only the outcome of a VOD task; cheaper than `result_of`.

    :param event: an event that reports the end of a task.
    :return: as in the result.
    :raises ResultError: as `result_of`.
    """
    return _judge(event, _row_of_end(event))[0]


def _row_of_end(event: VodEvent) -> EventType:
    row = EVENT_TYPES.get(event.event_type, UNKNOWN)
    # Some types of the table end a task without naming its id: VOD identifies it by its media file.
    if event.finished or (row is not UNKNOWN and row.ends_task and not is_unfinished(event.status)):
        return row
    state = f"with status {event.status}" if event.status else "which does not end a VOD task"
    raise ResultError(
        f"There is no result in an event {event.event_type} {state}; wait for the event that ends the task."
    )


_Error = tuple[int | str | None, str | None]


def _judge(event: VodEvent, row: EventType) -> tuple[Outcome, _Error, tuple[ResultFile, ...]]:
    """Combine the outcome of the payload with those of its parts."""
    payload = event.payload
    error = _verdict(payload, row) or _error(payload)
    if row.parts:
        made = [_files_of_part(part, files, row) for path, files in row.parts for part in values_at(payload, path)]
    else:
        made = [[file] for file in _files(payload, row.files, error)]
    files = tuple(file for group in made for file in group)
    failures = [file for file in files if file.error_code != 0]
    good = sum(all(file.error_code == 0 for file in group) for group in made)
    if error is None and failures:
        first = failures[0]
        reason = first.message or f"error {first.error_code}"
        error = first.error_code, f"{len(made) - good} of {len(made)} outputs failed; the first: {reason}"
    elif error is None and row.proof_in_parts and not made:
        error = None, "VOD reported the end of the task without naming any output."
    if error is None:
        return Outcome.SUCCEEDED, (0, _text(payload.get("Message"))), files
    partly = good and str(event.status).upper() not in _FAILED
    return Outcome.PARTLY_FAILED if partly else Outcome.FAILED, error, files


_MEANINGS: dict[int | str, str] = {
    40000: "An input parameter is invalid.",
    60000: "The source file cannot be processed.",
    70000: "VOD failed internally; submitting the task again may help.",
}
"""VOD's documented meaning of the codes that most types share, used if it sends no message."""

_FAILED = frozenset({"FAIL", "ABORTED"})
_URL_NAMES = ("FileUrl", "Url", "CoverUrl", "HighlightUrl", "SegmentUrl", "AudioUrl", "ResultUrl")
_FOLLOW_UP_PATHS = (
    *("ProcedureTaskId", "ReviewAudioVideoTaskId", "Output.ProcedureTaskIds[]"),
    *("FileInfoSet[].ProcedureTaskId", "FileInfoSet[].ReviewAudioVideoTaskId"),
)
_SUFFIX = re.compile(r"[A-Za-z]+://[^/?#]+/[^?#]*\.([0-9A-Za-z]{1,8})(?:[?#]|$)")
_NUMBER = re.compile(r"-?[0-9]{1,18}")


def _files_of_part(part: Any, paths: tuple[str, ...], row: EventType) -> list[ResultFile]:
    """List the files of a part; a part that failed has at least one entry."""
    error = _error(part, proof=row.proof_in_parts)
    files = _files(part, paths, error)
    return files or ([ResultFile(None, None, None, *error)] if error else [])


def _files(part: Any, paths: tuple[str, ...], error: _Error | None) -> list[ResultFile]:
    if not isinstance(part, Mapping):
        return []
    return [file for path in paths for value in values_at(part, path) if (file := _file(value, error))]


def _file(value: Any, error: _Error | None) -> ResultFile | None:
    """Read one file; None if nothing indicates one, made or missing."""
    if isinstance(value, str):
        value = {"Url": value}
    if not isinstance(value, Mapping):
        return None
    basic = value.get("MediaBasicInfo")
    basic = basic if isinstance(basic, Mapping) else {}
    url = next((url for name in _URL_NAMES if (url := _text(value.get(name)))), None) or _text(basic.get("MediaUrl"))
    own_error = _error(value)
    code, message = error or own_error or (0, None)
    definition = _code(value.get("Definition"))
    file = ResultFile(
        file_id=_text(value.get("FileId")),
        url=url,
        type=_text(value.get("FileType")) or _suffix(url) or _text(basic.get("Type")),
        error_code=code,
        message=message,
        definition=definition if isinstance(definition, int) else None,
    )
    indicated = file.url or file.file_id or own_error or (error and (file.type or file.definition))
    return file if indicated else None


def _suffix(url: str | None) -> str | None:
    match = _SUFFIX.match(url or "")
    return match[1].lower() if match else None


def _verdict(payload: Mapping[str, Any], row: EventType) -> _Error | None:
    """Read the field by which some types report their outcome in addition to any code."""
    if row.verdict is None:
        return None
    name, good = row.verdict
    word = _text(payload.get(name))
    return None if word in (None, good) else (word, _text(payload.get("Message")) or f"{name} is {word}")


def _error(part: Any, *, proof: bool = False) -> _Error | None:
    """Read the error of a task or of one of its parts; None if there is none.

    :param proof: whether a part that reports no outcome counts as an error.
    """
    if not isinstance(part, Mapping):
        return None, "VOD sent a value that is not an output."
    codes = [_code(part.get(name)) for name in ("ErrCodeExt", "ErrCode")]
    status = part.get("Status")
    word = status.upper() if isinstance(status, str) else None
    message = _text(part.get("Message"))
    bad = next((code for code in codes if code not in (None, 0)), None)
    if bad is not None:
        return bad, message or _MEANINGS.get(bad)
    if word in _FAILED or is_unfinished(word):
        return word, message or f"Status is {word}"
    if proof and 0 not in codes and word not in {"SUCCESS", "FINISH"}:
        return None, message or "VOD did not report success for this output."
    return None


def _code(value: Any) -> int | str | None:
    """Read an error code: a number in some types, a word or a number in quotes in others."""
    if isinstance(value, int):
        return int(value)
    if value in (None, "", [], {}):
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, str):
        return int(value) if _NUMBER.fullmatch(value) else value
    return "unreadable"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _follow_ups(payload: Mapping[str, Any]) -> Iterator[str]:
    for path in _FOLLOW_UP_PATHS:
        yield from filter(None, map(_text, values_at(payload, path)))
