"""Keeps the lease of one queue, and tells the log whether this process pulls.

Invariants: all state belongs to the thread of the pipeline; the log has one line for each change of what this process does,
so its reader knows at every moment whether it pulls, stands by or is in trouble.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_vod.exceptions import InboxUnavailableError
from airflow_vod.relay.backoff import Backoff

if TYPE_CHECKING:
    from airflow_vod.relay.steps import Relay
    from airflow_vod.relay.workers import Workers

log = logging.getLogger(__name__)

LEASE_RENEWAL = 1.0  # seconds between renewals
ELECTION_PAUSE = 0.7  # seconds between two looks at a lease that another process holds
YIELD_AFTER = 60.0  # seconds without an answer to a pull after which another process may try: its network may be better
YIELD_FOR = 15.0  # seconds that it has to begin
_LEASE_BACKOFF = 1.0  # seconds between two tries at most: some must fit into what is left of a lease
_NEVER = float("inf")

_PULLS = "This process pulls the events of queue %s"
_BY_CALLBACK = "This process does not pull queue %s: its application announces events by callback (PUSH)"
_STANDS_BY = "This process stands by and another one may pull the events of queue %s"
_CUT_OFF = "This process no longer pulls queue %s: it could not renew its lease"


class Leadership:
    """The part of a pipeline that gets, renews and gives up the lease.

    :param relay: whose lease it is.
    :param workers: run the calls to the inbox.
    :param pulls: the backoff of the pulls; while they fail for too long, the lease is given up.
    :param fail: called with an error that ends the pipeline.
    """

    def __init__(self, relay: Relay, workers: Workers, pulls: Backoff, fail: Callable[[BaseException], None]) -> None:
        self.leading = False
        self.busy = False  # a call is open
        self._relay = relay
        self._workers = workers
        self._pulls = pulls
        self._fail = fail
        self._backoff = Backoff(
            f"reach the lease of queue {relay.queue} in the inbox", _LEASE_BACKOFF, clock=relay.clock, rng=relay.rng
        )
        self._yielding = False
        self._role = ""  # what the log was told last
        self._renew_due = float("-inf")  # monotonic

    @property
    def decided(self) -> bool:
        """Whether it is known who has the lease: this process or another."""
        return bool(self._role)

    @property
    def failing(self) -> bool:
        """Whether the latest try to get or renew the lease failed."""
        return self._backoff.failing

    def gives_up(self) -> bool:
        """Say whether pulls have failed for so long that another process may try."""
        return self.leading and self._pulls.failing_since < self._relay.clock() - YIELD_AFTER

    def note_changes(self, in_use: bool) -> None:
        """Take notice of a lease that was won or lost, and tell the log of every change.

        :param in_use: whether VOD puts events into the queue.
        """
        if self._yielding or self._renew_due == float("-inf"):  # the lease has not been asked for yet
            return
        was_leading, self.leading = self.leading, self._relay.holds_lease()
        role = self._role_now(in_use)
        if was_leading != self.leading:
            self._pulls.forget()  # what failed before was in the time of another lease
        if role != self._role and (was_leading or role != _CUT_OFF):  # a process that only stood by has lost nothing
            log.info(role, self._relay.queue)
        self._role = role

    def _role_now(self, in_use: bool) -> str:
        if self.leading:
            return _PULLS if in_use else _BY_CALLBACK
        return _CUT_OFF if self.failing else _STANDS_BY

    def keep(self, *, pulls_open: bool) -> float:
        """Renew the lease in time, or try to get it.

        :param pulls_open: whether an answer to a pull is expected; until then the lease is not given up.
        :return: seconds after which to call this again at the latest.
        """
        now = self._relay.clock()
        if self.busy:
            return _NEVER
        if now < self._renew_due:
            return self._renew_due - now
        self.busy = True
        if self.gives_up() and not pulls_open:
            self._give_up()
        else:
            self._workers.start(self._relay.acquire_lease, self._answered)
        return _NEVER

    def _give_up(self) -> None:
        log.warning(
            "This process could not pull queue %s for %g s; it stands by for %g s, in which another one may pull: %s",
            self._relay.queue,
            YIELD_AFTER,
            YIELD_FOR,
            self._relay.health.failure or "no answer",
        )
        self._yielding, self.leading, self._role = True, False, _STANDS_BY
        self._pulls.forget()
        self._workers.start(self._relay.release_lease, self._given_up)

    def _given_up(self, error: BaseException | None) -> None:
        self.busy = self._yielding = False
        self._renew_due = self._relay.clock() + YIELD_FOR
        if error is not None:
            self._fail(error)

    def _answered(self, held: bool | BaseException) -> None:
        self.busy = False
        match held:
            case InboxUnavailableError():
                self._backoff.failed(held)
                pause = self._backoff.pause()
            case BaseException():
                self._fail(held)
                return
            case _:
                self._backoff.succeeded()
                pause = LEASE_RENEWAL if held else ELECTION_PAUSE * self._relay.rng.uniform(0.5, 1.5)
        self._renew_due = self._relay.clock() + pause
