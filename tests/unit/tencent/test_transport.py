"""What counts as an answer of the API: HTTP 200, and not without end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from airflow_vod.exceptions import VodInvalidRequestError, VodTransientError
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


@pytest.mark.parametrize("value", ["s3cret\nX: y", "s3cret\u200b", "\u4ee4\u724cs3cret", "s3cret\r\n"])
def test_what_no_header_carries_is_a_typed_error(server: Server, value: str) -> None:
    """Whatever slipped past every check is not sent, and the error shows nothing of it."""
    transport_of_it = transport.Transport(VodSettings(), f"http://127.0.0.1:{server.server_port}/")
    request = SimpleNamespace(header={"X-TC-Action": "PullEvents", "X-TC-Token": value}, data="{}")
    with pytest.raises(VodInvalidRequestError, match="UnsendableHeader") as raised:
        transport_of_it.send_request(request)
    assert "s3cret" not in f"{raised.value} {raised.value!r}"
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


@pytest.mark.parametrize("failure", [RuntimeError("s3cret"), KeyError("s3cret"), AttributeError("s3cret")])
def test_nothing_untyped_leaves(client: VodClient, failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a fault of a library is one of our errors, without its text, and ends no wait."""

    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr("urllib3.PoolManager.urlopen", fail)
    with pytest.raises(VodTransientError, match=type(failure).__name__) as raised:
        client.describe_events_state(tries=1)
    assert "s3cret" not in str(raised.value)
