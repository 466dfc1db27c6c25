"""The settings of connections, as a web server needs them: without delay, and read from where a web server may read.

Invariant: settings are never returned more than `TTL` seconds after they were read, and the number of cached connections is
bounded, whatever clients ask for.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cachetools import TLRUCache

from airflow_vod.exceptions import VodSettingsError
from airflow_vod.hooks.server import ServerHook

if TYPE_CHECKING:
    from airflow_vod.tencent.settings import VodSettings

log = logging.getLogger(__name__)

TTL = 15.0  # seconds that settings are cached
TTL_UNUSABLE = (
    2.0  # the same for an unusable connection: Airflow also reports one as missing while its database is down
)
_MAX_CONNECTIONS = 256
_CONN_ID = re.compile(r"[A-Za-z0-9._-]{1,250}")


def read_settings(conn_id: str) -> VodSettings | None:
    """Read a connection on the API server.

    :param conn_id: its id.
    :return: its settings; None when it does not exist, is of another type or is not valid; the log says which.
    """
    try:
        if ServerHook.get_connection(conn_id).conn_type != ServerHook.conn_type:
            log.warning("A callback names connection %s, which is not of type %s", conn_id, ServerHook.conn_type)
            return None
        return ServerHook(conn_id).get_settings()
    except VodSettingsError as error:
        log.warning("A callback cannot be accepted: %s", error)
    except Exception as error:  # whatever a secrets backend raises; its text may contain a secret
        log.warning("A callback names connection %s, which cannot be read: %s", conn_id, type(error).__name__)
    return None


@dataclass(frozen=True, slots=True)
class _Entry:
    settings: VodSettings | None
    read_monotonic: float

    def expires(self, now_monotonic: float) -> float:
        return now_monotonic + (TTL if self.settings else TTL_UNUSABLE)


class Connections:
    """A cache of settings by connection id, for one event loop.

    :param read: reads the settings of a connection; called in a thread.
    :param clock: monotonic seconds.
    """

    def __init__(
        self,
        read: Callable[[str], VodSettings | None] = read_settings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._clock = clock
        self._cache: TLRUCache[str, _Entry] = TLRUCache(
            _MAX_CONNECTIONS, ttu=lambda conn_id, entry, now: entry.expires(now), timer=clock
        )
        self._reading: dict[str, asyncio.Task[VodSettings | None]] = {}

    async def settings(self, conn_id: str) -> VodSettings | None:
        """Return the settings of a connection.

        :param conn_id: its id, as given by the client.
        :return: its settings; None when it cannot be used.
        """
        if not _CONN_ID.fullmatch(conn_id):
            return None
        cached = self._cache.get(conn_id)
        if cached and (cached.settings is None or self._clock() - cached.read_monotonic < TTL / 2):
            return cached.settings
        # Callbacks arrive in bursts: a single read serves all that wait for it.
        reading = self._reading.get(conn_id)
        if reading is None:
            reading = self._reading[conn_id] = asyncio.create_task(self._refresh(conn_id))
            reading.add_done_callback(lambda _: self._reading.pop(conn_id, None))
        # In the second half of their lifetime, cached settings are refreshed without anybody waiting for it.
        return cached.settings if cached else await asyncio.shield(reading)

    async def _refresh(self, conn_id: str) -> VodSettings | None:
        settings = await asyncio.to_thread(self._read, conn_id)
        self._cache[conn_id] = _Entry(settings, self._clock())
        return settings
