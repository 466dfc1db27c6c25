"""A client of the emulator that signs with the official SDK, so that the verification is not tested against itself."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

from tencentcloud.common.sign import Sign

from airflow_vod.emulator.api import VodApi
from airflow_vod.emulator.clock import ManualClock
from airflow_vod.emulator.options import EmulatorOptions
from airflow_vod.emulator.request import Answer, Request

if TYPE_CHECKING:
    from airflow_vod.emulator.server import Emulator

SECRET_ID, SECRET_KEY = "AKIDtest", "key-of-the-test"
EVENT = {"EventType": "ConcatComplete", "ConcatCompleteEvent": {"TaskId": "Concat-1", "FileInfoSet": []}}


def sign(
    action: str,
    params: Any = None,
    *,
    body: bytes | None = None,
    at: float | None = None,
    secret_id: str = SECRET_ID,
    secret_key: str = SECRET_KEY,
    host: str = "127.0.0.1:9900",
    version: str = "2018-07-17",
    method: str = "POST",
    query: str = "",
    unsigned_payload: bool = False,
    date: str | None = None,
    **headers: str,
) -> Request:
    """A signed call, as the SDK would send it; keyword headers are written with underscores."""
    body = (json.dumps(params or {}).encode() if method == "POST" else b"") if body is None else body
    timestamp = int(time.time() if at is None else at)
    date = date or datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d")
    content_type = "application/json" if method == "POST" else "application/x-www-form-urlencoded"
    payload = hashlib.sha256(b"UNSIGNED-PAYLOAD" if unsigned_payload else body).hexdigest()
    canonical = f"{method}\n/\n{query}\ncontent-type:{content_type}\nhost:{host}\n\ncontent-type;host\n{payload}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"TC3-HMAC-SHA256\n{timestamp}\n{date}/vod/tc3_request\n{digest}"
    signature = Sign.sign_tc3(secret_key, date, "vod", text)
    sent = {
        "host": host,
        "content-type": content_type,
        "x-tc-action": action,
        "x-tc-version": version,
        "x-tc-timestamp": str(timestamp),
        "authorization": (
            f"TC3-HMAC-SHA256 Credential={secret_id}/{date}/vod/tc3_request, "
            f"SignedHeaders=content-type;host, Signature={signature}"
        ),
        **({"x-tc-content-sha256": "UNSIGNED-PAYLOAD"} if unsigned_payload else {}),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return Request(method, sent, body, query)


class Local:
    """The core without HTTP, with a manual clock."""

    def __init__(self, sub_app_ids: list[int] | None = None, **options: Any) -> None:
        self.clock = ManualClock(1_700_000_000.0)
        options.setdefault("rate_limit", None)
        options.setdefault("rate_limits", {})
        self.api = VodApi({SECRET_ID: SECRET_KEY}, sub_app_ids, EmulatorOptions(**options), self.clock)
        self.clock.follow(self.api)

    def send(self, request: Request) -> list[Answer]:
        """A list that the answer is appended to, now or later."""
        answers: list[Answer] = []
        self.api.handle(request, answers.append)
        return answers

    def call(self, action: str, **params: Any) -> dict[str, Any]:
        """The ``Response`` of a call that is answered immediately."""
        (answer,) = self.send(sign(action, params))
        return json.loads(answer.body)["Response"]

    def error(self, action: str, **params: Any) -> str:
        """The error code of a call that is refused immediately."""
        return self.call(action, **params)["Error"]["Code"]

    def publish(self, *names: str, sub_app_id: int = 0) -> None:
        """Publish events that consist of a type only."""
        for name in names:
            self.api.publish({"EventType": name}, sub_app_id)

    def pull(self, **params: Any) -> dict[str, str]:
        """Type to handle of the events of a pull that is answered immediately."""
        return {event["EventType"]: event["EventHandle"] for event in self.call("PullEvents", **params)["EventSet"]}


@dataclass(frozen=True)
class Reply:
    """An HTTP answer as received."""

    status: int
    content_type: str | None
    body: bytes

    @property
    def response(self) -> dict[str, Any]:
        """The content of ``Response``."""
        return json.loads(self.body)["Response"]


class Wire:
    """A plain HTTP client of a running emulator, one connection per call."""

    def __init__(self, vod: Emulator) -> None:
        self._vod = vod
        self._host = f"127.0.0.1:{vod.port}"

    def open(self, action: str, **params: Any) -> HTTPConnection:
        """Send a call and do not wait for its answer."""
        connection = HTTPConnection("127.0.0.1", self._vod.port, timeout=10)
        self.send(connection, action, **params)
        return connection

    def send(self, connection: HTTPConnection, action: str, **params: Any) -> None:
        """Send a call on an open connection."""
        request = sign(action, params, host=self._host, secret_id=self._vod.secret_id, secret_key=self._vod.secret_key)
        connection.request(request.method, "/", request.body, dict(request.headers))

    def call(self, action: str, **params: Any) -> Reply:
        """Send a call and read its answer."""
        return read(self.open(action, **params))

    def control(self, method: str, path: str, content: Any = None, **headers: str) -> Any:
        """Call the control API, with other headers where they are given; status and JSON."""
        connection = HTTPConnection("127.0.0.1", self._vod.port, timeout=10)
        body = None if content is None else json.dumps(content).encode()
        sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, f"/_emulator/{path}", body, sent)
        reply = read(connection)
        return reply.status, json.loads(reply.body)


def read(connection: HTTPConnection) -> Reply:
    """Read the answer and close the connection."""
    try:
        response = connection.getresponse()
        return Reply(response.status, response.getheader("content-type"), response.read())
    finally:
        connection.close()
