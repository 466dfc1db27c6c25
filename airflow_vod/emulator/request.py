"""One HTTP request and one answer, as values: all that the core knows of HTTP.

Invariant: nothing here performs I/O; an answer says what is to be sent, and how much of it.
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
"""Exactly this: the official SDK looks for errors under no other content type, not even with a charset."""


@dataclass(frozen=True, slots=True)
class Request:
    """What arrived."""

    method: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = b""
    query: str = ""
    """As it stands in the URL, without the question mark."""
    path: str = "/"

    @property
    def action(self) -> str:
        """The action that it names; empty without one."""
        return self.headers.get("x-tc-action", "")


@dataclass(frozen=True, slots=True)
class Answer:
    """What is to be sent."""

    body: bytes
    status: int = 200
    content_type: str = JSON
    cut: int | None = None
    """Close the connection after so many bytes of the body; 0 sends not even a status line; None sends all."""
    delay: float = 0.0
    """Seconds to wait before sending."""

    def but(self, **changes: Any) -> Answer:
        """:param changes: fields that differ.
        :return: a changed copy.
        """
        return replace(self, **changes)


def success(members: bytes) -> Answer:
    """Wrap a result.

    :param members: of ``Response`` without the braces, such as ``"TaskId":"x"``; may be empty.
    :return: the answer, with a new request id.
    """
    comma = b"," if members else b""
    return Answer(b'{"Response":{%b%b"RequestId":"%b"}}' % (members, comma, str(uuid4()).encode()))


def refusal(error: ApiError) -> Answer:
    """Wrap an error (HTTP 200 all the same, as in API 3.0).

    :param error: code and text.
    :return: the answer, with a new request id.
    """
    content = {"Error": {"Code": error.code, "Message": error.message}, "RequestId": str(uuid4())}
    return Answer(to_json({"Response": content}))
