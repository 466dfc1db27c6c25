"""The section ``[tencent_vod]`` of ``airflow.cfg``: where the inbox is, and how long it keeps events.

Invariants: an inbox is opened once per process and URL, so all its users share its database connections; the SQLite file in
AIRFLOW_HOME is the inbox only where no form of the option is set, so a URL that cannot be read never becomes another inbox.
"""

from __future__ import annotations

import configparser
import functools
import math
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import conf
from cachetools import TTLCache, cached

from airflow_vod.exceptions import InboxError, InboxUnavailableError, VodSettingsError

if TYPE_CHECKING:
    from airflow_vod.inbox import InboxStore

_SECTION, _OPTION = "tencent_vod", "inbox_sql_alchemy_conn"
_VARIABLE = f"AIRFLOW__{_SECTION}__{_OPTION}".upper()
_RETENTION_DAYS = 7.0
_KEPT_FOR = (
    30.0  # seconds; a command takes as long as a program takes to start, and the API server asks at each request
)


def inbox_url() -> str:
    """Return the SQLAlchemy URL of the inbox: ``[tencent_vod] inbox_sql_alchemy_conn``, else SQLite in AIRFLOW_HOME.

    The option may also be set as ``…_cmd`` or ``…_secret``; what these answer is kept for half a minute.

    :raises InboxUnavailableError: the command or the secrets backend failed, which may pass.
    :raises InboxError: the option is set, and no URL comes of it.
    """
    forms = _forms()
    if not forms:
        home = os.path.expandvars(os.environ.get("AIRFLOW_HOME", "~/airflow"))
        return f"sqlite:///{Path(home).expanduser() / 'vod_inbox.db'}"
    indirect = any(name.lower().endswith(("_cmd", "_secret")) for name, _ in forms)
    return _kept_url(forms) if indirect else _url(forms)


def _forms() -> tuple[tuple[str, str], ...]:
    """Find where the option is set, whether or not Airflow would look there.

    :return: of each form that is not blank its name, as people write it, and its text.
    """
    variables = [(name, os.environ.get(name, "")) for name in (_VARIABLE, f"{_VARIABLE}_CMD", f"{_VARIABLE}_SECRET")]
    # Not `conf.get`, which answers for the environment and for defaults too.
    lines = [
        (name, configparser.RawConfigParser.get(conf, _SECTION, name, raw=True, fallback=""))
        for name in (_OPTION, f"{_OPTION}_cmd", f"{_OPTION}_secret")
    ]
    return tuple((name, text) for name, text in variables + lines if text and text.strip())


def _url(forms: tuple[tuple[str, str], ...]) -> str:
    """Let Airflow read the option.

    :param forms: what is set; for messages, which must not quote the text.
    """
    # Before 3.2 Airflow knows a provider's options only in processes that a command of its own started, and it runs no
    # command and asks no secrets backend for an option of which it does not know that it is sensitive.
    conf.sensitive_config_values.add((_SECTION, _OPTION))
    names = " and ".join(name for name, _ in forms)
    try:
        url = conf.get(_SECTION, _OPTION, fallback=None)
    except Exception as error:
        # Without the cause: it may quote what the command printed.
        raise InboxUnavailableError(
            f"The URL of the inbox cannot be read now ({type(error).__name__}): [{_SECTION}] {_OPTION} is set by {names}. "
            "This may pass; if it does not, run the command, or ask the secrets backend, by hand as the user of this process."
        ) from None
    if url and url.strip():
        return url.strip()
    raise InboxError(
        f"[{_SECTION}] {_OPTION} is set by {names}, but no URL comes of it: the command printed nothing, the secrets backend "
        f"does not have it, or a blank {_VARIABLE} stands before it. Mend or remove it; without it, the inbox is a SQLite file."
    )


_kept_url = cached(TTLCache(maxsize=4, ttl=_KEPT_FOR), lock=threading.RLock())(_url)


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
