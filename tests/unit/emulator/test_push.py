"""In PUSH mode, events are posted in either format, signed or not, retried after timeouts, and never queued."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.emulator.legacy import legacy_form
from airflow_vod.events.parse import parse_event
from airflow_vod.tencent.client import VodClient
from airflow_vod.tencent.settings import VodSettings
from tests.samples import concat_event, procedure_event

EVENT = {
    "EventType": "ConcatComplete",
    "ConcatCompleteEvent": {
        "TaskId": "Concat-1",
        "FileInfoSet": [{"ErrCode": 0, "FileId": "1", "FileUrl": "http://x/f0.mp4"}],
    },
}


class Receiver:
    """An HTTP server that records requests and answers as configured."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.answers: list[int] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.requests.append((self.path, headers, body))
                self.send_response(outer.answers.pop(0) if outer.answers else 200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """The receiver of callbacks."""
    receiver = Receiver()
    yield receiver
    receiver.close()


Start = Callable[..., Emulator]


@pytest.fixture
def start(receiver: Receiver) -> Iterator[Start]:
    """Start an emulator in PUSH mode."""
    running: list[Emulator] = []

    def start_one(**options: Any) -> Emulator:
        given = {"mode": "PUSH", "notification_url": receiver.url, "push_pause": 0.01} | options
        running.append(Emulator(options=EmulatorOptions(**given)).start())
        return running[-1]

    yield start_one
    for each in running:
        each.stop()


def test_an_event_is_posted_and_not_queued(receiver: Receiver, start: Start) -> None:
    """Format 3.0 is the event without handle and nulls; the queue stays empty."""
    vod = start()
    vod.publish(EVENT | {"EditMediaCompleteEvent": None})
    vod.wait_until(lambda: len(vod.callbacks) == 1)
    assert receiver.requests[0][2] == EVENT
    assert (vod.callbacks[0].accepted, vod.callbacks[0].tries) == (True, 1)
    assert (vod.queue().visible, vod.queue().pushed) == (0, 1)


@pytest.mark.parametrize("place", ["body", "query", "headers"])
def test_a_signature_stands_where_it_was_asked_for(receiver: Receiver, start: Start, place: str) -> None:
    """Sign is MD5(SignKey + T), with T ten minutes ahead, in the configured place."""
    vod = start(sign_key="k3y", push_signature=place)
    vod.publish(EVENT)
    vod.wait_until(lambda: len(vod.callbacks) == 1)
    path, headers, body = receiver.requests[0]
    query = {name: value for name, [value] in parse_qs(urlsplit(path).query).items()}
    sign, expires = {
        "body": lambda: (body["Sign"], str(body["T"])),
        "query": lambda: (query["Sign"], query["T"]),
        "headers": lambda: (headers["sign"], headers["t"]),
    }[place]()
    assert sign == hashlib.md5(f"k3y{expires}".encode()).hexdigest()
    assert int(expires) == pytest.approx(vod.api.wall_clock() + 600, abs=30)


def test_both_forms_are_one_event(receiver: Receiver, start: Start) -> None:
    """Both formats of an event are parsed as the same event."""
    vod = start(push_form="both")
    vod.publish(EVENT)
    vod.wait_until(lambda: len(vod.callbacks) == 2)
    bodies = [body for _, _, body in receiver.requests]
    assert {"eventType" in body for body in bodies} == {True, False}
    assert len({parse_event(body).key for body in bodies}) == 1


def test_the_legacy_form_can_be_read() -> None:
    """Events with and without a status are the same event in either format."""
    for event in (concat_event("Concat-1"), procedure_event("task", "FINISH")):
        form = legacy_form(event.raw)
        assert form is not None
        assert parse_event(form).key == event.key


def test_only_a_timeout_makes_it_come_again(receiver: Receiver, start: Start) -> None:
    """By default only a timeout is retried; with the option, errors are too."""
    receiver.answers += [503]
    vod = start()
    vod.publish(EVENT)
    vod.wait_until(lambda: len(vod.callbacks) == 1)
    assert (vod.callbacks[0].outcome, vod.callbacks[0].tries) == ("503", 1)
    receiver.answers += [503, 503]
    again = start(push_again="failure")
    again.publish(EVENT)
    again.wait_until(lambda: len(again.callbacks) == 1)
    assert (again.callbacks[0].outcome, again.callbacks[0].tries) == ("200", 3)


def test_three_tries_after_timeouts(start: Start) -> None:
    """Without an answer in time, there are three attempts."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        vod = start(notification_url=f"http://127.0.0.1:{deaf.getsockname()[1]}/", push_timeout=0.05)
        vod.publish(EVENT)
        vod.wait_until(lambda: len(vod.callbacks) == 1)
    assert (vod.callbacks[0].outcome, vod.callbacks[0].tries) == ("timeout", 3)


def test_nobody_there(start: Start) -> None:
    """An unreachable URL is recorded as an error."""
    vod = start(notification_url="http://127.0.0.1:1/")
    vod.publish(EVENT)
    vod.wait_until(lambda: len(vod.callbacks) == 1)
    assert vod.callbacks[0].outcome == "ConnectError"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", "204"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "302"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nthe rest never comes", "200"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000 + b"\r\n\r\n", "RemoteProtocolError"),
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", "RemoteProtocolError"),
    ],
    ids=["no content", "redirect", "body that never ends", "large head", "other protocol"],
)
def test_only_the_status_counts(start: Start, monkeypatch: pytest.MonkeyPatch, answer: bytes, outcome: str) -> None:
    """One request per connection: no redirect is followed, no proxy used, no body awaited, no large head read."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        vod = start(notification_url=f"http://127.0.0.1:{server.getsockname()[1]}/hook?a=1", push_timeout=20)
        vod.publish(EVENT)
        connection, _ = server.accept()
        with connection:
            received = b""
            while not received.endswith(b"}"):
                received += connection.recv(65536)
            with suppress(OSError):  # it may close the connection before the whole answer is sent
                connection.sendall(answer)
            vod.wait_until(lambda: len(vod.callbacks) == 1)
    head = received.split(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"post /hook?a=1 http/1.1\r\n")
    assert b"connection: close" in head
    assert (vod.callbacks[0].outcome, vod.callbacks[0].tries) == (outcome, 1)


def test_certificates_are_verified(start: Start) -> None:
    """A server without TLS, and any whose certificate the system does not trust, gets no callback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        vod = start(notification_url=f"https://127.0.0.1:{server.getsockname()[1]}/", push_timeout=20)
        vod.publish(EVENT)
        connection, _ = server.accept()
        with connection:
            hello = connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            vod.wait_until(lambda: len(vod.callbacks) == 1)
    assert hello[0] == 22  # a TLS handshake
    assert vod.callbacks[0].outcome == "ConnectError"


@pytest.mark.parametrize(
    "url", ["http://", "ftp://127.0.0.1/", "http://127.0.0.1:99999/", "http://[", "http://" + "a" * 300]
)
def test_a_url_that_cannot_be_used(start: Start, url: str) -> None:
    """An invalid URL is recorded as an error."""
    vod = start(notification_url=url)
    vod.publish(EVENT)
    vod.wait_until(lambda: len(vod.callbacks) == 1)
    assert not vod.callbacks[0].accepted


def test_configured_by_the_api(receiver: Receiver, start: Start) -> None:
    """ModifyEventConfig sets mode, URL and key for the next event."""
    vod = start(mode="PULL", notification_url="")
    client = VodClient(VodSettings(vod.secret_id, vod.secret_key, endpoint=vod.endpoint))
    vod.publish(EVENT)
    client.modify_event_config(Mode="PUSH", NotificationUrl=receiver.url, SignKey="k3y")
    vod.publish(EVENT)
    vod.wait_until(lambda: len(vod.callbacks) == 1)
    client.close()
    assert "Sign" in receiver.requests[0][2]
    assert vod.queue().visible == 1


def test_stopping_breaks_posts_off(start: Start) -> None:
    """A stop does not wait for an unanswered request."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        vod = start(notification_url=f"http://127.0.0.1:{deaf.getsockname()[1]}/")
        vod.publish(EVENT)
        connection, _ = deaf.accept()
        began = time.monotonic()
        vod.stop()
        connection.close()
    assert time.monotonic() - began < 4.5  # the emulator would wait for 5 s
    vod.publish(EVENT)  # without a server, nothing is posted
    assert vod.callbacks == []


@pytest.mark.parametrize("option", [{"push_form": "v1"}, {"push_tries": 0}, {"push_timeout": 0}, {"push_pause": -1}])
def test_options_that_do_not_exist(option: dict[str, Any]) -> None:
    """Invalid options are refused."""
    with pytest.raises(ValueError, match=next(iter(option))):
        EmulatorOptions(**option)
