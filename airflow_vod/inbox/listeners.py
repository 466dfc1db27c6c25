"""How a process learns that another one has committed events.

Invariant: a listener may report a commit that did not happen, or report one twice, but it never swallows one: after a broken
connection its next successful answer reports every queue.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

log = logging.getLogger(__name__)

CHANNEL = "vod_inbox"  # of NOTIFY; the payload is the queue's name, at most 1020 of the 8000 bytes allowed

_PROOF = "proof "  # begins the payload of a notification that only proves that notifications arrive; no queue begins so
_PROOF_PATIENCE = 5.0  # seconds


class Listener(Protocol):
    """Reports that some process has committed events."""

    def listen(self, timeout: float, stop: threading.Event | None) -> Collection[str | None]:
        """Block until there is news, `timeout` has passed or `stop` is set. Only one thread may call this at a time.

        :param timeout: seconds.
        :param stop: ends the call early.
        :return: names of the queues in which events may have been committed since the previous call; None stands for any
            queue.
        """

    def close(self) -> None:
        """Release the listener's connection, if it has one."""


class PollingListener:
    """Polls the positions of all queues; a position grows with every event.

    :param positions: reads the position of each queue by its name; returns None while the database does not answer.
    """

    def __init__(self, positions: Callable[[], Mapping[str, int] | None]) -> None:
        self._read_positions = positions
        self._last = positions() or {}

    def listen(self, timeout: float, stop: threading.Event | None) -> Collection[str | None]:
        """Sleep for `timeout` seconds, or until `stop` is set, then compare the positions with those read before."""
        _sleep(timeout, stop)
        current = self._read_positions()
        if current is None:
            return ()
        last, self._last = self._last, current
        return [queue for queue, position in current.items() if position != last.get(queue)]

    def close(self) -> None:
        """Do nothing: there is no connection to release."""


class NotifyListener:
    """Holds one PostgreSQL connection that is notified of each commit (psycopg 3.2 or newer).

    A broken connection is replaced, and the first answer after that reports every queue, because notifications sent
    meanwhile are lost. Where LISTEN is accepted but notifications never arrive, as behind a pooler that shares sessions
    (PgBouncer's transaction pooling), it polls; and so it does until it has heard what another session told it.

    :param engine: where connections come from.
    :param polling: makes the fallback.
    """

    def __init__(self, engine: Engine, polling: Callable[[], PollingListener]) -> None:
        driver: Any = engine.dialect.dbapi
        self._errors = (SQLAlchemyError, driver.Error)
        self._engine = engine
        self._make_fallback = polling
        self._handle: Any = None  # SQLAlchemy closes the connection when this is garbage-collected
        self._connection: Any = None
        self._polling: PollingListener | None = None  # until it is proven that notifications arrive
        self._proof = ""  # what is to be heard for that
        self._prove_by = 0.0  # monotonic

    @property
    def polls(self) -> bool:
        """Whether it is not known that notifications arrive."""
        return self._polling is not None

    def listen(self, timeout: float, stop: threading.Event | None) -> Collection[str | None]:
        """Wait on the socket; `stop` does not interrupt that, so keep `timeout` short."""
        if self._connection is None and self._polling is not None:
            return self._polling.listen(timeout, stop)
        try:
            if self._connection is None:
                self._connect()
                return (None,)
            heard = self._hear(timeout)
        except self._errors:  # the caller's next read of the inbox reports what is wrong
            self._polling = None  # what comes next is another connection, perhaps by another way
            self.close()
            _sleep(timeout, stop)
            return ()
        return heard if self._polling is None else {*heard, *self._polling.listen(0, stop)}

    def _hear(self, timeout: float) -> Collection[str | None]:
        heard = list(self._connection.notifies(timeout=timeout, stop_after=1))
        if heard:
            heard += self._connection.notifies(timeout=0)  # drain a burst of commits at once
        payloads = {one.payload for one in heard}
        if self._proof in payloads:
            self._polling = None
        elif self._polling is not None and time.monotonic() >= self._prove_by:
            log.info("The database's notifications do not arrive here, as behind a pooler: the inbox is polled instead")
            self._connection.execute(f"UNLISTEN {CHANNEL}")  # a pooler would hand the session on as it is
            self.close()
        return {payload for payload in payloads if payload and not payload.startswith(_PROOF)}

    def _connect(self) -> None:
        self._handle = self._engine.raw_connection()
        connection: Any = self._handle.driver_connection
        self._handle.detach()
        connection.rollback()
        connection.autocommit = True
        self._connection = connection
        self._polling = self._make_fallback()
        try:
            connection.execute(f"LISTEN {CHANNEL}")
            self._ask_for_proof()
        except self._errors:
            if connection.closed:
                raise
            self.close()  # the database does not announce

    def _ask_for_proof(self) -> None:
        """Let another session notify this one, which is idle: what a session sends to itself arrives through any pooler."""
        self._proof, self._prove_by = f"{_PROOF}{uuid.uuid4().hex}", time.monotonic() + _PROOF_PATIENCE
        handle = self._engine.raw_connection()
        try:
            other: Any = handle.driver_connection
            other.execute("SELECT pg_notify(%s, %s)", (CHANNEL, self._proof))
            other.commit()
        finally:
            handle.close()

    def close(self) -> None:
        """Close the connection."""
        handle, self._handle, self._connection = self._handle, None, None
        if handle is not None:
            with contextlib.suppress(Exception):
                handle.driver_connection.close()
                handle.invalidate()  # otherwise SQLAlchemy would try to reset a lost connection, and log the failure


def _sleep(seconds: float, stop: threading.Event | None) -> None:
    if stop is None:
        time.sleep(seconds)
    else:
        stop.wait(seconds)
