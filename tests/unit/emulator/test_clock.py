"""The emulator's clocks."""

from __future__ import annotations

import time

import pytest

from airflow_vod.emulator.clock import ManualClock, SystemClock
from airflow_vod.emulator.schedule import Schedule


class Follower:
    def __init__(self, clock: ManualClock) -> None:
        self.schedule = Schedule(clock)

    def next_due(self) -> float | None:
        """When the next entry is due."""
        return self.schedule.next_due()

    def tick(self) -> None:
        """Run what is due."""
        self.schedule.run()


def test_manual_clock_stands_still_until_it_is_advanced():
    """A manual clock is advanced by the test only."""
    clock = ManualClock(100)
    assert clock.now() == clock.now() == 100
    assert clock.advance(2.5) == clock.now() == 102.5


def test_manual_clock_never_runs_backwards():
    """A negative step is refused, with the reason."""
    with pytest.raises(ValueError, match="backwards"):
        ManualClock(100).advance(-1)


def test_everything_on_the_way_happens_at_its_own_time():
    """One long advance equals many short ones: entries run in order, each at its own time."""
    clock = ManualClock(0)
    follower = Follower(clock)
    clock.follow(follower)
    seen: list[float] = []

    def again() -> None:
        seen.append(clock.now())
        follower.schedule.after(10, again)

    follower.schedule.after(10, again)
    clock.advance(35)
    assert seen == [10, 20, 30]
    assert clock.now() == 35


def test_system_clock_tells_unix_seconds():
    """The system clock agrees with the machine's."""
    assert abs(SystemClock().now() - time.time()) < 1
