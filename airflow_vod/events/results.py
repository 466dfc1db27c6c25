"""The result of a finished VOD task: outcome, files, errors. This is what users see in XCom.

Invariant: a result never claims more than VOD reported. ``succeeded`` means that the task ended and that neither it nor any
of its parts reports an error; where only the parts report an outcome, at least one of them reported success.

Where each event type keeps its outcome, errors and files is listed in the table of :mod:`airflow_vod.events.types`.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import BeforeValidator, StrictInt, StrictStr, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from airflow_vod.events.errors import SUCCESSFUL, Failure, is_unfinished, text_of
from airflow_vod.events.outputs import Found, Output, outputs_of, task_failure_of, worst_suggestion
from airflow_vod.events.paths import values_at
from airflow_vod.events.types import EVENT_TYPES, UNKNOWN, EventType
from airflow_vod.exceptions import ResultError

if TYPE_CHECKING:
    from airflow_vod.events.parse import VodEvent


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


PlainJson = Annotated[Mapping[str, Any], BeforeValidator(_plain_json)]


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A file that the task made, or a placeholder for one that it failed to make.

    :param file_id: the media file id; None if the file has none of its own (a transcoded version, a snapshot).
    :param url: where the file can be downloaded; None if it could not be made.
    :param type: VOD's ``FileType``, else the suffix of the URL, such as ``mp4``.
    :param error_code: 0 for a good file; else VOD's code, a number or a word; None if VOD sent none.
    :param message: VOD's error message; None if there is none.
    :param definition: the id of the template that the file was made with; None if VOD names none.
    :param kind: the sub-task that made the file, in VOD's words, such as ``Transcode`` or ``CoverBySnapshot``.
    :param name: the name that the media file has in VOD; None if it has none of its own.
    :param metadata: what VOD says of the file, and only that: ``duration`` in seconds, ``size`` in bytes, ``width`` and
        ``height`` in pixels, ``bitrate`` in bit/s, ``md5``; of a part of a longer file, ``start_time_offset`` and
        ``end_time_offset`` in seconds; of a snapshot, ``time_offset`` in seconds.
    """

    file_id: StrictStr | None = None
    url: StrictStr | None = None
    type: StrictStr | None = None
    error_code: StrictInt | StrictStr | None = 0
    message: StrictStr | None = None
    definition: StrictInt | None = None
    kind: StrictStr | None = None
    name: StrictStr | None = None
    metadata: PlainJson = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the form that goes into XCom.

        :return: the fields of this class by name, JSON primitives only.
        """
        return {**_fields(self), "metadata": dict(self.metadata)}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a review, an analysis or a recognition reports instead of a file.

    :param kind: the sub-task, in VOD's words, such as ``Porn``, ``Porn.Asr`` or ``Tag``.
    :param definition: the id of the template that it was given; None if VOD names none.
    :param suggestion: of a review: ``block``, ``review`` or ``pass``; None of anything else.
    :param label: of a review: why it suggests so; None if VOD names nothing.
    :param error_code: 0 if the sub-task succeeded; else as in `ResultFile`.
    :param message: VOD's error message; None if there is none.
    """

    kind: StrictStr | None = None
    definition: StrictInt | None = None
    suggestion: StrictStr | None = None
    label: StrictStr | None = None
    error_code: StrictInt | StrictStr | None = 0
    message: StrictStr | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the form that goes into XCom.

        :return: the fields of this class by name, JSON primitives only.
        """
        return _fields(self)


def _fields(value: Any) -> dict[str, Any]:
    return {each.name: getattr(value, each.name) for each in fields(value)}


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
    :param findings: of reviews, analyses and recognitions; what they found in full is in `outputs`.
    :param suggestion: the strictest suggestion of all reviews: ``block``, ``review`` or ``pass``; None if nothing was
        reviewed.
    """

    vod_task_id: StrictStr | None
    event_type: StrictStr
    outcome: Outcome
    files: tuple[ResultFile, ...] = ()
    error_code: StrictInt | StrictStr | None = 0
    message: StrictStr | None = None
    status: StrictStr | None = None
    file_id: StrictStr | None = None
    outputs: PlainJson = field(default_factory=dict)
    session_id: StrictStr | None = None
    session_context: StrictStr | None = None
    follow_up_task_ids: tuple[StrictStr, ...] = ()
    findings: tuple[Finding, ...] = ()
    suggestion: StrictStr | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the form that goes into XCom: JSON primitives under stable keys.

        ``vod_task_id``, ``event_type``, ``error_code``, ``message``, ``status``, ``file_id``, ``outputs``,
        ``session_id``, ``session_context`` and ``suggestion`` are the fields of this class. ``outcome`` is ``succeeded``,
        ``partly_failed`` or ``failed``. ``files`` is a list of objects with the keys ``file_id``, ``url``, ``type``,
        ``error_code``, ``message``, ``definition``, ``kind``, ``name`` and ``metadata`` (see :class:`ResultFile`).
        ``findings`` is a list of objects with the keys ``kind``, ``definition``, ``suggestion``, ``label``, ``error_code``
        and ``message`` (see :class:`Finding`). ``follow_up_task_ids`` is a list.

        :return: a new dictionary with all of these keys, always.
        """
        return {
            **_fields(self),
            "outcome": self.outcome.value,
            "files": [file.to_dict() for file in self.files],
            "outputs": dict(self.outputs),
            "follow_up_task_ids": list(self.follow_up_task_ids),
            "findings": [finding.to_dict() for finding in self.findings],
        }

    @classmethod
    def from_dict(cls, value: Any) -> TaskResult:
        """Read the form that :meth:`to_dict` returns, as it comes out of XCom.

        Unknown keys are ignored and most known ones may be missing, so that results of other versions can be read.

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
    payload, row = event.content, _row_of_end(event)
    judgement = _judge(event, row)
    code, message = judgement.failure or (0, text_of(payload.get("Message")))
    return TaskResult(
        vod_task_id=event.vod_task_id,
        event_type=event.event_type,
        outcome=judgement.outcome,
        files=tuple(_result_file(file) for file in judgement.files),
        error_code=code,
        message=message,
        status=event.status,
        file_id=event.file_id,
        outputs={name: payload[name] for name in row.outputs if name in payload},
        session_id=text_of(payload.get("SessionId")),
        session_context=text_of(payload.get("SessionContext")),
        follow_up_task_ids=tuple(_follow_ups(payload)),
        findings=tuple(_finding(found) for found in judgement.findings),
        suggestion=worst_suggestion(judgement.findings),
    )


