"""Numbers for whoever collects them.

Invariant: counting never fails and costs next to nothing where nobody collects. Names and meanings stand here alone:

========================================  =======  ==================================================================
name                                      kind     meaning
========================================  =======  ==================================================================
``tencent_vod.events.received``           counter  events stored, by ``source`` (pull, callback, reconcile)
``tencent_vod.events.duplicates``         counter  events that were there already, by ``source``
``tencent_vod.events.unparsed``           counter  of those stored: events that cannot be read
``tencent_vod.callbacks.refused``         counter  callbacks that did not prove that VOD sent them, by ``reason``
``tencent_vod.pull.failures``             counter  calls of PullEvents that failed
``tencent_vod.confirm.failures``          counter  events whose confirm failed; they come again
``tencent_vod.relay.lag``                 timer    from the pull of an event to its commit
``tencent_vod.queue.age``                 gauge    seconds since a pull last left nothing behind in the queue
``tencent_vod.queue.depth``               gauge    events in the queue; by VOD's own count, some minutes old, unless it is 0
``tencent_vod.waiters``                   gauge    waiters in this process
``tencent_vod.reconciles``                counter  tasks whose end VOD told only when it was asked
========================================  =======  ==================================================================

Each carries the tag ``queue``, but for refused callbacks: nobody knows theirs.
"""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any, Protocol


class Sink(Protocol):
    """Where numbers go: Airflow's ``Stats``, or anything of its shape."""

    def incr(self, stat: str, count: int = 1, *, tags: dict[str, Any] | None = None) -> Any:
        """Add to a counter."""

    def gauge(self, stat: str, value: float, *, tags: dict[str, Any] | None = None) -> Any:
        """Set a gauge."""

    def timing(self, stat: str, dt: timedelta, *, tags: dict[str, Any] | None = None) -> Any:
        """Record how long something took."""


_sink: Any = None


def send_to(sink: Any) -> None:
    """Send all numbers of this process to a sink.

    :param sink: a `Sink`; None for nowhere.
    """
    global _sink
    _sink = sink


def count(name: str, number: int = 1, **tags: str) -> None:
    """Add to a counter; nothing is sent for 0."""
    if _sink is not None and number:
        with contextlib.suppress(Exception):
            _sink.incr(f"tencent_vod.{name}", number, tags=tags)


def gauge(name: str, value: float, **tags: str) -> None:
    """Set a gauge."""
    if _sink is not None:
        with contextlib.suppress(Exception):
            _sink.gauge(f"tencent_vod.{name}", value, tags=tags)


def timing(name: str, seconds: float, **tags: str) -> None:
    """Record how long something took, in seconds."""
    if _sink is not None:
        with contextlib.suppress(Exception):
            _sink.timing(f"tencent_vod.{name}", timedelta(seconds=seconds), tags=tags)
