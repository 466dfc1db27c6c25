"""What sensors say to people: in the log, in errors and at a DAG's own line.

Invariant: an error met while a message is composed becomes part of the message.
"""

from __future__ import annotations

import sys
import time
import warnings
from typing import TYPE_CHECKING

from airflow_vod.exceptions import InboxError

if TYPE_CHECKING:
    from airflow_vod.hooks.vod import VodHook


def queue_in_words(hook: VodHook, queue: str) -> str:
    """Say what came in a queue, and who pulls it: for who has to find out why an event did not come.

    :param hook: opens the inbox, which may fail too.
    :param queue: its name.
    """
    from airflow_vod.relay.health import RelayHealth

    try:
        inbox = hook.get_inbox()
        lease, newest = inbox.leases.read(queue), inbox.newest(queue, limit=1)
    except InboxError as error:
        return f"The inbox does not answer: {error}"
    if newest:
        age = time.time() - newest[0].received_at
        came = f"The newest event of the queue, {newest[0].event_type}, came {age:.0f} s ago."
    else:
        came = "No event of the queue is in the inbox."
    health = RelayHealth.from_dict(lease.info if lease else {})
    pulled_at = health.last_pull_at
    last = f"last {time.time() - pulled_at:.0f} s ago" if pulled_at else "without an answer so far"
    if lease is None or lease.expired:
        return f"{came} Nobody pulls the queue now" + (f"; {last}." if pulled_at else ".")
    return f"{came} {lease.holder} pulls it, {last}, and has pulled {health.summary.pulled} events."


def warn_at_the_dag(message: str) -> None:
    """Warn at the DAG's own line; how many constructors Airflow and subclasses put in between differs."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith(("airflow.", "airflow_vod.")):
        frame = frame.f_back
    warnings.warn_explicit(message, UserWarning, frame.f_code.co_filename, frame.f_lineno)
