"""The section ``[tencent_vod]`` of ``airflow.cfg``: where the inbox is, and how long it keeps events.

Invariant: an inbox is opened once per process and URL, so all its users share its database connections.
"""

from __future__ import annotations

import functools
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import conf

from airflow_vod.exceptions import VodSettingsError

if TYPE_CHECKING:
    from airflow_vod.inbox import InboxStore

_RETENTION_DAYS = 7.0


def inbox_url() -> str:
    """Return the SQLAlchemy URL of the inbox: ``[tencent_vod] inbox_sql_alchemy_conn``, else SQLite in AIRFLOW_HOME."""
    url = conf.get("tencent_vod", "inbox_sql_alchemy_conn", fallback=None)
    if url and url.strip():
        return url.strip()
    home = os.path.expandvars(os.environ.get("AIRFLOW_HOME", "~/airflow"))
    return f"sqlite:///{Path(home).expanduser() / 'vod_inbox.db'}"


def inbox_retention() -> float:
    """Return the number of seconds for which events stay in the inbox: ``[tencent_vod] inbox_retention_days``.

    :raises VodSettingsError: the option is not a positive number.
    """
    value = conf.get("tencent_vod", "inbox_retention_days", fallback="").strip() or _RETENTION_DAYS
    try:
        days = float(value)
    except ValueError:
        days = math.nan
    if not 0 < days < math.inf:
        raise VodSettingsError(f"[tencent_vod] inbox_retention_days must be a number of days above 0, not {value!r}.")
    return days * 86400


@functools.lru_cache(maxsize=4)
def open_inbox(url: str) -> InboxStore:
    """Open an inbox, once per process and URL.

    :param url: SQLAlchemy URL, see `inbox_url`.
    :return: the inbox, shared by all callers with the same URL.
    :raises InboxError: it cannot be opened; the message names the remedy.
    """
    from airflow.providers.common.compat.sdk import Stats

    from airflow_vod import metrics
    from airflow_vod.inbox import InboxStore

    metrics.send_to(Stats)
    return InboxStore.open(url)
