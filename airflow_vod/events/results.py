"""What a finished VOD task produced: outcome, files, errors. This is what users see in XCom.

Invariant: a result never claims more than VOD said. ``succeeded`` means that the task ended and that neither it nor any
of its parts reports an error; where only the parts can tell, at least one of them said so.

Where each event type keeps its outcome, errors and files stands in the table of :mod:`airflow_vod.events.types`.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from airflow_vod.events.parse import VodEvent, is_unfinished
from airflow_vod.events.types import EVENT_TYPES, UNKNOWN, EventType, values_at
from airflow_vod.exceptions import ResultError


class Outcome(StrEnum):
    """How a VOD task ended."""

    SUCCEEDED = "succeeded"
    """Everything that was asked for was made."""
    PARTLY_FAILED = "partly_failed"
    """Some of it was made."""
    FAILED = "failed"
    """Nothing of it was made, as far as VOD says."""


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A file that the task made, or the place of one that it failed to make.

    :param file_id: the media file id; None where the file has none of its own (a transcoded version, a snapshot).
    :param url: where the file can be fetched; None if it could not be made.
    :param type: VOD's ``FileType``, else the suffix of the URL, such as ``mp4``.
    :param error_code: 0 for a good file; else VOD's code, a number or a word; None where VOD gave none.
    :param message: VOD's text about the error; None where there is none.
    :param definition: the id of the template that the file was made by, where VOD names one.
    """

    file_id: str | None
    url: str | None
    type: str | None
    error_code: int | str | None = 0
    message: str | None = None
    definition: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give the form that goes into XCom.

        :return: the fields of this class by name, JSON primitives only.
        """
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a finished VOD task produced.

    :param vod_task_id: the task; None for the types that are told apart by media file alone (RestoreMediaComplete).
    :param event_type: the event type that told it, such as ``ConcatComplete``.
    :param outcome: how the task ended.
    :param files: what it made, in VOD's order; in place of what failed, an entry with the error.
    :param error_code: 0 if it succeeded; else ``ErrCodeExt``, or ``ErrCode`` where there is no ``ErrCodeExt``, or the
        word that tells of the failure (``ABORTED``); the first failing part's where only parts failed; None where VOD
        gave no code.
    :param message: VOD's text, or ours where VOD has none; None where there is nothing to say.
    :param status: ``Status`` as VOD sent it; None where the type has none.
    :param file_id: the one media file that the event is about.
    :param outputs: what was made besides files, under VOD's own names (``Output``, ``MetaData``, ...).
    :param session_id: the ``SessionId`` given when the task was submitted.
    :param session_context: the ``SessionContext`` given when the task was submitted.
    :param follow_up_task_ids: VOD tasks that this one started (a procedure on the file made, a review).
    """

    vod_task_id: str | None
    event_type: str
    outcome: Outcome
    files: tuple[ResultFile, ...] = ()
    error_code: int | str | None = 0
    message: str | None = None
    status: str | None = None
    file_id: str | None = None
    outputs: Mapping[str, Any] = field(default_factory=dict)
    session_id: str | None = None
    session_context: str | None = None
    follow_up_task_ids: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give the form that goes into XCom: JSON primitives under stable keys.

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
        """Read the form that :meth:`to_dict` gives, as it comes out of XCom.

        Unknown keys are left out, so that a newer version's results can be read.

        :param value: the dictionary; ``event_type``, ``outcome`` and ``files`` are required.
        :return: the result.
        :raises ResultError: naming the key, what it holds and the remedy.
        """
        result = _checked(value, "result", _RESULT_KINDS)
        outcomes = [outcome.value for outcome in Outcome]
        _expect(result["outcome"] in outcomes, "result.outcome", result["outcome"], f"one of {', '.join(outcomes)}")
        for n, item in enumerate(result["follow_up_task_ids"]):
            _expect(isinstance(item, str), f"result.follow_up_task_ids[{n}]", item, "str")
        return cls(
            **{
                **result,
                "outcome": Outcome(result["outcome"]),
                "files": tuple(
                    ResultFile(**_checked(file, f"result.files[{n}]", _FILE_KINDS))
                    for n, file in enumerate(result["files"])
                ),
                "outputs": _plain_json(result["outputs"], "result.outputs"),
                "follow_up_task_ids": tuple(result["follow_up_task_ids"]),
            }
        )


def result_of(event: VodEvent) -> TaskResult:
    """Tell what the VOD task of this event produced.

    :param event: an event that says that a task has ended.
    :return: the result; made for any parsed event of that kind, whatever is missing or odd in its content.
    :raises ResultError: if the event does not end a task, for example because it is still PROCESSING.
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
    """Tell how the VOD task of this event ended, and nothing else; cheaper than `result_of`.

    :param event: an event that says that a task has ended.
    :return: as in the result.
    :raises ResultError: as `result_of`.
    """
    return _judge(event, _row_of_end(event))[0]


def _row_of_end(event: VodEvent) -> EventType:
    row = EVENT_TYPES.get(event.event_type, UNKNOWN)
    # Some types of the table end a task that they tell apart by its media file, and have no task id.
    if event.finished or (row is not UNKNOWN and row.ends_task and not is_unfinished(event.status)):
        return row
    state = f"with status {event.status}" if event.status else "which does not end a VOD task"
    raise ResultError(f"There is no result in an event {event.event_type} {state}; wait for the event of its end.")


_Error = tuple[int | str | None, str | None]


def _judge(event: VodEvent, row: EventType) -> tuple[Outcome, _Error, tuple[ResultFile, ...]]:
    """Weigh what the payload says of itself against what its parts say of themselves."""
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
"""What VOD's documentation says of the codes that most types share, for where it sends no message."""

