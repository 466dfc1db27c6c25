"""The settings of a connection as a web server needs them: quickly, and from where a web server may read.

Invariant: what is answered is never older than `FRESH` seconds, and what is kept never grows with what strangers ask for.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_vod.exceptions import VodSettingsError
from airflow_vod.hooks.server import ServerHook

if TYPE_CHECKING:
    from airflow_vod.tencent.settings import VodSettings

log = logging.getLogger(__name__)

FRESH = 15.0  # seconds for which a connection is believed to be as it was
FRESH_UNKNOWN = 2.0  # the same of one that is not there: Airflow says so, too, while its own database does not answer
_MOST = 256  # connections that are kept
_CONN_ID = re.compile(r"[A-Za-z0-9._-]{1,250}")


def read_settings(conn_id: str) -> VodSettings | None:
    """Read a connection on the API server.

    :return: None where it does not exist, is of another type, or cannot work; the log says which.
    """
    try:
        if ServerHook.get_connection(conn_id).conn_type != ServerHook.conn_type:
            log.warning("A callback names the connection %s, which is not of type %s", conn_id, ServerHook.conn_type)
            return None
        return ServerHook(conn_id).get_settings()
    except VodSettingsError as error:
        log.warning("A callback cannot be accepted. %s", error)
    except Exception as error:  # whatever a secrets backend raises; its text may hold a secret
        log.warning("A callback names the connection %s, which cannot be read: %s", conn_id, type(error).__name__)
    return None


class Connections:
    """Settings by connection id, kept for a short time.

    :param read: reads them, in a thread.
    :param clock: seconds that only grow.
    """

    def __init__(
        self,
        read: Callable[[str], VodSettings | None] = read_settings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, VodSettings | None]] = OrderedDict()
        self._reading: dict[str, asyncio.Task[VodSettings | None]] = {}

    async def settings(self, conn_id: str) -> VodSettings | None:
        """Answer the settings of a connection.

        :return: None where it cannot be used.
        """
        if not _CONN_ID.fullmatch(conn_id):
            return None
        until, settings = self._known.get(conn_id, (float("-inf"), None))
        left = until - self._clock()
        if left > 0 and (settings is None or left > FRESH / 2):
            return settings
        # One reads for all who ask meanwhile: callbacks come in crowds.
        reading = self._reading.get(conn_id)
        if reading is None:
            reading = self._reading[conn_id] = asyncio.create_task(self._read_anew(conn_id))
            reading.add_done_callback(lambda _: self._reading.pop(conn_id, None))
        # What is known is still good for a while: nobody has to wait for the new reading.
        return settings if left > 0 else await asyncio.shield(reading)

    async def _read_anew(self, conn_id: str) -> VodSettings | None:
        settings = await asyncio.to_thread(self._read, conn_id)
        self._known[conn_id] = (self._clock() + (FRESH if settings else FRESH_UNKNOWN), settings)
        self._known.move_to_end(conn_id)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        return settings
