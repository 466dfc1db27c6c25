"""The outputs of a VOD task: the files that it made, and what it found in the media.

Invariant: every output keeps what VOD says of its origin (the sub-task and the template), whether it was made or not, so that
neither a log line nor a DAG has to guess which one it is. Nothing is said of an output that VOD did not say.

Where each event type keeps its outputs is listed in the table of :mod:`airflow_vod.events.types`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_vod.events.errors import Failure, code_of, failure_of, text_of
from airflow_vod.events.paths import values_at

if TYPE_CHECKING:
    from airflow_vod.events.types import EventType, Part

_URL_NAMES = ("FileUrl", "Url", "CoverUrl", "HighlightUrl", "SegmentUrl", "AudioUrl", "ResultUrl")
_INPUT_DEFINITIONS = (
    "Input.Definition",
    "Input.StreamPara.Definition",
    "Input.ImageTaskInput.Definition",
    "Definition",
)
_SUFFIX = re.compile(r"[A-Za-z]+://[^/?#]+/[^?#]*\.([0-9A-Za-z]{1,8})(?:[?#]|$)")
_MEASURES = {"Duration": "duration", "Size": "size", "Width": "width", "Height": "height", "Bitrate": "bitrate"}
_OFFSETS = {"StartTimeOffset": "start_time_offset", "EndTimeOffset": "end_time_offset"}
_SEVERITY = {"pass": 0, "review": 1, "block": 3}
_UNKNOWN_SEVERITY = 2


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an output comes from.

    :param kind: the sub-task, in VOD's words.
    :param definition: the template that it was given; None if VOD names none.
    """

    kind: str | None
    definition: int | None


@dataclass(frozen=True, slots=True)
class Output:
    """A file that was made or should have been; the fields are those of `results.ResultFile`."""

    kind: str | None
    definition: int | None = None
    file_id: str | None = None
    url: str | None = None
    type: str | None = None
    name: str | None = None
    failure: Failure | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """What a review, an analysis or a recognition reports instead of a file; the fields are those of `results.Finding`."""

    kind: str | None
    definition: int | None = None
    suggestion: str | None = None
    label: str | None = None
    failure: Failure | None = None


class Outputs(NamedTuple):
    """All outputs of a task, in VOD's order.

    :param files: the files of each output; one output may consist of several (the images of a sprite).
    :param findings: of the outputs that are not files.
    """

    files: list[list[Output]]
    findings: list[Found]


def task_failure_of(payload: Mapping[str, Any], row: EventType) -> Failure | None:
    """Read the error of the task itself, its parts apart.

    :param payload: of its event.
    :param row: of its event type.
    """
    # Some types report their outcome in a field of their own, in addition to any code.
    name, good = row.verdict or ("", "")
    word = text_of(payload.get(name))
    if word not in (None, good):
        return Failure(word, text_of(payload.get("Message")) or f"{name} is {word}")
    return failure_of(payload)


def outputs_of(payload: Mapping[str, Any], row: EventType, event_type: str, failure: Failure | None) -> Outputs:
    """List the outputs of a task.

    :param payload: of its event.
    :param row: of its event type.
    :param event_type: its name; a type that the table lacks is named after its task.
    :param failure: the error of the task itself; files of types whose files have no error of their own share it.
    """
    kind = row.kind or event_type.removesuffix("Event").removesuffix("Complete")
    whole = Origin(kind or None, _definition(payload, None))
    if not row.parts:
        files = _files(payload, row.files, whole, failure)
        for described in values_at(payload, row.metadata) if row.metadata else ():
            files = [replace(file, metadata={**_metadata(described), **file.metadata}) for file in files]
        return Outputs([[file] for file in files], _reviews(payload, row.findings, whole, failure))
    outputs = Outputs([], [])
    for part in row.parts:
        for origin, value, makes_files in _parts(payload, part, whole):
            own = failure_of(value, proof=row.proof_in_parts)
            files = _files(value, part.files, origin, own)
            if files or makes_files:
                failed = [Output(origin.kind, origin.definition, failure=own)] if own else []
                outputs.files.append(files or failed)
            else:
                outputs.findings.append(_found(value.get("Output"), origin, own))
    return outputs


def worst_suggestion(findings: list[Found]) -> str | None:
    """Answer the strictest suggestion of several reviews.

    :return: ``block``, ``review``, ``pass``, or a word that VOD does not document; None if nothing was reviewed.
    """
    suggestions = [each.suggestion for each in findings if each.suggestion]
    return max(suggestions, key=lambda word: _SEVERITY.get(word, _UNKNOWN_SEVERITY), default=None)


