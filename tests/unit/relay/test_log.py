"""Whoever reads the log knows at every moment whether this process pulls, stands by or is in trouble."""

from __future__ import annotations

import time

import pytest

from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.relay import leadership, steps
from tests.relays import SUB_APP_ID, client_of, publish, until
from tests.unit.relay.running import HOLD, Run, Running, drained

TOKEN = "a-callback-token-of-a-test"


@pytest.fixture
def vod_emulator_options() -> EmulatorOptions:
    """Shorter holds than VOD's."""
    return EmulatorOptions(hold=HOLD)


@pytest.fixture(autouse=True)
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lose a lease within seconds, and get one within a moment."""
    monkeypatch.setattr(steps, "LEASE_TTL", 3.0)
    monkeypatch.setattr(steps, "PULL_HOLD", HOLD)
    for name in ("LEASE_RENEWAL", "ELECTION_PAUSE", "_LEASE_BACKOFF"):
        monkeypatch.setattr(leadership, name, 0.1)


class Log:
    """The lines of the relay that an operator sees, without what differs from run to run."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO", "airflow_vod.relay")
        self._caplog = caplog

    def lines(self) -> list[str]:
        """The lines so far."""
        queue = f"/{SUB_APP_ID}"
        return [
            f"{record.levelname[0]} {' '.join(word for word in record.getMessage().split() if queue not in word)}"
            for record in self._caplog.records
            if record.name.startswith("airflow_vod.relay")
        ]

    def wait(self, beginning: str) -> None:
        """Wait until the latest line begins so."""
        until(lambda: self.lines()[-1:] and self.lines()[-1].startswith(beginning), 20)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    """The log."""
    return Log(caplog)


def use_mode(running: Running, mode: str) -> None:
    """Change how the application announces its events, and let the relay ask at once."""
    running.relay.client.modify_event_config(Mode=mode)
    running.relay._check_mode_due = float("-inf")


def test_the_lines_of_a_life(
    vod_emulator: Emulator, run_sqlite: Run, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line for each change of what it does, with its cause, and none besides."""
    running = run_sqlite(client_of(vod_emulator, callback_token=TOKEN))
    leases, queue = running.store._store.leases, running.relay.queue
    log.wait("I This process pulls")

    running.store.broken = {"receive"}
    publish(vod_emulator, 1, "A")
    log.wait("W Cannot commit")
    running.store.come_back()
    log.wait("I Can commit")

    running.store.broken = {"leases.acquire"}
    log.wait("I This process no longer pulls")
    running.store.come_back()
    log.wait("I This process pulls")

    vod_emulator.stop()
    log.wait("W Cannot pull")
    vod_emulator.start()
    log.wait("I Can pull")

    use_mode(running, "PUSH")
    log.wait("I This process does not pull")
    use_mode(running, "PULL")
    log.wait("I This process pulls")

    monkeypatch.setattr(leadership, "YIELD_AFTER", 0.3)
    monkeypatch.setattr(leadership, "YIELD_FOR", 0.5)
    vod_emulator.stop()
    log.wait("W This process could not pull")
    until(lambda: leases.acquire(queue, "another", 30))
    vod_emulator.start()
    time.sleep(1.5)  # it looks at the lease of the other in vain
    leases.release(queue, "another")
    log.wait("I This process pulls")
    running.stop()

    beginnings = [
        "I This process pulls the events of queue",
        "W Cannot commit events of queue to the inbox, retrying: receive fails because a test wants it",
        "I Can commit events of queue to the inbox again, after",
        "W Cannot reach the lease of queue in the inbox, retrying: leases.acquire fails because a test wants it",
        "I This process no longer pulls queue it could not renew its lease",
        "I Can reach the lease of queue in the inbox again, after",
        "I This process pulls the events of queue",
        "W Cannot pull events from queue retrying:",
        "I Can pull events from queue again, after",
        "I This process does not pull queue its application announces events by callback (PUSH)",
        "I This process pulls the events of queue",
        "W Cannot pull events from queue retrying:",
        "W This process could not pull queue for 0.3 s; it stands by for 0.5 s, in which another one may pull: PullEvents",
        "I This process pulls the events of queue",
        "I Stopped relaying queue as told. Events: pulls ",
    ]
    found = log.lines()
    assert [line[: len(start)] for line, start in zip(found, beginnings, strict=False)] == beginnings
    assert len(found) == len(beginnings)


def test_who_stands_by_says_so(run_sqlite: Run, log: Log, vod_emulator: Emulator) -> None:
    """A process without the lease says that it stands by; an inbox that fails meanwhile is told once, and its return too."""
    run_sqlite()
    until(lambda: vod_emulator.queue(SUB_APP_ID).waiting == 1)
    second = run_sqlite()
    log.wait("I This process stands by")
    second.store.broken = {"leases.acquire", "leases.read"}
    log.wait("W Cannot reach the lease")
    time.sleep(1.0)
    second.store.come_back()
    log.wait("I This process stands by")
    assert [" ".join(line.split()[:4]) for line in log.lines()] == [
        "I This process pulls",
        "I This process stands",
        "W Cannot reach the",
        "I Can reach the",
        "I This process stands",
    ]


def test_commits_that_fail_beside_a_lease_that_works(vod_emulator: Emulator, run_sqlite: Run, log: Log) -> None:
    """Commits back off to their limit, and nothing says that they work before they do, however often the lease is renewed."""
    running = run_sqlite()
    until(lambda: vod_emulator.queue(SUB_APP_ID).waiting == 1)
    running.store.broken = {"receive"}
    publish(vod_emulator, 3)
    log.wait("W Cannot commit")
    running.store.calls.clear()
    time.sleep(4.0)
    assert running.store.calls.count("leases.acquire") >= 5
    assert running.store.calls.count("receive") <= 6
    log.wait("W Cannot commit")
    running.store.come_back()
    until(drained(vod_emulator, 3))
    log.wait("I Can commit")
    assert len(log.lines()) == 3
