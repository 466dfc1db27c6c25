"""What ``airflow-vod doctor`` says of the inbox: whether it can be the one that all share, and what it knows of the queue.

Invariant: no database, file or table is made or changed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_vod.cli.checks import CheckResult
from airflow_vod.exceptions import VodError
from airflow_vod.hooks.config import inbox_url
from airflow_vod.hooks.inbox_file import REMEDY, problem_of

if TYPE_CHECKING:
    from airflow_vod.inbox import InboxStore

_WAITERS = 1000  # that are looked at
_NAMED = 3  # that are named
_SILENT_AFTER = timedelta(minutes=5)  # without a sign of life, after which a component of Airflow counts as gone


def check_inbox(queue: str, by_callback: bool | None) -> tuple[list[CheckResult], list[Mapping[str, Any]]]:
    """Check the inbox, and what it knows of a queue.

    :param queue: its name.
    :param by_callback: as `airflow_vod.relay.health.trouble_of` takes it.
    :return: the results, and those who wait, as `airflow_vod.relay.state.state_of` tells of them.
    """
    results: list[CheckResult] = []
    try:
        url = inbox_url()
        if problem := problem_of(url):
            results.append(CheckResult("error", problem))
        store = _open(url, results)
        if store is None:
            return results, []
        try:
            return results + (seen := _Seen(store, queue, by_callback)).results(), seen.waiters
        finally:
            store.close()
    except VodError as error:
        return [*results, CheckResult("error", str(error))], []


def check_awaited(waiters: Sequence[Mapping[str, Any]], switched_off: Mapping[str, str]) -> Iterator[CheckResult]:
    """Check that VOD announces what is waited for.

    :param waiters: as `check_inbox` returns them.
    :param switched_off: the event types that the application does not announce, and for each the switch.
    """
    in_vain: dict[str, list[str]] = {}
    for waiter in waiters:
        types = waiter["event_types"]
        if types and all(each in switched_off for each in types):
            in_vain.setdefault(" or ".join(types), []).append(waiter["waiter"])
    for types, names in in_vain.items():
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        switches = ", ".join(sorted({switched_off[each] for each in types.split(" or ")}))
        yield CheckResult(
            "error",
            f"{', '.join(names[:_NAMED])}{more} wait for {types}, which the application does not announce: {switches} is not "
            "ON. Tick it in the VOD console, under callback settings.",
        )


def _open(url: str, results: list[CheckResult]) -> InboxStore | None:
    """Open an inbox that is there and up to date; else say what there is."""
    from airflow_vod.inbox import InboxStore
    from airflow_vod.inbox.migrations import knows
    from airflow_vod.inbox.schema import existing_version
    from airflow_vod.inbox.tables import SCHEMA_VERSION

    version = existing_version(url)
    if version is None:
        text = "There is no inbox yet; the first wait, relay or callback makes it. So nothing is known of pulls and waiters."
        results.append(CheckResult("note", text))
        return None
    if version != SCHEMA_VERSION and knows(version):
        text = f"The inbox has schema version {version}; the next wait, relay or callback upgrades it to {SCHEMA_VERSION}. "
        results.append(CheckResult("note", f"{text}Until then what it knows of pulls and waiters is not looked at."))
        return None
    store = InboxStore.open(url)  # says what is wrong with a newer version
    results.append(CheckResult("ok", f"Inbox {store.url} can be opened."))
    if store.url.startswith("sqlite"):
        results.extend(_check_hosts(store))
    return store


class _Seen:
    """What an inbox knows of a queue.

    :param store: the inbox.
    :param queue: its name.
    :param by_callback: as above.
    """

    def __init__(self, store: InboxStore, queue: str, by_callback: bool | None) -> None:
        from airflow_vod.relay.health import RelayHealth
        from airflow_vod.relay.state import state_of

        self._state = state_of(store, queue, by_callback=by_callback, waiters=_WAITERS)
        self._relay = RelayHealth.from_dict(self._state["relay"] or {})
        self.waiters: list[Mapping[str, Any]] = self._state["longest_waiters"]

    def results(self) -> list[CheckResult]:
        """Judge it."""
        wrong = self._pulls()
        if self._state["trouble"]:
            wrong = CheckResult("error", self._state["trouble"])
        return [wrong or CheckResult("ok", f"By what the inbox knows, pulls succeed; {self._state['waiters']} wait.")]

    def _pulls(self) -> CheckResult | None:
        from airflow_vod.relay.health import utc

        relay = self._relay
        if not relay.failing_since_at:
            return None
        what = "were refused" if relay.pulls_refused else "failed"
        return CheckResult(
            "error" if relay.pulls_refused else "warning",
            f"The latest pulls of the queue {what}, since {utc(relay.failing_since_at)}: {relay.failure} "
            "If that is mended, the next wait or `airflow-vod relay run` takes this back.",
        )


def _check_hosts(store: InboxStore) -> Iterator[CheckResult]:
    """Compare where Airflow runs with who uses the file: a file is seen by one machine."""
    try:
        airflows = _hosts_of_airflow()
    except Exception as error:
        text = f"Not checked: on which hosts Airflow runs ({type(error).__name__}). All must be this machine, for the inbox "
        yield CheckResult("note", f"{text}is a file.")
        return
    users = {_short(host) for host in store.overview.hosts()}
    if len(airflows) > 1 and not airflows <= users:
        text = f"Airflow runs on the hosts {', '.join(sorted(airflows))}, and the inbox is a file"
        known = f", which nobody on {', '.join(sorted(airflows - users))} uses now" if users else ""
        risk = "unless all of them see this very file, each has an inbox of its own."
        yield CheckResult("error" if users else "warning", f"{text}{known}: {risk} {REMEDY}")
    elif len(users) > 1:
        text = f"Processes of the hosts {', '.join(sorted(users))} share the file. That is right for containers of one machine; "
        yield CheckResult("warning", f"{text}on a network file system SQLite loses events. {REMEDY}")


def _short(host: str) -> str:
    """Cut the domain: Airflow's name of a host has it, the operating system's may not."""
    return host if host.replace(".", "").isdigit() else host.partition(".")[0]


def _hosts_of_airflow() -> set[str]:
    """Name the hosts of the components of Airflow that relay or receive, by Airflow's own database."""
    from airflow.jobs.job import Job
    from airflow.utils.session import create_session
    from sqlalchemy import select

    alive = Job.state == "running", Job.latest_heartbeat > datetime.now(UTC) - _SILENT_AFTER
    running = select(Job.hostname).where(Job.job_type.in_(("SchedulerJob", "TriggererJob")), *alive).distinct()
    with create_session() as session:
        return {_short(host) for host in session.scalars(running) if host}
