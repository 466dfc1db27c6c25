"""Whether an inbox in a SQLite file can be the one inbox of this Airflow.

Invariants: two inboxes on one queue confirm each other's events away, so where Airflow runs tasks on other machines, a file is
named as wrong wherever a wait or a relay begins; where all runs here, nothing is said.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import PurePath

from airflow.providers.common.compat.sdk import conf

from airflow_vod.exceptions import VodError
from airflow_vod.hooks.config import inbox_url

REMEDY = (
    "Set [tencent_vod] inbox_sql_alchemy_conn to one PostgreSQL or MySQL database that all triggerers, workers, API servers "
    "and relays reach."
)
_CORE_LOCAL = frozenset({"LocalExecutor", "SequentialExecutor", "DebugExecutor", "MockExecutor"})


def inbox_file_problem() -> str | None:
    """Say why the configured inbox is none that all processes of this Airflow share, with the remedy; None if it may be one.

    A URL that cannot be read is not judged: whoever opens the inbox says so.
    """
    try:
        return problem_of(inbox_url())
    except VodError:
        return None


def problem_of(url: str) -> str | None:
    """Judge an inbox by its URL and by Airflow's executors.

    :param url: SQLAlchemy URL.
    """
    path = _file_of(url)
    if path is None:
        return None
    if path == "":
        return (
            f"The inbox is in memory, so each process has one of its own, and what it holds is lost with it. {REMEDY}"
        )
    if not PurePath(path).is_absolute():
        return (
            f"The inbox is the file {path}, a relative path: each process looks for it in the folder that it was started in, "
            "and confirms events that only tasks with another file wait for. Write four slashes, sqlite:////var/lib/…, or "
            f"better: {REMEDY[0].lower()}{REMEDY[1:]}"
        )
    remote = sorted(set(remote_executors()))
    if not remote:
        return None
    return (
        f"The inbox is the file {path}, but Airflow runs tasks with {' and '.join(remote)}, on other machines: each has a "
        "file of its own, and each relay confirms events that only tasks of other machines wait for; these end minutes late, "
        f"or never. {REMEDY}"
    )


def _file_of(url: str) -> str | None:
    """:return: the path of a SQLite database as the URL has it; empty for one in memory, None for another database."""
    if url.partition(":")[0].partition("+")[0].lower() != "sqlite":
        return None
    path, _, query = url.partition("://")[2].removeprefix("/").partition("?")
    if path in ("", ":memory:") or "mode=memory" in query or path.startswith("file::memory:"):
        return ""
    return path.removeprefix("file:").removeprefix("//")


def remote_executors() -> Iterator[str]:
    """Name those of Airflow's executors that run tasks on other machines, as far as this process can know.

    Form of the option: ``Executor,alias:path.of.Executor;team=Executor`` (Airflow, configuration of executors).
    """
    if os.environ.get("AIRFLOW_IS_K8S_EXECUTOR_POD"):  # some charts set the executor of pods to LocalExecutor
        yield "KubernetesExecutor"
    for group in conf.get("core", "executor", fallback="LocalExecutor").split(";"):
        team, _, names = group.rpartition("=")
        if team and not conf.getboolean("core", "multi_team", fallback=False):
            continue  # Airflow ignores it, too
        for name in filter(None, map(str.strip, names.split(","))):
            path = name.rpartition(":")[2]
            if not _is_local(path):
                yield path.rpartition(".")[2]


def _is_local(path: str) -> bool:
    """Say whether an executor runs its tasks on the scheduler's machine; one of which nothing is known does not."""
    module, _, name = path.rpartition(".")
    if module == "" or module.startswith("airflow.executors."):
        return name in _CORE_LOCAL
    if module.startswith("airflow.providers."):  # all of them remote; to import one takes long
        return False
    try:
        return getattr(import_module(module), name).is_local is True
    except Exception:  # whatever a module of strangers raises here
        return False
