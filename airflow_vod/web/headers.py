"""What every answer carries, and what no log of requests shows.

Invariants: no answer can be made to run a script, or be framed, by anybody but this server; and where a callback's path or
query holds its secret, it is out of the request's scope by the time an answer leaves, which is when requests are logged.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    )
)
_HEADERS = [
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"referrer-policy", b"no-referrer"),
]
_NO_STORE = (b"cache-control", b"no-store")
_SECRET = re.compile(r"(/callbacks/[^/]*/).+")
_HIDDEN = "***"


class SafeHeaders:
    """Adds the headers to each answer (ASGI middleware)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), *_HEADERS]
                if not any(name.lower() == b"cache-control" for name, _ in headers):
                    headers.append(_NO_STORE)
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_safely)


class DiscreetLogs:
    """Takes secrets out of the scope before an answer leaves (ASGI middleware).

    Airflow's log of requests, and uvicorn's, read the very scope that is changed here. A proxy in front has logs of its own.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_discreetly(message: Message) -> None:
            _hide(scope)
            await send(message)

        try:
            await self._app(scope, receive, send_discreetly)
        finally:
            _hide(scope)


def _hide(scope: Scope) -> None:
    changed: dict[str, Any] = {}
    path = scope.get("path", "")
    if "/callbacks/" not in path:
        return
    changed["path"] = _SECRET.sub(rf"\1{_HIDDEN}", path)
    changed["raw_path"] = changed["path"].encode("utf-8", "replace")
    if scope.get("query_string"):
        changed["query_string"] = _HIDDEN.encode()
    scope.update(changed)
