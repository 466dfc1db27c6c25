"""What counts as an answer of the API: HTTP 200, and not without end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from airflow_vod.exceptions import VodTransientError
from airflow_vod.tencent import transport
from airflow_vod.tencent.client import VodClient
from airflow_vod.tencent.settings import VodSettings

ANSWER = b'{"Response":{"CountOfEventsToPull":7,"RequestId":"r"}}'


class Server(ThreadingHTTPServer):
    """Answers whatever it is asked with what a test has set."""

    status, body, connections = 200, ANSWER, 0

    def get_request(self) -> tuple[object, object]:  # type: ignore[override]
        self.connections += 1
        return super().get_request()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # which keeps connections

    def do_POST(self) -> None:
        assert isinstance(self.server, Server)
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of HTTP and nothing else."""
    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def client(server: Server) -> Iterator[VodClient]:
    """A client of it."""
    client = VodClient(VodSettings("id", "key", endpoint=f"http://127.0.0.1:{server.server_port}"))
    yield client
    client.close()


@pytest.mark.parametrize("status", [201, 302, 429, 503])
def test_only_http_200_is_an_answer(server: Server, client: VodClient, status: int) -> None:
    """A proxy that sends a stale answer along with its own error is not believed."""
    server.status = status
    with pytest.raises(VodTransientError) as raised:
        client.describe_events_state(tries=1)
    assert raised.value.code == f"Http{status}"
    server.status = 200
    assert client.describe_events_state(tries=1) == 7


def test_an_answer_without_end_is_cut_off(server: Server, client: VodClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than the limit is held in memory; the next call is not confused by the rest, and one at the limit is read."""
    monkeypatch.setattr(transport, "_ANSWER_LIMIT", len(ANSWER))
    server.body = ANSWER + b" " * 1000
    with pytest.raises(VodTransientError) as raised:
        client.describe_events_state(tries=1)
    assert raised.value.code == "AnswerTooLarge"
    server.body = ANSWER
    assert client.describe_events_state(tries=1) == 7
    assert client.describe_events_state(tries=1) == 7
    assert server.connections == 2  # the first was closed, the second kept
