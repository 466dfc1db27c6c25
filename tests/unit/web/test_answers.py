"""What is slow is done once for all who ask meanwhile and for a while after; what is quick is always done anew."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_vod.web.answers import LONGEST, WORTH, Answers
from tests.samples import Clock


class Counting:
    """Finds the number of times that it was asked, and takes so many seconds for it."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self.seconds = seconds
        self.asked = 0

    def __call__(self) -> int:
        """Count."""
        self.asked += 1
        self._clock.now += self.seconds
        return self.asked


@pytest.mark.parametrize(("seconds", "kept"), [(0.5, 0.5 * WORTH), (1000.0, LONGEST)])
def test_what_was_slow_is_kept(seconds: float, kept: float) -> None:
    """In proportion to the time it took, up to a bound; other questions have their own answers."""
    clock = Clock()
    answers, counting = Answers(clock), Counting(clock, seconds)
    assert answers.get("a", counting) == 1
    clock.now += kept - 0.01
    assert answers.get("a", counting) == 1
    clock.now += 0.02
    assert answers.get("a", counting) == 2
    assert answers.get("b", counting) == 3


def test_what_was_quick_is_found_anew() -> None:
    """Nobody sees an old answer to spare nothing."""
    clock = Clock()
    answers, counting = Answers(clock), Counting(clock, 0.0)
    assert [answers.get("a", counting) for _ in range(3)] == [1, 2, 3]


def test_one_looks_for_all() -> None:
    """Those who ask while somebody looks get what he finds."""
    clock = Clock()
    answers, counting = Answers(clock), Counting(clock, 1.0)
    looking, leave = threading.Event(), threading.Event()

    def find() -> int:
        looking.set()
        leave.wait(60)
        return counting()

    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(answers.get, "a", find)
        assert looking.wait(60)
        others = [threads.submit(answers.get, "a", find) for _ in range(7)]
        leave.set()
        assert {each.result(60) for each in (first, *others)} == {1}


def test_a_failure_is_not_kept() -> None:
    """Who asks after a failure, however long that took, gets an answer."""
    clock = Clock()
    answers, counting = Answers(clock), Counting(clock, 1.0)

    def fail() -> int:
        counting()
        raise OSError("down")

    with pytest.raises(OSError, match="down"):
        answers.get("a", fail)
    assert answers.get("a", counting) == 2


def test_not_everything_is_kept() -> None:
    """Whoever makes up questions does not fill the memory: what was not asked for longest is forgotten."""
    clock = Clock()
    answers, counting = Answers(clock), Counting(clock, 1.0)

    def ask(question: object) -> int:
        number = answers.get(question, counting)
        clock.now = 0.0  # so that nothing is forgotten by its age
        return number

    assert (ask("first"), ask("often")) == (1, 2)
    for number in range(100):
        ask(number)
        assert ask("often") == 2
    assert ask("first") > 100
