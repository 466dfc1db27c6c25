"""Slow results are shared and cached for a while; quick ones are always computed anew."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_vod.web.cache import MAX_TTL, TTL_FACTOR, SlowResults
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


@pytest.mark.parametrize(("seconds", "kept"), [(0.5, 0.5 * TTL_FACTOR), (1000.0, MAX_TTL)])
def test_slow_results_are_kept(seconds: float, kept: float) -> None:
    """In proportion to the time they took, up to a limit; each key has its own result."""
    clock = Clock()
    results, counting = SlowResults(clock), Counting(clock, seconds)
    assert results.get("a", counting) == 1
    clock.now += kept - 0.01
    assert results.get("a", counting) == 1
    clock.now += 0.02
    assert results.get("a", counting) == 2
    assert results.get("b", counting) == 3


def test_quick_results_are_computed_anew() -> None:
    """Nothing is kept that costs nothing to compute."""
    clock = Clock()
    results, counting = SlowResults(clock), Counting(clock, 0.0)
    assert [results.get("a", counting) for _ in range(3)] == [1, 2, 3]


def test_none_is_a_result() -> None:
    """A slow None is kept like any other value."""
    clock = Clock()
    results, counting = SlowResults(clock), Counting(clock, 1.0)
    assert [results.get("a", lambda: counting() and None) for _ in range(2)] == [None, None]
    assert counting.calls == 1


def test_one_thread_computes_for_all() -> None:
    """Those who ask while a result is being computed get that result, however many other keys are asked for meanwhile."""
    clock = Clock()
    results, counting = SlowResults(clock), Counting(clock, 1.0)
    computing, leave = threading.Event(), threading.Event()

    def compute() -> int:
        computing.set()
        leave.wait(60)
        return counting()

    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(results.get, "a", compute)
        assert computing.wait(60)
        for number in range(100):
            results.get(number, lambda: None)
        others = [threads.submit(results.get, "a", compute) for _ in range(7)]
        leave.set()
        assert {each.result(60) for each in (first, *others)} == {1}


def test_a_failure_is_not_kept() -> None:
    """Whoever asks after a failure, however long that took, gets a new computation."""
    clock = Clock()
    results, counting = SlowResults(clock), Counting(clock, 1.0)

    def fail() -> int:
        counting()
        raise OSError("down")

    with pytest.raises(OSError, match="down"):
        results.get("a", fail)
    assert results.get("a", counting) == 2


def test_the_number_of_results_is_bounded() -> None:
    """Made-up keys do not fill the memory: the least recently used result is dropped."""
    clock = Clock()
    results, counting = SlowResults(clock), Counting(clock, 1.0)

    def ask(key: object) -> int:
        number = results.get(key, counting)
        clock.now = 0.0  # so that nothing expires
        return number

    assert (ask("first"), ask("often")) == (1, 2)
    for number in range(100):
        ask(number)
        assert ask("often") == 2
    assert ask("first") > 100