def outcome_of(event: VodEvent) -> Outcome:
    """Extract only the outcome of a VOD task; cheaper than `result_of`.

    :param event: an event that reports the end of a task.
    :return: as in the result.
    :raises ResultError: as `result_of`.
    """
    return _judge(event, _row_of_end(event)).outcome


def _row_of_end(event: VodEvent) -> EventType:
    row = EVENT_TYPES.get(event.event_type, UNKNOWN)
    # Some types of the table end a task without naming its id: VOD identifies it by its media file.
    if event.finished or (row is not UNKNOWN and row.ends_task and not is_unfinished(event.status)):
        return row
    state = f"with status {event.status}" if event.status else "which does not end a VOD task"
    raise ResultError(
        f"There is no result in an event {event.event_type} {state}; wait for the event that ends the task."
    )


class _Judgement(NamedTuple):
    outcome: Outcome
    failure: Failure | None
    files: list[Output]
    findings: list[Found]


def _judge(event: VodEvent, row: EventType) -> _Judgement:
    """Combine the outcome of the payload with those of its parts."""
    payload = event.content
    failure = task_failure_of(payload, row)
    made, findings = outputs_of(payload, row, event.event_type, failure)
    files = [file for group in made for file in group]
    everything: list[Output | Found] = [*files, *findings]
    failed = [each for each in everything if each.failure]
    bad_groups = sum(any(file.failure for file in group) for group in made)
    bad_findings = sum(found.failure is not None for found in findings)
    if failure is None and failed:
        counts = [_count(bad_groups, len(made), "outputs"), _count(bad_findings, len(findings), "reviews and analyses")]
        text = f"{' and '.join(filter(None, counts))}; the first: {_name(failed[0])}"
        failure = Failure(failed[0].failure.code if failed[0].failure else None, text)
    elif failure is None and row.proof_in_parts and not made:
        failure = Failure(None, "VOD reported the end of the task without naming any output.")
    if failure is None:
        return _Judgement(Outcome.SUCCEEDED, None, files, findings)
    good = len(made) + len(findings) - bad_groups - bad_findings
    partly = good and str(event.status or "FINISH").upper() in SUCCESSFUL
    return _Judgement(Outcome.PARTLY_FAILED if partly else Outcome.FAILED, failure, files, findings)


def _count(bad: int, total: int, what: str) -> str:
    return f"{bad} of {total} {what} failed" if bad else ""


def _name(output: Output | Found) -> str:
    """Name an output that failed, and why."""
    code, message = output.failure or Failure(0, None)
    name = " ".join(str(each) for each in (output.kind, output.definition) if each)
    return f"{name}{': ' if name else ''}{message or f'error {code}'}"


def _result_file(file: Output) -> ResultFile:
    code, message = file.failure or (0, None)
    return ResultFile(
        file.file_id, file.url, file.type, code, message, file.definition, file.kind, file.name, file.metadata
    )


def _finding(found: Found) -> Finding:
    code, message = found.failure or (0, None)
    return Finding(found.kind, found.definition, found.suggestion, found.label, code, message)


_FOLLOW_UP_PATHS = (
    *("ProcedureTaskId", "ReviewAudioVideoTaskId", "Output.ProcedureTaskIds[]"),
    *("FileInfoSet[].ProcedureTaskId", "FileInfoSet[].ReviewAudioVideoTaskId"),
)


def _follow_ups(payload: Mapping[str, Any]) -> Iterator[str]:
    for path in _FOLLOW_UP_PATHS:
        yield from filter(None, map(text_of, values_at(payload, path)))
