"""Fetches many files at once from VOD to a storage.

Invariants: a file that does not arrive as VOD describes it does not arrive at all; as soon as one fails, or the task is ended,
the others are given up as well, and nothing partial is left.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_vod.exceptions import MediaError
from airflow_vod.hooks.storage import writing
from airflow_vod.tencent.download import Download, Downloader
from airflow_vod.tencent.signing import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_vod.events.results import ResultFile
    from airflow_vod.tencent.settings import VodSettings

_PROGRESS = 10.0  # seconds between two lines in the log
_PLAYLISTS = frozenset({"m3u8", "mpd"})
_MD5 = re.compile(r"[0-9a-f]{32}")

log = logging.getLogger(__name__)


@dataclass
class Fetch:
    """One file to fetch.

    :param file: what VOD says of it; it has a URL.
    :param path: where it goes.
    :param received: bytes so far.
    :param download: the file as it is being read; None before that.
    """

    file: ResultFile
    path: ObjectStoragePath
    received: int = 0
    download: Download | None = None

    @property
    def is_playlist(self) -> bool:
        """Whether the file only names others (HLS, DASH)."""
        return (self.file.type or "").lower() in _PLAYLISTS

    @property
    def size(self) -> int | None:
        """Bytes by VOD's account; None where it gives none, as for a playlist: there it counts all of the parts."""
        size = self.file.metadata.get("size")
        return size if isinstance(size, int) and size > 0 and not self.is_playlist else None

    @property
    def md5(self) -> str | None:
        """MD5 by VOD's account, lower-case hexadecimal; None where it gives none."""
        md5 = str(self.file.metadata.get("md5") or "").lower()
        return md5 if _MD5.fullmatch(md5) and not self.is_playlist else None


@dataclass
class Fetcher:
    """Fetches files in threads.

    :param settings: proxy and TLS verification.
    :param sign: makes the URL to request of a file's URL.
    :param at_once: files that are fetched at the same time.
    :param allow_private: whether addresses that are not public may be connected to.
    """

    settings: VodSettings
    sign: Callable[[str], str]
    at_once: int = 4
    allow_private: bool = False
    _stop: threading.Event = field(default_factory=threading.Event, init=False)

    def fetch(self, fetches: Sequence[Fetch]) -> None:
        """Fetch files.

        :param fetches: which, and where to; those that were fetched stay if another one fails.
        :raises MediaError: a file cannot be fetched, or is not the one that VOD describes.
        :raises OSError: the storage cannot be written to.
        """
        began = time.monotonic()
        downloader = Downloader(self.settings, self.sign, self._pause, allow_private=self.allow_private)
        with self._threads() as pool:
            futures = [pool.submit(self._fetch_one, downloader, fetch) for fetch in fetches]
            self._watch(futures, fetches, began)
        downloader.close()
        log.info("Fetched %s", _progress(fetches, time.monotonic() - began))

    @contextmanager
    def _threads(self) -> Iterator[ThreadPoolExecutor]:
        pool = ThreadPoolExecutor(self.at_once, thread_name_prefix="vod-fetch")
        try:
            yield pool
        except BaseException:  # also when the task is killed or times out
            self._stop.set()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _watch(self, futures: Sequence[Future[None]], fetches: Sequence[Fetch], began: float) -> None:
        """Wait for all, report now and then, and raise the first error."""
        pending: set[Future[None]] = set(futures)
        while pending:
            done, pending = wait(pending, timeout=_PROGRESS, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            if pending:
                log.info("Fetching: %s", _progress(fetches, time.monotonic() - began))

    def _fetch_one(self, downloader: Downloader, fetch: Fetch) -> None:
        url = str(fetch.file.url)
        if fetch.is_playlist:
            log.warning("%s is a playlist: it is fetched without the segments that it names", shown(url))
        digest = hashlib.md5(usedforsecurity=False) if fetch.md5 else None
        fetch.download = download = downloader.open(url)
        with writing(fetch.path, fetch.size) as out:
            for block in download:
                if self._stop.is_set():
                    raise MediaError(f"{shown(url)} was given up, because the task ends.")
                out.write(block)
                fetch.received += len(block)
                if digest:
                    digest.update(block)
            self._check(fetch, digest)
        log.info("%s is now %s (%s)", shown(url), fetch.path, _bytes(fetch.received))

    def _check(self, fetch: Fetch, digest: Any) -> None:
        """Compare what came with what VOD says.

        :raises MediaError: it is something else.
        """
        url = shown(str(fetch.file.url))
        remedy = "Nothing was kept. Run the task again; if it fails again, look at the file in the VOD console."
        if fetch.size is not None and fetch.received != fetch.size:
            raise MediaError(f"{url} has {fetch.received} bytes, but {fetch.size} by VOD's account. {remedy}")
        if digest and digest.hexdigest() != fetch.md5:
            raise MediaError(f"{url} has the MD5 {digest.hexdigest()}, but {fetch.md5} by VOD's account. {remedy}")

    def _pause(self, seconds: float) -> None:
        self._stop.wait(seconds)


def _progress(fetches: Sequence[Fetch], seconds: float) -> str:
    """Say how much has come, of how much, and how fast."""
    received = sum(fetch.received for fetch in fetches)
    sizes = [fetch.size or (fetch.download.size if fetch.download else None) for fetch in fetches]
    known = [size for size in sizes if size is not None]
    total = f" of {_bytes(sum(known))}" if len(known) == len(sizes) else ""
    return f"{_bytes(received)}{total} of {len(fetches)} files, {_bytes(received / max(seconds, 0.001))}/s"


def _bytes(number: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.2f} GiB"
