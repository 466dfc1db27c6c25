"""The error of a VOD task or of one of its parts, as VOD reports it.

Invariant: only a documented word of success, or none, is no error. A word or a code that this package does not know is an
error and is named in its message, so that what VOD adds tomorrow never counts as a success.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

UNFINISHED = frozenset({"PROCESSING", "WAITING"})
"""The values of ``Status`` while a VOD task has not ended."""
SUCCESSFUL = frozenset({"SUCCESS", "FINISH"})
"""The values of ``Status`` that are compatible with success; ``FINISH`` says no more than that the task has ended."""
_FAILED = frozenset({"FAIL", "ABORTED"})
_CODES = ("ErrCodeExt", "ErrCode")
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_MEANINGS: dict[int | str, str] = {
    40000: "An input parameter is invalid.",
    60000: "The source file cannot be processed.",
    70000: "VOD failed internally; submitting the task again may help.",
}
"""VOD's documented meaning of the codes that most types share, used if it sends no message."""


class Failure(NamedTuple):
    """An error that VOD reported.

    :param code: ``ErrCodeExt``, else ``ErrCode``, else the status that means failure; None if VOD sent none.
    :param message: VOD's message, or this package's if VOD sent none.
    """

    code: int | str | None
    message: str | None


def is_unfinished(status: Any) -> bool:
    """Whether this ``Status`` means that a VOD task is still running.

    :param status: the value of ``Status``; None for a type that has none, whose events are sent only at the end.
    """
    return isinstance(status, str) and status.upper() in UNFINISHED


def failure_of(part: Any, *, proof: bool = False) -> Failure | None:
    """Read the error of a task or of one of its parts.

    :param part: the payload, or a part of it.
    :param proof: whether a part that reports no outcome counts as an error.
    :return: None if it reports none.
    """
    if not isinstance(part, Mapping):
        return Failure(None, "VOD sent a value that is not an output.")
    codes = [code_of(part.get(name)) for name in _CODES]
    message = text_of(part.get("Message"))
    bad = next((code for code in codes if code not in (None, 0)), None)
    if bad is not None:
        return Failure(bad, message or _MEANINGS.get(bad))
    status = part.get("Status")
    # The one type whose status is a number calls it void.
    word = status.upper() if isinstance(status, str) and status else None
    if word in _FAILED or word in UNFINISHED:
        return Failure(word, message or f"Status is {word}")
    if word not in SUCCESSFUL and word is not None:
        unknown = f"Status is {status!r:.60}, which VOD does not document"
        return Failure(str(status), f"{unknown}: {message}" if message else unknown)
    if proof and 0 not in codes and word not in SUCCESSFUL:
        return Failure(None, message or "VOD did not report success for this output.")
    return None


def code_of(value: Any) -> int | str | None:
    """Read a code: a number in some types, a word or a number in quotes in others.

    :param value: plain JSON.
    :return: None if there is none, and ``unreadable`` for what is no code.
    """
    if isinstance(value, int):
        return int(value)
    if value in (None, "", [], {}):
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, str):
        return int(value) if _NUMBER.fullmatch(value) else value
    return "unreadable"


def text_of(value: Any) -> str | None:
    """Read a text.

    :param value: plain JSON.
    :return: None for an empty text, and for what is no text.
    """
    return value if isinstance(value, str) and value else None
