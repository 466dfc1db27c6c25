"""Reads a media file over HTTP, block by block, and goes on where a connection broke.

Invariants: what is yielded is the beginning of one and the same file, in order, and no byte twice; where that cannot be made
sure, an error is raised instead. No error and no log line holds the query of a URL, which may be a signature.
"""

from __future__ import annotations

import logging
import random
import re
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import urllib3

from airflow_vod.exceptions import MediaError
from airflow_vod.tencent.addresses import check_host, only_public
from airflow_vod.tencent.network import make_pool
from airflow_vod.tencent.signing import is_signed, shown

if TYPE_CHECKING:
    from airflow_vod.tencent.settings import VodSettings

BLOCK = 1024 * 1024  # bytes read at once
_TRIES = 5  # requests in a row that bring nothing
_REDIRECTS = 5
_TIMEOUT = urllib3.Timeout(connect=10.0, read=30.0)  # seconds; the latter between two reads
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")

log = logging.getLogger(__name__)


class _NoSignatures(logging.Filter):
    """Keeps urllib3's DEBUG lines about signed URLs away."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.DEBUG or "sign=" not in record.getMessage()


logging.getLogger("urllib3.connectionpool").addFilter(_NoSignatures())


class Downloader:
    """Opens media files. Safe to use from many threads at once.

    :param settings: proxy and TLS verification.
    :param sign: makes the URL to request of a file's URL; called anew for each request, so that no signature expires meanwhile.
    :param pause: waits for seconds; it may raise to give up.
    :param allow_private: whether addresses that are not public may be connected to.
    """

    def __init__(
        self,
        settings: VodSettings,
        sign: Callable[[str], str],
        pause: Callable[[float], None],
        *,
        allow_private: bool = False,
    ) -> None:
        self._settings = settings
        self._pools: dict[tuple[str, str], urllib3.PoolManager] = {}
        self._lock = threading.Lock()
        self._checks = not allow_private
        self._sign = sign
        self._pause = pause

    def close(self) -> None:
        """Close the kept connections."""
        for pool in self._pools.values():
            pool.clear()

    def open(self, url: str) -> Download:
        """Begin to read a file; nothing is requested yet.

        :param url: of the file.
        """
        return Download(self, url)

    def pause(self, failures: int) -> None:
        """Wait longer the more often something has failed in a row."""
        self._pause(random.uniform(0.5, 1.0) * 2 ** (failures - 1))  # noqa: S311 - not for cryptography

    def request(self, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """Request a file, also from where a server redirects to.

        :raises MediaError: a redirect leads nowhere, or an address is not public.
        :raises OSError: there was no answer; urllib3's errors are raised as they are.
        """
        target = self.sign(url)
        for _ in range(_REDIRECTS + 1):
            response = self._pool_for(target).urlopen(
                "GET",
                target,
                headers={"Accept-Encoding": "identity", **headers},
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=_TIMEOUT,
            )
            location = response.headers.get("Location")
            if not 300 <= response.status < 400 or not location:
                return response
            response.close()
            target = urllib.parse.urljoin(target, location)
        raise MediaError(f"{shown(url)} redirects more than {_REDIRECTS} times.")

    def sign(self, url: str) -> str:
        """Make the URL to request of a file's URL."""
        return self._sign(url)

    def _pool_for(self, url: str) -> urllib3.PoolManager:
        """Return the pool for a URL: directly to public addresses, or through a proxy.

        :raises MediaError: the URL is not one of HTTP, or its host is not public as far as can be told from here.
        """
        scheme, host, port = _target(url)
        with self._lock:
            pool = self._pools.get((scheme, host))
            if pool is None:
                pool = make_pool(self._settings, url)
                if self._checks and not isinstance(pool, urllib3.ProxyManager):
                    only_public(pool)
                self._pools[scheme, host] = pool
        if self._checks and isinstance(pool, urllib3.ProxyManager):
            try:  # the proxy resolves the name again, so this is the best that can be done from here
                check_host(host, port)
            except OSError:
                log.debug("%s does not resolve here; the proxy may know it", host)
        return pool


