"""The settings of connections, as a web server needs them: without delay, and read from where a web server may read.

Invariants: settings are never returned more than `TTL` seconds after they were read. Names that strangers make up have threads,
a budget and a cache of their own, so they neither delay nor evict the names that are known. A name is known if Airflow lists a
connection of that name, or once a callback for it has proven itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cachetools import TLRUCache

from airflow_vod.exceptions import VodSettingsError
from airflow_vod.hooks.server import ServerHook
from airflow_vod.web.budgets import HourlyBudget, RateBudget
from airflow_vod.web.threads import Threads

if TYPE_CHECKING:
    from airflow_vod.tencent.settings import VodSettings

log = logging.getLogger(__name__)

TTL = 15.0  # seconds that settings are cached
TTL_UNUSABLE = (
    2.0  # the same for an unusable connection: Airflow also reports one as missing while its database is down
)
READ_TIMEOUT = 3.0  # seconds that a callback waits for the settings of a known connection
UNKNOWN_TIMEOUT = 1.0  # the same for a name that nobody knows; what is read later serves its next callback
UNKNOWN_PER_SECOND = 5.0  # names that nobody knows, looked up per process
UNKNOWN_BURST = 20
UNKNOWN_READING = 20  # such names looked up at once, where the secrets backend is slow
LINES_PER_HOUR = 10  # log lines per reason and process
_MAX_KNOWN = 1024
_MAX_UNKNOWN = 1024
_CONN_ID = re.compile(r"[A-Za-z0-9._-]{1,250}")
_ENVIRONMENT = "AIRFLOW_CONN_"

_lines = HourlyBudget(LINES_PER_HOUR, time.time)


def read_settings(conn_id: str) -> VodSettings | None:
    """Read a connection on the API server.

    :param conn_id: its id.
    :return: its settings; None when it does not exist, is of another type or is not valid; the log says which.
    """
    try:
        return ServerHook(conn_id).get_settings()
    except VodSettingsError as error:
        _warn("A callback for connection %s cannot be accepted: %s", conn_id, error)
    except Exception as error:  # whatever a secrets backend raises; its text may contain a secret
        _warn("A callback names connection %s, which cannot be read: %s", conn_id, type(error).__name__)
    return None


def listed_connections() -> frozenset[str]:
    """List the ids of connections of our type that Airflow can list: those in its environment and its database.

    :return: the ids, those of the environment in lower case; a secrets backend lists none.
    """
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select

    names = {name.removeprefix(_ENVIRONMENT).lower() for name in os.environ if name.startswith(_ENVIRONMENT)}
    with create_session() as session:
        names |= set(session.scalars(select(Connection.conn_id).where(Connection.conn_type == ServerHook.conn_type)))
    return frozenset(names)


def _warn(text: str, *values: object) -> None:
    if _lines.take(text):
        log.warning(text, *values)


@dataclass(frozen=True, slots=True)
class _Entry:
    settings: VodSettings | None
    read_monotonic: float

    @property
    def expires_monotonic(self) -> float:
        return self.read_monotonic + (TTL if self.settings else TTL_UNUSABLE)


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
        self._listed: frozenset[str] = frozenset()
        self._known: dict[str, _Entry | None] = {}
        self._unknown: TLRUCache[str, _Entry] = TLRUCache(
            _MAX_UNKNOWN, ttu=lambda _, entry, now: entry.expires_monotonic, timer=clock
        )
        self._reading: dict[str, asyncio.Task[VodSettings | None]] = {}
        self._unknown_reading = 0
        self._threads = Threads("vod-connections", 2)
        self._unknown_threads = Threads("vod-unknown-connections", 2)
        self._budget = RateBudget(UNKNOWN_PER_SECOND, UNKNOWN_BURST, clock)

    def learn(self, names: frozenset[str]) -> None:
        """Take note of names that exist, so that their first callback is not looked up among those of strangers.

        :param names: connection ids.
        """
        self._listed = names

    def trust(self, conn_id: str) -> None:
        """Take note that a callback for this connection has proven itself.

        :param conn_id: its id.
        """
        if conn_id not in self._known and len(self._known) < _MAX_KNOWN:
            self._known[conn_id] = self._unknown.pop(conn_id, None)

    async def settings(self, conn_id: str) -> VodSettings | None:
        """Return the settings of a connection.

        :param conn_id: its id, as given by the client.
        :return: its settings; None when it cannot be used, or was not read in time.
        """
        if not _CONN_ID.fullmatch(conn_id):
            return None
        if conn_id in self._listed:
            self._known.setdefault(conn_id, None)
        entry, now = self._known.get(conn_id) or self._unknown.get(conn_id), self._clock()
        if entry is not None and now < entry.expires_monotonic:
            if entry.settings is not None and now - entry.read_monotonic >= TTL / 2:
                self._refresh(conn_id)  # ahead of time, so that nobody has to wait for it
            return entry.settings
        reading = self._refresh(conn_id)
        if reading is None:
            return None
        timeout = READ_TIMEOUT if conn_id in self._known else UNKNOWN_TIMEOUT
        try:
            return await asyncio.wait_for(asyncio.shield(reading), timeout)
        except TimeoutError:
            return None

    def _refresh(self, conn_id: str) -> asyncio.Task[VodSettings | None] | None:
        """Read a connection; a single read serves all callbacks that wait for it.

        :return: None where there are too many names that nobody knows.
        """
        if (reading := self._reading.get(conn_id)) is not None:
            return reading
        known = conn_id in self._known
        if not known and (self._unknown_reading >= UNKNOWN_READING or not self._budget.take()):
            return None
        self._unknown_reading += not known
        reading = self._reading[conn_id] = asyncio.create_task(self._store(conn_id, known))
        reading.add_done_callback(lambda _: self._forget(conn_id, known))
        return reading

    def _forget(self, conn_id: str, known: bool) -> None:
        del self._reading[conn_id]
        self._unknown_reading -= not known

    async def _store(self, conn_id: str, known: bool) -> VodSettings | None:
        threads = self._threads if known else self._unknown_threads
        settings = await threads.run(lambda: self._read(conn_id))
        entry = _Entry(settings, self._clock())
        if conn_id in self._known:
            self._known[conn_id] = entry
        else:
            self._unknown[conn_id] = entry
        return settings
