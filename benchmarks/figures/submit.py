"""What it takes to start N VOD tasks and wait for all of them.

Invariants: ours runs what the operator runs, `Submitter` and its trigger, in one process instead of N of Airflow's workers, whose
own cost is the same for any operator; every call to the API counts. The baseline is what hand-written code does, by a clock that
is turned by hand: submit, then ask DescribeTaskDetail every five seconds, each task for itself, under the same rate limit.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.bench import Bench
from benchmarks.children import Child
from benchmarks.emulation import Emulation
from benchmarks.readings import Reading, Target
from benchmarks.waiting import Waiting

RTT = 0.02  # seconds
LIMIT = 100  # requests/s of one action
_POLL = 5.0  # seconds
_BESIDE = 16  # workers that submit at a time
_CALLS_PER_TASK = 1.2
_AGAINST = "submit, then DescribeTaskDetail every 5 s (simulated clock)"


def measure(bench: Bench) -> Iterator[Reading]:
    """Measure one N."""
    number, seconds = bench.pick((1000, 20.0), (200, 10.0), (5, 0.5))
    calls, took, busiest = _ours(bench, number, seconds)
    by_hand, by_hand_took = _by_hand(number, seconds)
    of = f"N = {number:,} EditMedia tasks of {seconds:g} s"
    yield Reading(f"{of}, API calls per task", calls / number, "", by_hand / number, _AGAINST, Target(_CALLS_PER_TASK))
    yield Reading("  time until all are done", took, "s", by_hand_took, _AGAINST)
    yield Reading("  most submits in one second", busiest, "", None, "", Target(LIMIT))


def _ours(bench: Bench, number: int, seconds: float) -> tuple[int, float, int]:
    with (
        Child(Emulation, rtt=RTT, task_seconds=seconds) as vod,
        Child(Submitting, vod.call("connection"), bench.databases.empty("sqlite")) as waiting,
    ):
        waiting.call("submit", number)
        ended = max(waiting.call("ends", number).values())
        vod.call("empty")
        calls = vod.call("calls")
        submits = [at for action, at in calls if action == "EditMedia"]
        busiest = max(sum(at <= other < at + 1 for other in submits) for at in submits)
        waiting.call("check", Counter(action for action, _ in calls)["EditMedia"])
        return len(calls), ended - waiting.call("began"), busiest


class Submitting(Waiting):
    """A process that starts VOD tasks and waits for them, for `Child`."""

    _began = 0.0

    def submit(self, number: int) -> None:
        """Start tasks, each with an intent and an id in the inbox, and a trigger that waits for it."""
        from airflow_vod.hooks.config import inbox_url, open_inbox
        from airflow_vod.hooks.vod import VodHook
        from airflow_vod.submission import Submitter

        submitter = Submitter(VodHook().get_client(), open_inbox(inbox_url()))
        self._began = time.monotonic()
        with ThreadPoolExecutor(_BESIDE) as pool:
            for started in pool.map(lambda each: submitter.submit(_request(each)), range(number)):
                self.start([str(started.vod_task_id)])

    def began(self) -> float:
        """:return: when the first task was asked for, by the clock that all processes share."""
        return self._began

    def check(self, submits: int) -> None:
        """Fail unless as many tasks have ended as VOD was asked for."""
        if submits != len(self._ended):
            raise RuntimeError(f"{submits} requests for {len(self._ended)} tasks")


def _request(number: int) -> Any:
    from airflow_vod.inbox.generations import TaskRequest, key_of
    from airflow_vod.tencent.actions import ACTIONS

    parameters = {"InputType": "File", "FileInfos": [{"FileId": str(number)}]}
    key = key_of("bench", "run", "splice", number)
    return TaskRequest(ACTIONS["EditMedia"], parameters, key, f"bench/run/splice[{number}]", life=0, attempt=1)


def _by_hand(number: int, seconds: float) -> tuple[int, float]:
    """Simulate hand-written tasks.

    :return: calls, and seconds until all are done.
    """
    submitted = [each / LIMIT for each in range(number)]
    polls = [(at + _POLL, at + seconds) for at in submitted]  # when it asks, and when its task has ended
    heapq.heapify(polls)
    calls, last, in_second = number, 0.0, Counter[int]()
    while polls:
        at, ends_at = heapq.heappop(polls)
        calls += 1
        in_second[int(at)] += 1
        if in_second[int(at)] > LIMIT or at < ends_at:  # refused, or not over
            heapq.heappush(polls, (at + _POLL, ends_at))
        else:
            last = max(last, at)
    return calls, last
