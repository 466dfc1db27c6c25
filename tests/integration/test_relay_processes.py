"""Several real processes, one queue, one inbox: who pulls, who takes over, and what is left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_vod.emulator import Emulator
from airflow_vod.inbox import InboxStore
from tests.databases import KINDS
from tests.relays import SUB_APP_ID, publish, until

ACCOUNTS = {"A": "key-of-a", "B": "key-of-b"}  # a key for each process, to tell their calls apart


class Process:
    """A process with a watch."""

    def __init__(self, url: str, endpoint: str, secret_id: str) -> None:
        self.secret_id = secret_id
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "tests.relay_process", url, endpoint, secret_id, ACCOUNTS[secret_id]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self.hear("ready")

    def hear(self, word: str) -> list[str]:
        """Read lines up to the one that begins with a word."""
        assert self.popen.stdout
        for line in self.popen.stdout:
            if line.split()[:1] == [word]:
                return line.split()
        raise AssertionError(f"{self.secret_id} ended before it said {word!r}")

    def tell(self, line: str) -> None:
        """Write a line to it."""
        assert self.popen.stdin
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()

    def wait_for(self, vod_task_id: str) -> None:
        """Let it wait for a task."""
        self.tell(f"wait {vod_task_id}")
        self.hear("waits")


Start = Callable[[str], Process]


@pytest.fixture
def vod() -> Iterator[Emulator]:
    """An emulator with VOD's own times."""
    with Emulator(accounts=ACCOUNTS) as emulator:
        yield emulator


@pytest.fixture
def start(vod: Emulator, inbox_url: str) -> Iterator[Start]:
    """Start processes, and end them after the test."""
    started: list[Process] = []

    def start_one(secret_id: str) -> Process:
        started.append(Process(inbox_url, vod.endpoint, secret_id))
        return started[-1]

    yield start_one
    for process in started:
        process.popen.send_signal(signal.SIGCONT)
        process.popen.kill()
        process.popen.communicate()


def pulls(vod: Emulator, secret_id: str) -> list[tuple[float, float]]:
    """Arrival and end of a process's pulls."""
    return [
        (call.arrived_at, call.arrived_at + call.seconds)
        for call in vod.calls
        if call.action == "PullEvents" and call.secret_id == secret_id
    ]


def test_one_pulls_and_all_learn(vod: Emulator, start: Start) -> None:
    """Of two processes one asks VOD; the other learns of its events all the same."""
    first = start("A")
    first.wait_for("none")
    until(lambda: vod.queue(SUB_APP_ID).waiting == 1)
    second = start("B")
    second.wait_for("Concat-0")
    second.wait_for("Concat-1")
    time.sleep(1.0)
    for number in range(2):
        vod.publish_concat(f"Concat-{number}", sub_app_id=SUB_APP_ID)
        second.hear("got")
        time.sleep(0.2)
    assert not pulls(vod, "B")
    until(lambda: vod.queue(SUB_APP_ID).confirmed == 2)


@pytest.mark.parametrize("database", KINDS[:1], indirect=True)
def test_takeover(vod: Emulator, start: Start) -> None:
    """When the one that pulls falls asleep, and when it is killed, the other takes over within seconds; no pull of one starts
    once the other's have begun, although its last long poll may still be open.
    """
    first = start("A")
    first.wait_for("second")
    until(lambda: vod.queue(SUB_APP_ID).waiting == 1)
    second = start("B")
    second.wait_for("first")

    slept = vod.clock.now()
    first.popen.send_signal(signal.SIGSTOP)
    until(lambda: vod.queue(SUB_APP_ID).waiting == 1 and vod.clock.now() > slept + 5.5)  # A's last poll is over
    publish(vod, 1)
    vod.publish_concat("first", sub_app_id=SUB_APP_ID)
    second.hear("got")
    until(lambda: bool(pulls(vod, "B")))
    [a_before, b_first] = [pulls(vod, "A"), pulls(vod, "B")[0][0]]
    assert b_first - slept < 30
    assert max(began for began, _ in a_before) < b_first
    first.popen.send_signal(signal.SIGCONT)
    time.sleep(3)
    assert pulls(vod, "A") == a_before

    killed = vod.clock.now()
    second.popen.kill()
    until(lambda: vod.queue(SUB_APP_ID).waiting == 1 and vod.clock.now() > killed + 5.5)
    vod.publish_concat("second", sub_app_id=SUB_APP_ID)
    first.hear("got")
    assert vod.clock.now() - killed < 30
    a_again = [pull for pull in pulls(vod, "A") if pull not in a_before]
    b_last = max(began for began, _ in pulls(vod, "B"))
    assert all(began > b_last for began, _ in a_again)


@pytest.mark.parametrize("how", ["leave", "exit"])
def test_a_process_that_ends_while_it_waits(vod: Emulator, start: Start, inbox_url: str, how: str) -> None:
    """It stays for as long as VOD may hold its last pull, stores and confirms what that brings, and forgets its waiter."""
    process = start("A")
    process.wait_for("none")
    until(lambda: vod.queue(SUB_APP_ID).waiting == 1)
    process.tell(how)
    process.hear("left")
    time.sleep(0.3)
    publish(vod, 3)
    assert process.popen.wait(30) == 0
    counts = vod.queue(SUB_APP_ID)
    assert counts.hidden == 0
    store = InboxStore.open(inbox_url)
    [queue] = {event.queue for event in store.newest()}
    assert len(store.newest()) == counts.confirmed > 0
    assert store.waiters.longest(queue) == []
    lease = store.leases.read(queue)
    assert lease is not None
    assert lease.expired
    store.close()
