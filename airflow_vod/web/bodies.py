"""Reads the bodies of callbacks.

Invariant: however many requests there are, the bodies of those that have not proven themselves take a bounded amount of memory,
and no body takes longer than `TIMEOUT`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from fastapi import Request

MAX_BODY = 1024 * 1024  # bytes; VOD's events have a few thousand
SMALL = 64 * 1024  # bytes
TIMEOUT = 5.0  # seconds for the body to arrive
SMALL_AT_ONCE = 256  # unproven bodies that declare to be small, read at once
LARGE_AT_ONCE = 8  # the same for larger ones, and those that do not declare their length


class BodyError(Exception):
    """A body cannot be read.

    :param status: the HTTP status to answer with.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Bodies:
    """Reads bodies, for one event loop."""

    def __init__(self) -> None:
        self._small = asyncio.Semaphore(SMALL_AT_ONCE)
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)

    async def read(self, request: Request) -> bytes:
        """Read the body of a request that has proven itself.

        :param request: the request.
        :raises BodyError: it is too large, late or broken off.
        """
        return await _within_time(request)

    async def read_unproven(self, request: Request) -> bytes:
        """Read the body of a request that may prove itself by it; at most a number of them at once.

        :param request: from anybody.
        :raises BodyError: it is too large, late or broken off.
        """
        length = _length(request)
        return await _within_time(request, self._small if length is not None and length <= SMALL else self._large)

    async def discard(self, request: Request) -> None:
        """Read a body and keep nothing, so that a refusal takes the same time whatever is refused.

        :param request: from anybody.
        :raises BodyError: it is too large, late or broken off.
        """
        await _within_time(request, keep=False)


async def _within_time(
    request: Request, slots: AbstractAsyncContextManager[object] | None = None, *, keep: bool = True
) -> bytes:
    if (_length(request) or 0) > MAX_BODY:
        raise BodyError(413)
    try:
        async with asyncio.timeout(TIMEOUT):
            if slots is None:
                return await _read(request, keep)
            async with slots:
                return await _read(request, keep)
    except TimeoutError:
        raise BodyError(408) from None
    except ClientDisconnect:
        raise BodyError(400) from None  # nobody is there to get it


async def _read(request: Request, keep: bool) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY:
            raise BodyError(413)
        if keep:
            parts.append(part)
    return b"".join(parts)


def _length(request: Request) -> int | None:
    """:return: the length that the body declares to have; None if it declares none."""
    declared = request.headers.get("content-length", "")
    return int(declared[:20]) if declared.isascii() and declared.isdigit() else None
