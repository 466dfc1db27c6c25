"""Reading a file over HTTP from servers that misbehave: what is read is one file, or an error says what is wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from airflow_vod.exceptions import MediaError, VodSettingsError
from airflow_vod.tencent.download import Downloader
from airflow_vod.tencent.settings import VodSettings

CONTENT = bytes(range(256)) * 40_000

Serve = Callable[[BaseHTTPRequestHandler, int], None]


class Server:
    """A web server that answers as a test says.

    :param serve: answers a request, whose number it is told.
    """

    def __init__(self, serve: Serve) -> None:
        self.requests: list[dict[str, str]] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                owner.requests.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
                serve(self, len(owner.requests))

            def log_message(self, *_: Any) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """A client that has seen enough hangs up; that is no error here."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/a/f0.mp4"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[[Serve], Server]]:
    """Start servers, which end with the test."""
    servers: list[Server] = []

    def start(answer: Serve) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def answer(
    handler: BaseHTTPRequestHandler, status: int, body: bytes, *, length: int | None = None, **headers: str
) -> None:
    """Send an answer; a length beyond the body cuts the connection."""
    handler.send_response(status)
    for name, value in {"content_length": str(len(body) if length is None else length), **headers}.items():
        if value:
            handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)
    handler.close_connection = length is not None or not headers.get("content_length", "x")


def read(url: str, sign: Callable[[str], str] = lambda url: url, **settings: Any) -> bytes:
    """Read a file to its end."""
    downloader = Downloader(VodSettings(**settings), sign, lambda seconds: None, allow_private=True)
    try:
        return b"".join(downloader.open(url))
    finally:
        downloader.close()


HALF = len(CONTENT) // 2
WHOLE = len(CONTENT)


def test_a_break_with_a_strong_etag(serve: Callable[[Serve], Server]) -> None:
    """The rest is asked for under the condition that the file is the same."""

    def go_on(handler: BaseHTTPRequestHandler, number: int) -> None:
        if number == 1:
            answer(handler, 200, CONTENT[:HALF], length=WHOLE, etag='"1"')
        else:
            answer(handler, 206, CONTENT[HALF:], content_range=f"bytes {HALF}-{WHOLE - 1}/{WHOLE}", etag='"1"')

    server = serve(go_on)
    assert read(server.url) == CONTENT
    assert [(each.get("range"), each.get("if-range")) for each in server.requests] == [
        (None, None),
        (f"bytes={HALF}-", '"1"'),
    ]


def test_a_break_with_a_weak_etag(serve: Callable[[Serve], Server]) -> None:
    """A weak ETag promises nothing about bytes, so the whole file is asked for again, and what is known is skipped."""

    def go_on(handler: BaseHTTPRequestHandler, number: int) -> None:
        answer(handler, 200, CONTENT[:HALF] if number == 1 else CONTENT, length=WHOLE, etag='W/"1"')

    server = serve(go_on)
    assert read(server.url) == CONTENT
    assert "range" not in server.requests[1]


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (206, {"content_range": f"bytes {HALF}-{WHOLE - 1}/{WHOLE}", "etag": '"2"'}, "changed while it was read"),
        (206, {"content_range": f"bytes {HALF}-{WHOLE}/{WHOLE + 1}", "etag": '"1"'}, "changed while it was read"),
        (200, {"etag": '"2"'}, "changed while it was read"),
        (206, {"content_range": f"bytes 0-{WHOLE - 1}/{WHOLE}", "etag": '"1"'}, "another part than byte"),
        (206, {"etag": '"1"'}, "another part than byte"),
    ],
)
def test_another_file_after_a_break(
    serve: Callable[[Serve], Server], status: int, headers: dict[str, str], words: str
) -> None:
    """What is not certainly the rest of the same file is an error, never a mixture of two files."""

    def change(handler: BaseHTTPRequestHandler, number: int) -> None:
        if number == 1:
            answer(handler, 200, CONTENT[:HALF], length=WHOLE, etag='"1"')
        else:
            answer(handler, status, CONTENT[HALF:], **headers)

    with pytest.raises(MediaError, match=words):
        read(serve(change).url)


