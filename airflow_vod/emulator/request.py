"""HTTP requests and answers as values: all that the core knows about HTTP.

Invariant: no I/O; an answer describes what to send, and how much of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow_vod.emulator.content import to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_vod.emulator.errors import ApiError

JSON = "application/json"
"""Exactly this: with any other content type, even with a charset, the official SDK does not look for errors."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as received."""

    method: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = b""
    query: str = ""
    """As in the URL, without the question mark."""
    path: str = "/"

    @property
    def action(self) -> str:
        """The action named in the headers; empty if there is none."""
        return self.headers.get("x-tc-action", "")


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send."""

    body: bytes
    status: int = 200
    content_type: str = JSON
    cut: int | None = None
    """Close the connection after this number of bytes of the body; 0 sends no status line either; None sends everything."""
    delay: float = 0.0
    """Seconds to wait before sending."""

    def but(self, **changes: Any) -> Answer:
        """Copy with changes.

        :param changes: fields to replace.
        :return: the copy.
        """
        return replace(self, **changes)


def success(members: bytes) -> Answer:
    """Build a successful answer.

    :param members: of ``Response``, without braces, such as ``"TaskId":"x"``; may be empty.
    :return: the answer, with a new request id.
    """
    comma = b"," if members else b""
    return Answer(b'{"Response":{%b%b"RequestId":"%b"}}' % (members, comma, str(uuid4()).encode()))


def refusal(error: ApiError) -> Answer:
    """Build an error answer (with HTTP 200, as in API 3.0).

    :param error: code and message.
    :return: the answer, with a new request id.
    """
    content = {"Error": {"Code": error.code, "Message": error.message}, "RequestId": str(uuid4())}
    return Answer(to_json({"Response": content}))
