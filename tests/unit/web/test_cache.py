"""Slow results are shared and cached for a while; quick ones are always computed anew."""

from __future__ import annotations

import asyncio
import threading

import pytest

from airflow_vod.exceptions import InboxUnavailableError
from airflow_vod.web import cache as module
from airflow_vod.web.cache import MAX_TTL, TTL_FACTOR, SlowResults
from airflow_vod.web.threads import Threads
from tests.samples import Clock


class Counting:
    """Returns the number of its calls, and takes some seconds for each."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self.seconds = seconds
        self.calls = 0

    def __call__(self) -> int:
        """Count."""
        self.calls += 1
        self._clock.now += self.seconds
        return self.calls


def new(clock: Clock) -> SlowResults:
    """Results that two threads compute."""
    return SlowResults(Threads("test", 2), clock)


@pytest.mark.parametrize(("seconds", "kept"), [(0.5, 0.5 * TTL_FACTOR), (1000.0, MAX_TTL)])
async def test_slow_results_are_kept(seconds: float, kept: float) -> None:
    """In proportion to the time they took, up to a limit; each key has its own result."""
    clock = Clock()
    results, counting = new(clock), Counting(clock, seconds)
    assert await results.get("a", counting) == 1
    clock.now += kept - 0.01
    assert await results.get("a", counting) == 1
    clock.now += 0.02
    assert await results.get("a", counting) == 2
    assert await results.get("b", counting) == 3


async def test_quick_results_are_fresh() -> None:
    """What took no time is computed again."""
    clock = Clock()
    results, counting = new(clock), Counting(clock, 0.0)
    assert [await results.get("a", counting) for _ in range(3)] == [1, 2, 3]


async def test_one_computes_for_a_crowd() -> None:
    """Many who ask at once share one computation, and take one thread."""
    leave, calls = threading.Event(), list[int]()
    threads = Threads("test", 2, patience=0.2)
    results = SlowResults(threads, Clock())

    def compute() -> str:
        calls.append(1)
        leave.wait(20)
        return "done"

    crowd = [asyncio.create_task(results.get("a", compute)) for _ in range(50)]
    await asyncio.sleep(0.05)
    assert await threads.run(lambda: "free") == "free"
    leave.set()
    assert await asyncio.gather(*crowd) == ["done"] * 50
    assert len(calls) == 1


async def test_an_error_is_everybodys_and_is_not_kept() -> None:
    """Who waits gets the error; who asks later gets a new attempt."""
    results, leave = new(Clock()), threading.Event()

    def fail() -> None:
        leave.wait(20)
        raise OSError("down")

    crowd = [asyncio.create_task(results.get("a", fail)) for _ in range(3)]
    await asyncio.sleep(0.01)
    leave.set()
    assert [str(each) for each in await asyncio.gather(*crowd, return_exceptions=True)] == ["down"] * 3
    assert await results.get("a", lambda: 1) == 1


async def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has waited too long is told so; the computation goes on and serves the next."""
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    leave, clock = threading.Event(), Clock()
    results = new(clock)

    def compute() -> str:
        leave.wait(20)
        clock.now += 1
        return "done"

    with pytest.raises(InboxUnavailableError, match="slow"):
        await results.get("a", compute)
    running = results._running["a"]
    leave.set()
    await running
    assert await results.get("a", lambda: "anew") == "done"


async def test_their_number_is_bounded() -> None:
    """However many keys are asked for, a limited number of results is kept."""
    clock = Clock()
    results = new(clock)
    for number in range(200):
        await results.get(number, Counting(clock, 0.001))
    assert len(results._results) <= module._MAX_RESULTS
