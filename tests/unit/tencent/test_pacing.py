"""The rate limit, by a clock that is moved by hand."""

from __future__ import annotations

import multiprocessing
import threading
import time

import pytest

from airflow_vod.tencent.pacing import API_LIMIT, Pacer, pacer


class Dial:
    """A clock for a pacer, moved on by its own sleeping; not for several threads."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def most_in_one_second(times: list[float]) -> int:
    """The most calls in any window of one second."""
    return max(sum(start <= other < start + 1 for other in times) for start in times)


@pytest.mark.parametrize("limit", [1 + 1, 5, 20, API_LIMIT])
def test_never_more_than_the_limit_in_any_second(limit: int) -> None:
    """However greedy the caller, and even after an idle hour, no second holds more calls than the limit."""
    dial = Dial()
    paced = Pacer(limit, dial, dial.sleep)
    times = []
    for number in range(5 * limit):
        if number == 2 * limit:
            dial.now += 3600
        paced.wait()
        times.append(dial.now)
    assert most_in_one_second(times) <= limit


def test_the_limit_is_nearly_used() -> None:
    """A caller who is always there gets more than 95 of the 100 calls a second."""
    dial = Dial()
    paced = Pacer(API_LIMIT, dial, dial.sleep)
    began = dial.now
    for _ in range(1000):
        paced.wait()
    assert dial.now - began < 1000 / 95


def test_a_caller_who_comes_late_catches_up_a_little() -> None:
    """Delays of 20 ms now and then, as in a busy process, cost no calls."""
    dial = Dial()
    paced = Pacer(API_LIMIT, dial, dial.sleep)
    began = dial.now
    for number in range(1000):
        paced.wait()
        if number % 10 == 0:
            dial.now += 0.02
    assert dial.now - began < 1000 / 95


def test_take_tells_when_to_ask_again() -> None:
    """A refusal comes with the seconds after which a call is allowed, and not before."""
    dial = Dial()
    paced = Pacer(API_LIMIT, dial)
    while not (pause := paced.take()):
        pass
    dial.now += pause * 0.9
    assert paced.take() > 0
    dial.now += pause * 0.2
    assert paced.take() == 0.0


def test_threads_share_one_pace() -> None:
    """Many threads together get no more calls than one, and each gets some."""
    paced = Pacer(API_LIMIT)
    times: list[tuple[float, int]] = []
    end = time.monotonic() + 1.0

    def work(number: int) -> None:
        while time.monotonic() < end:
            paced.wait()
            times.append((time.monotonic(), number))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(times) <= API_LIMIT + len(threads)  # each thread may finish one call after the end
    assert {number for _, number in times} == set(range(8))


def test_one_pacer_per_account_and_action() -> None:
    """All who call an action for an account share its pacer; others have their own."""
    assert pacer("a", "PullEvents") is pacer("a", "PullEvents")
    assert pacer("a", "PullEvents") is not pacer("a", "ConfirmEvents")
    assert pacer("a", "PullEvents") is not pacer("b", "PullEvents")


def test_a_child_of_a_fork_does_not_wait_for_its_parent() -> None:
    """Who stands in line when a process is forked stands there in the parent alone."""
    account, in_line, done = "of a fork", threading.Event(), threading.Event()

    def sleep(seconds: float) -> None:
        in_line.set()
        done.wait(60)

    parents = pacer(account, "PullEvents")
    parents._sleep, parents._next = sleep, time.monotonic() + 1
    thread = threading.Thread(target=parents.wait)
    thread.start()
    in_line.wait(60)
    child = multiprocessing.get_context("fork").Process(target=lambda: pacer(account, "PullEvents").wait())
    child.start()
    child.join(30)
    assert child.exitcode == 0
    done.set()
    thread.join(60)
