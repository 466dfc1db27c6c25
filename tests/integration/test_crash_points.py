"""A relay that is killed at any step loses nothing and delivers nothing twice; the next one takes over by itself.

Each case is a process of its own that dies by SIGKILL, while a watch with its waiters lives on in this one. The cases run
beside each other, each with its own VOD application and its own inbox, because most of their time is spent waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from airflow_vod.emulator import Emulator
from airflow_vod.emulator.queue import QueueCounts
from airflow_vod.exceptions import InboxUnavailableError
from airflow_vod.inbox import InboxStore
from airflow_vod.tencent.settings import VodSettings
from airflow_vod.waiting.waiter import TaskWaiter
from airflow_vod.waiting.watch import Watch
from tests import tempo
from tests.databases import KINDS

PROGRAM = Path(__file__).with_name("crashing_relay.py")
WAVE = 5  # events
BESIDE = 8  # cases at a time

# Where the process kills itself.
INSIDE = (
    "before a pull",
    "a pull is answered",
    "before receiving",
    "before the commit",
    "after the commit",
    "before a confirm",
    "after a confirm",
    "before a renewal",
    "after a renewal",
    "before the release",
)
# Where it is killed from outside, because it does nothing itself meanwhile.
OUTSIDE = ("a pull is held", "the answer to a pull is under way", "the answer to a confirm is under way")


@dataclass(frozen=True)
class Outcome:
    """What one case came to."""

    death: int  # return code of the process
    at_death: tuple[QueueCounts, int]  # the queue, and the number of events in the inbox
    delivered: Counter[str]  # VOD task id -> how often waiters were woken with it
    stored: Counter[str]  # VOD task id -> rows of the inbox
    published: set[str]
    queue: QueueCounts  # in the end


class Case:
    """One relay, its death, and what comes after.

    :param emulator: with an application for this case alone.
    :param sub_app_id: that application.
    :param url: of an empty inbox.
    :param step: where the relay dies.
    """

    def __init__(self, emulator: Emulator, sub_app_id: int, url: str, step: str) -> None:
        self.emulator, self.sub_app_id, self.url, self.step = emulator, sub_app_id, url, step
        self.published: list[str] = []
        self.tasks = [f"Concat-{sub_app_id}-{number}" for number in range(3 * WAVE)]

    def run(self) -> Outcome:
        """Let it happen."""
        settings = VodSettings(
            secret_id=self.emulator.secret_id,
            secret_key=self.emulator.secret_key,
            endpoint=self.emulator.endpoint,
            sub_app_id=self.sub_app_id,
        )
        store = InboxStore.open(self.url)
        watch = Watch(settings, store)
        waiting = _Waiting(watch, self.tasks)
        child = self._start()
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"leading\n"
            watch.start()
            waiting.start()
            death, at_death = self._let_die(child, store, settings.queue)
            self._publish()
            waiting.join()
            self._until(lambda counts: counts.visible + counts.hidden == 0)
            stored = Counter(header.vod_task_id or "" for header in store.headers_after(settings.queue, 0))
            return Outcome(
                death, at_death, waiting.delivered, stored, set(self.published), self.emulator.queue(self.sub_app_id)
            )
        finally:
            child.kill()
            child.communicate()
            watch.end()
            watch.join()
            store.close()

    def _start(self) -> subprocess.Popen[bytes]:
        values = {
            "url": self.url,
            "endpoint": self.emulator.endpoint,
            "secret_id": self.emulator.secret_id,
            "secret_key": self.emulator.secret_key,
            "sub_app_id": self.sub_app_id,
            "step": self.step,
        }
        command = [sys.executable, str(PROGRAM), json.dumps(values)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def _let_die(
        self, child: subprocess.Popen[bytes], store: InboxStore, queue: str
    ) -> tuple[int, tuple[QueueCounts, int]]:
        """Let one wave of events go all the way, and the next one meet the relay's end."""
        self._publish()
        self._until(lambda counts: counts.confirmed == WAVE)
        if self.step == "a pull is held":
            self._until(lambda counts: counts.waiting == 0)
            self._until(lambda counts: counts.waiting == 1)
            child.kill()
            self._publish()  # into the answer to the dead
            self._until(lambda counts: counts.hidden == WAVE)
        elif self.step == "the answer to a pull is under way":
            self._slow_down("PullEvents")
            self.emulator.wait_until(lambda: bool(self.emulator.faults.ledger), 60)
            self._publish()
            self._until(lambda counts: counts.hidden > 0)
            child.kill()
        elif self.step == "the answer to a confirm is under way":
            self._slow_down("ConfirmEvents")
            self._publish()
            self._until(lambda counts: counts.confirmed > WAVE)
            child.kill()
        else:
            self._publish()
            if self.step == "before the release":
                child.send_signal(signal.SIGTERM)
        death = child.wait(60)
        self.emulator.faults.clear()
        return death, (self.emulator.queue(self.sub_app_id), store.counts(queue).events)

    def _slow_down(self, action: str) -> None:
        """Delay answers of this application: every case has an emulator of its own where it needs this."""
        self.emulator.faults.script({action: ["slow:1"] * 50})

    def _publish(self) -> None:
        for _ in range(WAVE):
            task = self.tasks[len(self.published)]
            self.published.append(task)
            self.emulator.publish_concat(task, ["http://example.com/f0.mp4"], self.sub_app_id)

    def _until(self, condition: Callable[[QueueCounts], bool]) -> None:
        self.emulator.wait_until(lambda: condition(self.emulator.queue(self.sub_app_id)), 60)