def _target(url: str) -> tuple[str, str, int]:
    """Split scheme, host and port off a URL.

    :raises MediaError: it is not one of HTTP.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise MediaError(f"{shown(url)} is not an HTTP URL, so nothing is fetched from there.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise MediaError(f"{shown(url)} is not an HTTP URL, so nothing is fetched from there.")
    return parts.scheme, parts.hostname, port


@dataclass
class Download:
    """One file that is being read.

    :param downloader: makes the requests.
    :param url: of the file.
    :param position: bytes read so far.
    :param size: bytes of the whole file; None while it is not known.
    """

    downloader: Downloader
    url: str
    position: int = 0
    size: int | None = None
    _version: tuple[str | None, str | None] | None = None
    """ETag and Last-Modified of the file that is being read; None before the first answer."""

    def __iter__(self) -> Iterator[bytes]:
        """Read the whole file.

        :return: its blocks; a megabyte at most.
        :raises MediaError: it cannot be read, or not as one file.
        """
        failures = 0
        while True:
            before = self.position
            try:
                yield from self._go_on()
                return
            except (urllib3.exceptions.HTTPError, OSError) as error:
                failures = 0 if self.position > before else failures + 1
                if failures == _TRIES:
                    raise MediaError(
                        f"{shown(self.url)} cannot be read beyond byte {self.position}: {_short(error)}, {_TRIES} times "
                        "in a row. Check the network, or run the task again later."
                    ) from None
                log.warning("%s: %s at byte %d; going on", shown(self.url), _short(error), self.position)
                self.downloader.pause(max(1, failures))

    def _go_on(self) -> Iterator[bytes]:
        """Request what is missing, and read it until it ends or breaks off."""
        response = self.downloader.request(self.url, self._headers())
        try:
            skip = self._place(response)
            while block := response.read(BLOCK):
                rest = block[skip:] if skip else block
                skip -= len(block) - len(rest)
                if rest:
                    self.position += len(rest)
                    yield rest
        finally:
            if self.size is not None and self.position == self.size:
                response.release_conn()
            else:
                response.close()

    def _place(self, response: urllib3.BaseHTTPResponse) -> int:
        """Check that an answer goes on with the same file.

        :return: bytes at the beginning of the answer that were read before.
        """
        if response.status not in (200, 206):
            raise self._refusal(response)
        size, begin = self.size, 0
        if response.status == 206:
            place = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            begin = int(place[1]) if place else -1
            if place is None or begin != self.position:
                raise MediaError(
                    f"{shown(self.url)}: the server sent another part than byte {self.position} and after."
                )
            size = int(place[2]) if place[2].isdecimal() else size
        elif (length := response.headers.get("Content-Length", "")).isdecimal():
            size = int(length)
        version = response.headers.get("ETag"), response.headers.get("Last-Modified")
        if self._version is not None and (size, version) != (self.size, self._version):
            raise MediaError(f"{shown(self.url)} changed while it was read. Run the task again.")
        self.size, self._version = size, version
        return self.position - begin

    def _headers(self) -> dict[str, str]:
        """Ask for what is missing, if the server can promise that it belongs to the same file (RFC 9110, 13.1.5)."""
        etag = self._version[0] if self._version else None
        if not self.position or (etag or "").startswith("W/"):
            return {}
        return {"Range": f"bytes={self.position}-", **({"If-Range": etag} if etag else {})}

    def _refusal(self, response: urllib3.BaseHTTPResponse) -> Exception:
        if response.status in _PASSING:
            return urllib3.exceptions.HTTPError(f"HTTP {response.status}")
        why = f"{shown(self.url)} was refused with HTTP {response.status}."
        if response.status == 403 and is_signed(self.downloader.sign(self.url)):
            hint = (
                "It was signed: check playback_secret of the connection against the domain's key in the VOD console, and the "
                "clock of this machine; a URL that came with a signature of its own may have expired."
            )
        elif response.status == 403:
            hint = "It was not signed: if the domain has hotlink protection by key, give the connection its playback_secret."
        elif response.status in (404, 410):
            hint = "VOD has no such file any more: it was deleted, or expired (temporary AIGC outputs do so after about 7 days)."
        else:
            hint = "Open the URL in the VOD console to see whether the file is still there."
        return MediaError(f"{why} {hint}")


def _short(error: BaseException) -> str:
    """Describe a network error without the URL that urllib3 may write into it."""
    cause = error.args[-1] if isinstance(error, urllib3.exceptions.ProtocolError) and error.args else error
    text = str(cause).rpartition(": ")[2].rpartition("(")[2].rstrip(")")
    return f"{type(cause).__name__}{f' ({text})' if text and 'sign=' not in text else ''}"[:200]