_FAILED = frozenset({"FAIL", "ABORTED"})
_URL_NAMES = ("FileUrl", "Url", "CoverUrl", "HighlightUrl", "SegmentUrl", "AudioUrl", "ResultUrl")
_FOLLOW_UP_PATHS = (
    *("ProcedureTaskId", "ReviewAudioVideoTaskId", "Output.ProcedureTaskIds[]"),
    *("FileInfoSet[].ProcedureTaskId", "FileInfoSet[].ReviewAudioVideoTaskId"),
)
_SUFFIX = re.compile(r"[A-Za-z]+://[^/?#]+/[^?#]*\.([0-9A-Za-z]{1,8})(?:[?#]|$)")
_NUMBER = re.compile(r"-?[0-9]{1,18}")


def _files_of_part(part: Any, paths: tuple[str, ...], row: EventType) -> list[ResultFile]:
    """List the files of a part; a part that failed has one entry at least."""
    error = _error(part, proof=row.proof_in_parts)
    files = _files(part, paths, error)
    return files or ([ResultFile(None, None, None, *error)] if error else [])


def _files(part: Any, paths: tuple[str, ...], error: _Error | None) -> list[ResultFile]:
    if not isinstance(part, Mapping):
        return []
    return [file for path in paths for value in values_at(part, path) if (file := _file(value, error))]


def _file(value: Any, error: _Error | None) -> ResultFile | None:
    """Read one file; None where nothing tells of one, be it made or missing."""
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
    told = file.url or file.file_id or own_error or (error and (file.type or file.definition))
    return file if told else None


def _suffix(url: str | None) -> str | None:
    match = _SUFFIX.match(url or "")
    return match[1].lower() if match else None


def _verdict(payload: Mapping[str, Any], row: EventType) -> _Error | None:
    """Read the word by which some types tell their outcome besides any code."""
    if row.verdict is None:
        return None
    name, good = row.verdict
    word = _text(payload.get(name))
    return None if word in (None, good) else (word, _text(payload.get("Message")) or f"{name} is {word}")


def _error(part: Any, *, proof: bool = False) -> _Error | None:
    """Read the error of a task or of one of its parts; None if there is none.

    :param proof: whether silence is an error too.
    """
    if not isinstance(part, Mapping):
        return None, "VOD sent something that is not an output."
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
        return None, message or "VOD did not say that this output is good."
    return None


def _code(value: Any) -> int | str | None:
    """Read an error code, which is a number in some types and a word or a number in quotes in others."""
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


_FILE_KINDS: dict[str, tuple[Any, Any]] = {
    "file_id": (str | None, None),
    "url": (str | None, None),
    "type": (str | None, None),
    "error_code": (int | str | None, 0),
    "message": (str | None, None),
    "definition": (int | None, None),
}
_RESULT_KINDS: dict[str, tuple[Any, Any]] = {
    "vod_task_id": (str | None, None),
    "event_type": (str, None),
    "outcome": (str, None),
    "files": (list | tuple, None),
    "error_code": (int | str | None, 0),
    "message": (str | None, None),
    "status": (str | None, None),
    "file_id": (str | None, None),
    "outputs": (dict, {}),
    "session_id": (str | None, None),
    "session_context": (str | None, None),
    "follow_up_task_ids": (list | tuple, ()),
}
"""What each key may hold, and what stands for it where it is missing: None is refused where it may not be held."""


def _checked(value: Any, where: str, kinds: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    _expect(isinstance(value, Mapping), where, value, "dict")
    found = {name: value.get(name, default) for name, (_, default) in kinds.items()}
    for name, (kind, _) in kinds.items():
        good = isinstance(found[name], kind) and not isinstance(found[name], bool)
        _expect(good, f"{where}.{name}", found[name], getattr(kind, "__name__", str(kind)))
    return found


def _plain_json(value: Any, where: str) -> dict[str, Any]:
    try:
        copy: dict[str, Any] = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        copy = {}
        _expect(False, where, value, "plain JSON")
    return copy


def _expect(holds: bool, where: str, value: Any, wanted: str) -> None:
    if holds:
        return
    try:
        shown = reprlib.repr(value)
    except ValueError:  # Python refuses to print a number of thousands of digits
        shown = f"a huge {type(value).__name__}"
    raise ResultError(f"{where} is {shown}, not {wanted}; pass on what a VOD sensor returned, as in `sensor.output`.")