def _parts(payload: Mapping[str, Any], part: Part, whole: Origin) -> Iterator[tuple[Origin, Any, bool]]:
    """Yield the sub-results of a task, where each comes from, and whether it is one that makes files."""
    for item in values_at(payload, part.path):
        if not part.nested or not isinstance(item, Mapping):
            kind = text_of(item.get(part.kind)) if part.kind and isinstance(item, Mapping) else None
            yield Origin(kind or whole.kind, _definition(item, whole.definition)), item, True
            continue
        results = {name: item[name] for name in sorted(item) if isinstance(item[name], Mapping)}
        for name, value in results.items():
            kind = text_of(item.get("Type")) if len(results) == 1 else None
            makes_files = part.makers is None or name in part.makers
            yield Origin(kind or name.removesuffix("Task"), _definition(value, None)), value, makes_files


def _files(part: Any, paths: tuple[str, ...], origin: Origin, failure: Failure | None) -> list[Output]:
    if not isinstance(part, Mapping):
        return []
    return [file for path in paths for value in values_at(part, path) if (file := _file(value, origin, failure))]


def _file(value: Any, origin: Origin, failure: Failure | None) -> Output | None:
    """Read one file; None if nothing indicates one, made or missing."""
    if isinstance(value, str):
        value = {"Url": value}
    if not isinstance(value, Mapping):
        return None
    own = failure_of(value)
    request = value.get("Input")
    value = value["Output"] if isinstance(value.get("Output"), Mapping) else value  # a segment that was split off
    basic = value.get("MediaBasicInfo")
    basic = basic if isinstance(basic, Mapping) else {}
    url = next((url for name in _URL_NAMES if (url := text_of(value.get(name)))), None) or text_of(
        basic.get("MediaUrl")
    )
    file_id, file_type = text_of(value.get("FileId")), text_of(value.get("FileType"))
    definition = code_of(value.get("Definition"))
    if not (url or file_id or own or (failure and (file_type or definition))):
        return None
    return Output(
        kind=origin.kind,
        definition=_own_or(definition, origin.definition),
        file_id=file_id,
        url=url,
        type=file_type
        if file_type and "." not in file_type
        else _suffix(url) or text_of(basic.get("Type")) or file_type,
        name=text_of(value.get("MediaName")) or text_of(basic.get("Name")),
        failure=failure or own,
        metadata=_metadata(request, value.get("MetaData"), value),
    )


def _own_or(definition: int | str | None, given: int | None) -> int | None:
    """Choose between the template that a file names, where 0 may mean both "none" and "the original", and the one given."""
    own = definition if isinstance(definition, int) else None
    return own or given or own


def _definition(part: Any, default: int | None) -> int | None:
    """Read the template that a task or a part was given."""
    if not isinstance(part, Mapping):
        return default
    for path in _INPUT_DEFINITIONS:
        for value in values_at(part, path):
            code = code_of(value)
            if isinstance(code, int) and code:
                return code
    return default


def _metadata(*descriptions: Any) -> dict[str, Any]:
    """Read what VOD says of a file; later descriptions overrule earlier ones, and 0 stands for "not known".

    :return: ``duration`` in seconds, ``size`` in bytes, ``width`` and ``height`` in pixels, ``bitrate`` in bit/s, ``md5``;
        where the file shows a part of a longer one, its offsets in seconds.
    """
    metadata: dict[str, Any] = {}
    for each in descriptions:
        if not isinstance(each, Mapping):
            continue
        metadata |= {key: value for name, key in _MEASURES.items() if (value := _number(each.get(name))) and value > 0}
        metadata |= {key: value for name, key in _OFFSETS.items() if (value := _number(each.get(name))) is not None}
        if (milliseconds := _number(each.get("TimeOffset"))) is not None:
            metadata["time_offset"] = milliseconds / 1000
        if md5 := text_of(each.get("Md5")):
            metadata["md5"] = md5
    return metadata


def _number(value: Any) -> int | float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _reviews(payload: Mapping[str, Any], paths: tuple[str, ...], whole: Origin, failure: Failure | None) -> list[Found]:
    """List the reviews of a type that makes none but these; a review that failed has an entry too."""
    found = [
        _found(value, replace(whole, kind=whole.kind if path == "Output" else path.rpartition(".")[2]), failure)
        for path in paths
        for value in values_at(payload, path)
    ]
    return found or ([_found(None, whole, failure)] if paths and failure else [])


def _found(value: Any, origin: Origin, failure: Failure | None) -> Found:
    says = value if isinstance(value, Mapping) else {}
    return Found(origin.kind, origin.definition, text_of(says.get("Suggestion")), text_of(says.get("Label")), failure)


def _suffix(url: str | None) -> str | None:
    match = _SUFFIX.match(url or "")
    return match[1].lower() if match else None
