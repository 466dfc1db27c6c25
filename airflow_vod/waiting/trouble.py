"""What keeps events from coming to those who wait, as far as it is known, in words for them.

Invariants: the words name what does not answer, since when, and why; they are read from the record that whoever pulls keeps in
the inbox, so every process says the same of a queue. What lasts for less than `HITCH` is no trouble yet.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_vod.relay.health import RelayHealth

if TYPE_CHECKING:
    from airflow_vod.exceptions import InboxUnavailableError
    from airflow_vod.inbox import InboxStore
    from airflow_vod.inbox.records import Lease

log = logging.getLogger(__name__)

HITCH = 10.0  # seconds
_CHECK_EVERY = 5.0  # seconds


def pulls_in_words(lease: Lease | None, *, at_least: float = 0.0) -> str:
    """Say that pulls of a queue fail.

    :param lease: of the queue, whoever holds it.
    :param at_least: seconds for which they must have failed to be spoken of.
    :return: empty where they do not.
    """
    health = RelayHealth.from_dict(lease.info if lease else {})
    since_at = health.failing_since_at
    if since_at is None or health.by_callback or time.time() - since_at < at_least:
        return ""
    return f"Pulls have failed since {moment_in_words(since_at)}: {health.failure or 'no answer'}"


def moment_in_words(moment_at: float) -> str:
    """Write a past moment so that it can be found in other logs, with how long ago it was.

    :param moment_at: Unix seconds.
    """
    ago = max(time.time() - moment_at, 0.0)
    return f"{datetime.fromtimestamp(moment_at, UTC):%Y-%m-%d %H:%M:%S} UTC, {ago:.0f} s ago"


class Troubles:
    """The troubles of one queue, as a watch sees them. Belongs to the thread of the watch; others may read `text`.

    :param inbox: the inbox.
    :param queue: name of the queue.
    """

    def __init__(self, inbox: InboxStore, queue: str) -> None:
        self._inbox = inbox
        self._queue = queue
        self._pulls = self._outage = ""
        self._outage_since_at: float | None = None
        self._check_due = time.monotonic() + HITCH  # what an earlier process wrote down may be over

    @property
    def text(self) -> str:
        """What is wrong; empty where nothing is known to be."""
        return self._outage or self._pulls

    def check(self, now: float) -> float:
        """Read whether the queue is pulled.

        :param now: monotonic, as is the answer: when to look again.
        """
        if now >= self._check_due:
            self._pulls = pulls_in_words(self._inbox.leases.read(self._queue), at_least=HITCH)
            self._check_due = now + _CHECK_EVERY
        return self._check_due

    def inbox_fails(self, error: InboxUnavailableError) -> None:
        """Take note that the inbox does not answer; the log hears of it once."""
        if self._outage_since_at is None:
            self._outage_since_at = time.time()
            log.warning("Cannot read the inbox for queue %s, trying again every second: %s", self._queue, error)
        if time.time() - self._outage_since_at >= HITCH:
            self._outage = f"The inbox has not answered since {moment_in_words(self._outage_since_at)}: {error}"

    def inbox_answers(self) -> None:
        """Take note that the inbox answers."""
        if self._outage_since_at is not None:
            self._outage, self._outage_since_at = "", None
            log.info("Can read the inbox for queue %s again", self._queue)
