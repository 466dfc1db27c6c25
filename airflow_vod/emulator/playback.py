"""Serves media files over HTTP, as the CDN in front of a playback domain does: ``GET /media/FILE_ID/NAME``.

Invariants: what hotlink protection refuses gets 403 and not a byte of the file; a part of a file is served only to a client whose
``If-Range`` names the file as it is.

Faults (`faults`) hit requests under the name `media.ACTION`: ``truncate`` closes the connection after half of what was asked for,
``drop_request`` and ``drop_response`` before anything is sent, ``http_500`` and ``http_502_html`` answer instead, ``slow`` waits.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from airflow_vod.emulator.api import VodApi
    from airflow_vod.emulator.faults import Fault
    from airflow_vod.emulator.media import MediaFile

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class MediaEndpoint:
    """Serves the files of the library.

    :param api: the state.
    :param hang_up: closes the connection of a request.
    """

    def __init__(self, api: VodApi, hang_up: Callable[[Scope], None]) -> None:
        self._api = api
        self._hang_up = hang_up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        path = scope["raw_path"].decode("latin-1").partition("?")[0]
        query = scope["query_string"].decode("latin-1")
        file, objection, fault = self._api.request_media(path, query, scope["client"][0])
        if fault is not None and not await self._go_on(fault, scope, receive, send):
            return
        if objection:
            await _refuse(send, 403, objection)
        elif file is None:
            await _refuse(send, 404, "no such file")
        else:
            cut = fault is not None and fault.name == "truncate"
            await self._serve(file, scope, send, receive, cut=cut)

    async def _go_on(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> bool:
        """Apply what a fault does before the file is served.

        :return: whether it is still to be served.
        """
        instead = fault.replacement()
        if fault.name == "drop_response" or (instead is not None and instead.cut == 0):
            await self._close(scope, receive)
            return False
        if instead is not None:
            await _refuse(send, instead.status, instead.body.decode())
            return False
        if fault.name == "slow":
            await asyncio.sleep(float(fault.text.partition(":")[2]))
        return True

    async def _serve(self, file: MediaFile, scope: Scope, send: Send, receive: Receive, *, cut: bool) -> None:
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        start, end, status = 0, file.size, 200
        if self._api.options.media_ranges and headers.get(b"if-range") in (None, file.etag):
            part = _part(headers.get(b"range", ""), file.size)
            if part is not None:
                start, end, status = *part, 206
        if start >= file.size > 0:
            await _refuse(send, 416, "no such range")
            return
        answer = {
            "content-type": file.content_type,
            "content-length": str(end - start),
            "etag": file.etag,
        }
        if self._api.options.media_ranges:
            answer["accept-ranges"] = "bytes"
        if status == 206:
            answer["content-range"] = f"bytes {start}-{end - 1}/{file.size}"
        await _start(send, status, answer)
        if scope["method"] != "HEAD":
            for block in file.read(start, start + (end - start) // 2 if cut else end):
                await send({"type": "http.response.body", "body": block, "more_body": True})
            if cut:
                await self._close(scope, receive)
                return
        await send({"type": "http.response.body", "body": b""})

    async def _close(self, scope: Scope, receive: Receive) -> None:
        self._hang_up(scope)
        while (await receive())["type"] != "http.disconnect":
            pass


def _part(text: str, size: int) -> tuple[int, int] | None:
    """Read a Range header with one range (RFC 9110, 14.1.2).

    :return: first byte and the one behind the last; None where there is no such header.
    """
    match = _RANGE.fullmatch(text)
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return max(0, size - int(match[2])), size
    return int(match[1]), min(size, int(match[2]) + 1) if match[2] else size


async def _refuse(send: Send, status: int, reason: str) -> None:
    body = reason.encode()
    await _start(send, status, {"content-type": "text/plain", "content-length": str(len(body))})
    await send({"type": "http.response.body", "body": body})


async def _start(send: Send, status: int, headers: dict[str, str]) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
