"""Work is done in threads; its outcome comes to the one who takes the notes."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from airflow_vod.relay.workers import Workers


@pytest.fixture
def workers() -> Workers:
    """Not yet started."""
    return Workers("test-worker")


def take(workers: Workers, outcomes: list[Any], number: int) -> None:
    """Take notes until there are so many outcomes."""
    for _ in range(100):
        if len(outcomes) >= number:
            return
        workers.take_notes(1)
    raise TimeoutError


def test_what_work_returns_and_raises_comes_back_here(workers: Workers) -> None:
    """Results and errors alike are handed over in the thread that asks for them."""
    outcomes: list[Any] = []
    error = SystemExit("even this")

    def fail() -> None:
        raise error

    def note(outcome: object) -> None:
        outcomes.append((outcome, threading.current_thread()))

    workers.start(lambda: 1, note)
    workers.start(fail, note)
    take(workers, outcomes, 2)
    workers.end()
    me = threading.current_thread()
    assert sorted(outcomes, key=str) == sorted([(1, me), (error, me)], key=str)


def test_work_that_blocks_blocks_no_other(workers: Workers) -> None:
    """There is a thread for each piece of open work; `end` waits for none that is still blocked."""
    gate, outcomes = threading.Event(), list[Any]()
    workers.start(gate.wait, outcomes.append)
    workers.start(lambda: "free", outcomes.append)
    take(workers, outcomes, 1)
    assert outcomes == ["free"]
    workers.end()
    gate.set()
    take(workers, outcomes, 2)


def test_without_another_thread_the_work_is_done_in_turn(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has no thread left slows the work down; only where there is none at all it fails."""
    outcomes: list[Any] = []
    workers.start(lambda: 0, outcomes.append)
    take(workers, outcomes, 1)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    for number in (1, 2, 3):
        workers.start(lambda number=number: number, outcomes.append)  # type: ignore[misc]
    take(workers, outcomes, 4)
    workers.end()
    assert outcomes == [0, 1, 2, 3]
    with pytest.raises(RuntimeError):
        Workers("none").start(lambda: 0, outcomes.append)
