"""Security headers on every answer, and no secrets in access logs.

Invariants: browsers run no script in our answers and embed them in no frame except this server's own; and secrets in the path or
query of a callback are removed from the request's scope before the answer is sent, which is when requests are logged.
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
_SECRET = re.compile(r"(/callbacks/[^/]*/).+", re.DOTALL)  # a token may stand behind an encoded line break
_REDACTED = "***"


class SafeHeaders:
    """ASGI middleware that adds the headers to every answer.

    :param app: to wrap.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), *_HEADERS]
                if not any(name.lower() == b"cache-control" for name, _ in headers):
                    headers.append(_NO_STORE)
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_with_headers)


class RedactedLogs:
    """ASGI middleware that removes secrets from the scope before an answer is sent.

    Airflow's access log and uvicorn's read the scope object that is changed here. The logs of a proxy in front are not covered.

    :param app: to wrap.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""

        async def send_redacted(message: Message) -> None:
            _redact(scope)
            await send(message)

        try:
            await self._app(scope, receive, send_redacted)
        finally:
            _redact(scope)


def _redact(scope: Scope) -> None:
    changed: dict[str, Any] = {}
    path = scope.get("path", "")
    if "/callbacks/" not in path:
        return
    changed["path"] = _SECRET.sub(rf"\1{_REDACTED}", path)
    changed["raw_path"] = changed["path"].encode("utf-8", "replace")
    if scope.get("query_string"):
        changed["query_string"] = _REDACTED.encode()
    scope.update(changed)
