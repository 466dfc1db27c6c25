"""Entries run at most once, and never early."""

from __future__ import annotations

from airflow_vod.emulator.clock import ManualClock
from airflow_vod.emulator.schedule import Schedule


def test_entries_run_in_the_order_of_their_time():
    """Entries run in order of time, ties in order of scheduling, and only when they are due."""
    clock, seen = ManualClock(0), list[str]()
    schedule = Schedule(clock)
    for name, seconds in (("late", 9), ("b", 2), ("a", 1), ("b2", 2)):
        schedule.after(seconds, lambda name=name: seen.append(name))
    clock.advance(5)
    schedule.run()
    schedule.run()
    assert seen == ["a", "b", "b2"]
    assert schedule.next_due() == 9


def test_a_cancelled_entry_does_not_happen():
    """A cancelled entry does not run and is no longer the next one."""
    clock, seen = ManualClock(0), list[str]()
    schedule = Schedule(clock)
    entry = schedule.after(1, lambda: seen.append("never"))
    schedule.after(2, lambda: seen.append("then"))
    entry.cancel()
    assert schedule.next_due() == 2
    clock.advance(3)
    schedule.run()
    assert seen == ["then"]
    assert schedule.next_due() is None


def test_only_an_earlier_entry_asks_for_a_new_alarm():
    """The timer is reset only when a new entry is the earliest."""
    asked: list[float | None] = []
    schedule = Schedule(ManualClock(0))
    schedule.on_earlier = lambda: asked.append(schedule.next_due())
    for seconds in (5, 7, 3):
        schedule.after(seconds, lambda: None)
    assert asked == [5, 3]
