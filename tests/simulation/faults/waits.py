"""Faults of waits, watches and of asking VOD."""

from __future__ import annotations

from typing import Any

from airflow_vod.relay.reconcile import ReconcileLoop
from airflow_vod.triggers.base import VodWaitTrigger
from airflow_vod.waiting.index import WaiterIndex
from airflow_vod.waiting.lookout import Lookout
from airflow_vod.waiting.waiter import EventWaiter, TaskWaiter, Waiter
from airflow_vod.waiting.watch import Watch
from tests.simulation.faults.planting import Set, fault_of

bug = fault_of("waits")


@bug
def lost_wake_up(change: Set) -> None:
    """What a waiter is handed does not wake it."""
    change(Waiter, "wake", lambda self: None)


@bug
def no_first_look(change: Set) -> None:
    """Who comes is not looked up in the inbox: only news count."""

    def only_noted(self: Lookout, waiters: Any) -> None:
        for waiter in waiters:
            if isinstance(waiter, EventWaiter):
                waiter.scanning = False
            waiter.loop.call_soon_threadsafe(waiter.note_look)

    change(Lookout, "look_up", only_noted)


@bug
def no_news(change: Set) -> None:
    """What is committed after the first look is not read."""
    change(Lookout, "read_news", lambda self: None)


@bug
def forgotten_waiter(change: Set) -> None:
    """A wait that is over stays in the watch."""
    change(WaiterIndex, "discard", lambda self, waiter: False)


@bug
def news_overtake_the_first_look(change: Set) -> None:
    """Who has just come gets news before what was there already was looked at for it."""
    begin = EventWaiter.__init__

    def early(self: EventWaiter, *args: Any, **more: Any) -> None:
        begin(self, *args, **more)
        self.scanning = False

    change(EventWaiter, "__init__", early)


@bug
def deadline_ends_the_look(change: Set) -> None:
    """A wait is over some seconds before its deadline."""
    remaining = VodWaitTrigger._remaining
    change(VodWaitTrigger, "_remaining", lambda self: max(remaining(self) - 2.0, 0.0))


@bug
def deadline_is_passed_over(change: Set) -> None:
    """A deadline does not end a wait."""
    change(VodWaitTrigger, "_remaining", lambda self: float("inf"))


@bug
def any_end_is_mine(change: Set) -> None:
    """Of several tasks the first that ends stands for all."""
    deliver = TaskWaiter.deliver

    def all_at_once(self: TaskWaiter, vod_task_id: str) -> None:
        deliver(self, vod_task_id)
        self.missing.clear()

    change(TaskWaiter, "deliver", all_at_once)


@bug
def nobody_asks(change: Set) -> None:
    """VOD is never asked about a task."""
    change(ReconcileLoop, "turn", lambda self: self._due.clear())


@bug
def a_refused_key_goes_unnoticed(change: Set) -> None:
    """A process that does not pull keeps asking with a key that was replaced."""
    change(ReconcileLoop, "_judge", lambda self, error: None)


@bug
def lines_stay(change: Set) -> None:
    """Who left stays on the list of who waits."""
    change(Watch, "_forget", lambda self, waiters: [self._index.discard(waiter) for waiter in waiters])


@bug
def news_are_not_told(change: Set) -> None:
    """A commit of another process, or of this one, wakes no watch."""
    change(Watch, "_note_news", lambda self: None)


@bug
def outage_forgets_the_news(change: Set) -> None:
    """News that could not be read for an outage are not read after it."""
    from airflow_vod.waiting import watch as module

    change(module.Troubles, "inbox_fails", lambda self, error: setattr(self, "_gone", True))
    serve_news = Watch._read_news

    def once(self: Watch, now: float) -> float:
        if getattr(self._troubles, "_gone", False):
            self._news, self._look_again_at, self._troubles._gone = False, float("inf"), False  # type: ignore[attr-defined]
        return serve_news(self, now)

    change(Watch, "_read_news", once)
