"""What sensors say to people: in the log, in errors and at a DAG's own line.

Invariant: an error met while a message is composed becomes part of the message.
"""

from __future__ import annotations

import sys
import time
import warnings
from typing import TYPE_CHECKING

from airflow_vod.exceptions import InboxError
from airflow_vod.waiting.trouble import pulls_in_words

if TYPE_CHECKING:
    from airflow_vod.events.results import TaskResult
    from airflow_vod.hooks.vod import VodHook

_MOST_FILES = 20  # that a message names


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
    if trouble := pulls_in_words(lease):
        came = f"{came} {trouble}"
    health = RelayHealth.from_dict(lease.info if lease else {})
    pulled_at = health.last_pull_at
    last = f"last with an answer {time.time() - pulled_at:.0f} s ago" if pulled_at else "without an answer so far"
    if lease is None or lease.expired:
        return f"{came} Nobody pulls the queue now" + (f"; {last}." if pulled_at else ".")
    return f"{came} {lease.holder} pulls it, {last}, and has pulled {health.summary.pulled} events."


def trouble_in_words(hook: VodHook, queue: str) -> str:
    """Say that pulls of a queue fail, or that the inbox does not answer.

    :param hook: opens the inbox.
    :param queue: its name.
    :return: empty where nothing is wrong.
    """
    try:
        return pulls_in_words(hook.get_inbox().leases.read(queue))
    except InboxError as error:
        return f"The inbox does not answer: {error}"


def doctor(hook: VodHook) -> str:
    """Write the command that looks for what is wrong with a connection."""
    app = f" --sub-app-id {hook.sub_app_id}" if hook.sub_app_id else ""
    return f"airflow-vod doctor --conn-id {hook.vod_conn_id}{app}"


def failure_in_words(result: TaskResult) -> str:
    """Say what went wrong with a VOD task, each thing once.

    :param result: of a task that failed, wholly or in part.
    """
    failed = [file for file in result.files if file.error_code != 0]
    by_error: dict[str, list[str]] = {}
    for file in failed[:_MOST_FILES]:
        name = " ".join(filter(None, (file.type or "file", file.file_id)))
        by_error.setdefault(_error(file.error_code, file.message), []).append(name)
    said = [f"{', '.join(names)}: {error}" for error, names in by_error.items()]
    if not any(
        file.error_code == result.error_code and (file.message or "") in (result.message or "") for file in failed
    ):
        said.insert(0, _error(result.error_code, result.message))  # else it is the error of a file, which is told below
    if len(failed) > _MOST_FILES:
        said.append(f"and {len(failed) - _MOST_FILES} more files")
    what = "failed" if result.outcome == "failed" else "failed in part"
    return f"VOD task {result.vod_task_id} {what} ({result.event_type}): {'; '.join(said)}"


def _error(code: object, message: str | None) -> str:
    return f"error {code}, {message or 'no message'}"


def warn_at_the_dag(message: str) -> None:
    """Warn at the DAG's own line; how many constructors Airflow and subclasses put in between differs."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith(("airflow.", "airflow_vod.")):
        frame = frame.f_back
    warnings.warn_explicit(message, UserWarning, frame.f_code.co_filename, frame.f_lineno)