class _Waiting(threading.Thread):
    """Waiters in an event loop: one for each task, and one for all of them."""

    def __init__(self, watch: Watch, tasks: list[str]) -> None:
        super().__init__()
        self.delivered: Counter[str] = Counter()
        self._watch, self._tasks = watch, tasks

    def run(self) -> None:
        """Wait until all has come, or for so long that it never will."""
        asyncio.run(self._wait())

    async def _wait(self) -> None:
        await asyncio.gather(*(self._wait_for([task]) for task in self._tasks), self._wait_for(self._tasks))

    async def _wait_for(self, tasks: list[str]) -> None:
        waiter, give_up = TaskWaiter(tasks, name=f"{len(tasks)} of {tasks[0]}"), time.monotonic() + 30
        assert self._watch.add(waiter)
        with contextlib.suppress(InboxUnavailableError):  # the watch was ended, because the case has failed already
            while waiter.missing and time.monotonic() < give_up:
                self.delivered.update(await waiter.next(1))
        self._watch.discard(waiter)


@pytest.fixture(scope="module")
def cases(
    new_inbox: Callable[[str, Path], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, str], Future[Outcome]]]:
    """All cases, under way."""
    folder = tmp_path_factory.mktemp("crashes")
    outcomes: dict[tuple[str, str], Future[Outcome]] = {}
    with pytest.MonkeyPatch.context() as patch, Emulator(options=tempo.options()) as emulator:
        tempo.hurry(patch.setattr)
        with ThreadPoolExecutor(BESIDE) as pool:
            for step in INSIDE + OUTSIDE:
                for kind in KINDS:
                    number = len(outcomes) + 1
                    url = new_inbox(kind, folder / f"{number}.db")
                    case = Case(emulator, 1500000000 + number, url, step)
                    outcomes[step, kind] = pool.submit(_run_alone if "under way" in step else Case.run, case)
            yield outcomes
            for outcome in outcomes.values():
                outcome.cancel()


def _run_alone(case: Case) -> Outcome:
    with Emulator(options=tempo.options()) as emulator:
        case.emulator = emulator
        return case.run()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", INSIDE + OUTSIDE)
def test_nothing_is_lost_or_doubled_by_a_crash(
    cases: dict[tuple[str, str], Future[Outcome]], step: str, kind: str
) -> None:
    """Whatever step a relay dies at, each event is in the inbox once, and wakes each of its waiters once."""
    outcome = cases[step, kind].result(240)
    assert outcome.death == -signal.SIGKILL
    counts, in_inbox = outcome.at_death
    assert counts.confirmed <= in_inbox, "an event was confirmed that is not in the inbox"
    assert outcome.stored == dict.fromkeys(outcome.published, 1)
    assert outcome.delivered == dict.fromkeys(outcome.published, 2), (
        "one for the task's own waiter, one for the other's"
    )
    assert (outcome.queue.confirmed, outcome.queue.expired) == (len(outcome.published), 0)
