"""Lets relays live some twenty times as fast as VOD's own times make them, for tests of what comes after a failure.

Invariant: the proportions stay: a hold ends well before a handle does, and a lease is renewed several times in its life.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_vod.emulator import EmulatorOptions
from airflow_vod.relay import leadership, pipeline
from airflow_vod.relay import steps as relay
from airflow_vod.tencent import client, transport

HOLD = 0.3  # seconds, instead of 5
VISIBILITY = 1.5  # seconds, instead of 30

_TIMES = {
    "PULL_HOLD": HOLD,
    "CONFIRM_WINDOW": VISIBILITY - HOLD,
    "COMMIT_LAG": VISIBILITY / 4,
    "OVERDUE": HOLD + 0.5,
    "LEASE_TTL": 2.5,
    "LEASE_RENEWAL": 0.2,
    "ELECTION_PAUSE": 0.1,
    "_PULL_READ_TIMEOUT": HOLD + 2,
    "_READ_TIMEOUT": 2.0,
    "_API_BACKOFF": 0.5,
    "_INBOX_BACKOFF": 0.3,
    "_LEASE_BACKOFF": 0.3,
}


def options(**others: Any) -> EmulatorOptions:
    """Make options of an emulator that keeps this pace."""
    return EmulatorOptions(**{"hold": HOLD, "visibility": VISIBILITY, **others})


def hurry(setter: Callable[[Any, str, Any], object] = setattr) -> None:
    """Set the pace of all relays that are made in this process from now on.

    :param setter: such as ``MonkeyPatch.setattr``, which can take it back.
    """
    for name, seconds in _TIMES.items():
        modules = [module for module in (client, transport, relay, leadership, pipeline) if hasattr(module, name)]
        assert modules, f"nothing has the time {name} any more"
        for module in modules:
            setter(module, name, seconds)