def test_passing_errors(serve: Callable[[Serve], Server]) -> None:
    """Errors that pass are waited out; the count begins anew whenever something comes."""

    def stumble(handler: BaseHTTPRequestHandler, number: int) -> None:
        if number % 5:
            answer(handler, 503, b"")
            return
        start = int(handler.headers.get("Range", "bytes=0-")[6:-1])
        end = min(WHOLE, start + WHOLE // 3)
        if start:
            headers = {"content_range": f"bytes {start}-{WHOLE - 1}/{WHOLE}"}
            answer(handler, 206, CONTENT[start:end], length=WHOLE - start, **headers)
        else:
            answer(handler, 200, CONTENT[:end], length=WHOLE)

    assert read(serve(stumble).url) == CONTENT


def test_the_end_of_patience(serve: Callable[[Serve], Server]) -> None:
    """Five requests in a row that bring nothing are enough, and the error names the file without its query."""
    server = serve(lambda handler, number: answer(handler, 429, b""))
    with pytest.raises(MediaError, match="5 times in a row") as error:
        read(f"{server.url}?token=s3cret")
    assert len(server.requests) == 5
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 416, 501])
def test_a_refusal(serve: Callable[[Serve], Server], status: int) -> None:
    """What does not pass by waiting fails at once."""
    server = serve(lambda handler, number: answer(handler, status, b"no"))
    with pytest.raises(MediaError, match=f"was refused with HTTP {status}"):
        read(server.url)
    assert len(server.requests) == 1


def test_a_redirect(serve: Callable[[Serve], Server]) -> None:
    """Redirects are followed, relative ones too, and the file's URL alone is signed."""

    def redirect(handler: BaseHTTPRequestHandler, number: int) -> None:
        if number < 3:
            answer(handler, 302, b"", location=f"/moved/{number}")
        else:
            answer(handler, 200, CONTENT)

    server = serve(redirect)
    assert read(server.url, lambda url: f"{url}?sign=1") == CONTENT
    assert [each["path"] for each in server.requests] == ["/a/f0.mp4?sign=1", "/moved/1", "/moved/2"]


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("/again", "redirects more than 5 times"),
        ("file:///etc/passwd", "is not an HTTP URL"),
        ("ftp://h/f", "is not an HTTP URL"),
        ("http://h:99999/f", "is not an HTTP URL"),
    ],
)
def test_a_redirect_that_leads_nowhere(serve: Callable[[Serve], Server], location: str, words: str) -> None:
    """A redirect in circles, or to anything but HTTP, is an error."""
    server = serve(lambda handler, number: answer(handler, 302, b"", location=location))
    with pytest.raises(MediaError, match=words):
        read(server.url)


def test_a_redirect_to_a_private_address(serve: Callable[[Serve], Server], monkeypatch: pytest.MonkeyPatch) -> None:
    """A public server cannot redirect to an address that is not public."""
    from airflow_vod.tencent import addresses

    inside = serve(lambda handler, number: answer(handler, 200, b"secret"))
    outside = serve(
        lambda handler, number: answer(handler, 302, b"", location=inside.url.replace("127.0.0.1", "127.0.0.2"))
    )
    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1")
    downloader = Downloader(VodSettings(), lambda url: url, lambda seconds: None)
    with pytest.raises(MediaError, match=r"127\.0\.0\.2 has the address"):
        list(downloader.open(outside.url))
    assert inside.requests == []


def test_through_a_proxy(serve: Callable[[Serve], Server]) -> None:
    """With a proxy in the connection the request goes there, and a private target is refused before it does."""
    proxy = serve(lambda handler, number: answer(handler, 200, CONTENT))
    address = proxy.url.removesuffix("/a/f0.mp4")
    assert read("http://media.example.invalid/a/f0.mp4", proxy=address) == CONTENT
    assert proxy.requests[0]["path"] == "http://media.example.invalid/a/f0.mp4"
    downloader = Downloader(VodSettings(proxy=address), lambda url: url, lambda seconds: None)
    with pytest.raises(MediaError, match="which is private or reserved"):
        list(downloader.open("http://169.254.169.254/latest/meta-data"))
    assert len(proxy.requests) == 1


def test_a_ca_file_that_is_not_there() -> None:
    """What is wrong with the connection is said as it is everywhere else."""
    with pytest.raises(VodSettingsError, match="this machine has no such file"):
        read("https://media.example.invalid/f.mp4", verify="/no/such/file.pem")


def test_giving_up_while_waiting(serve: Callable[[Serve], Server]) -> None:
    """A pause that raises ends the download."""
    server = serve(lambda handler, number: answer(handler, 503, b""))

    def pause(seconds: float) -> None:
        assert 0 < seconds <= 16
        raise InterruptedError("the task ends")

    downloader = Downloader(VodSettings(), lambda url: url, pause, allow_private=True)
    with pytest.raises(InterruptedError):
        list(downloader.open(server.url))
    assert len(server.requests) == 1
