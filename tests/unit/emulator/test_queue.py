"""The queue: at-least-once delivery, one handle per delivery, competing pulls in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from airflow_vod.emulator.clock import ManualClock
from airflow_vod.emulator.options import EmulatorOptions
from airflow_vod.emulator.queue import Delivery, EventQueue
from airflow_vod.emulator.schedule import Schedule


class Bench:
    """A queue with a manual clock."""

    def __init__(self, **options: Any) -> None:
        self.clock = ManualClock(0)
        self.schedule = Schedule(self.clock)
        self.queue = EventQueue(self.schedule, EmulatorOptions(**options))
        self.clock.follow(self)

    def next_due(self) -> float | None:
        """When the next entry is due."""
        return self.schedule.next_due()

    def tick(self) -> None:
        """Run what is due."""
        self.schedule.run()

    def publish(self, *bodies: str) -> None:
        """Publish events that consist of a word."""
        for body in bodies:
            self.queue.publish(body.encode())

    def pull(self) -> list[Sequence[Delivery]]:
        """A list that the answer is appended to, now or later."""
        answers: list[Sequence[Delivery]] = []
        self.queue.pull(answers.append)
        return answers

    def take(self) -> dict[str, str]:
        """Word to handle of a pull that is answered immediately."""
        (deliveries,) = self.pull()
        return {d.body.decode(): d.handle for d in deliveries}


@pytest.fixture
def bench() -> Bench:
    """A queue with the default options."""
    return Bench()


def test_a_pull_takes_at_most_sixteen_in_order(bench: Bench):
    """A batch is the 16 oldest events; the rest stays for the next pull."""
    bench.publish(*(f"{n:02}" for n in range(20)))
    assert list(bench.take()) == [f"{n:02}" for n in range(16)]
    assert list(bench.take()) == ["16", "17", "18", "19"]


def test_an_empty_queue_holds_the_pull_for_five_seconds(bench: Bench):
    """Without events, the answer is empty and sent after the hold."""
    answers = bench.pull()
    bench.clock.advance(4.9)
    assert answers == []
    assert bench.queue.counts().waiting == 1
    bench.clock.advance(0.1)
    assert answers == [()]
    assert bench.queue.counts().waiting == 0


def test_waiting_pulls_are_answered_first_come_first_served(bench: Bench):
    """An event is delivered immediately to the pull that has waited longest."""
    first, second = bench.pull(), bench.pull()
    bench.publish("a")
    assert [d.body for d in first[0]] == [b"a"]
    assert second == []
    bench.publish("b")
    assert [d.body for d in second[0]] == [b"b"]


def test_a_hold_of_zero_answers_at_once():
    """Without a hold, an empty queue answers immediately."""
    assert Bench(hold=0).pull() == [()]


def test_an_unconfirmed_event_comes_back_after_thirty_seconds(bench: Bench):
    """A delivered event is hidden for the visibility timeout and then delivered again, under a new handle."""
    bench.publish("a")
    before = bench.take()
    bench.clock.advance(29.9)
    assert bench.queue.counts().visible == 0
    bench.clock.advance(0.1)
    after = bench.take()
    assert before.keys() == after.keys()
    assert before["a"] != after["a"]


def test_a_waiting_pull_gets_the_event_that_comes_back(bench: Bench):
    """A redelivery answers a held pull immediately."""
    bench.publish("a")
    bench.take()
    bench.clock.advance(27)
    answers = bench.pull()
    bench.clock.advance(3)
    assert [d.body for d in answers[0]] == [b"a"]


def test_a_confirmed_event_never_comes_back(bench: Bench):
    """Confirming removes the event, and its handle with it."""
    bench.publish("a")
    handle = bench.take()["a"]
    assert bench.queue.confirm([handle]) == []
    assert bench.queue.confirm([handle]) == [handle]
    bench.clock.advance(31)
    counts = bench.queue.counts()
    assert (counts.visible, counts.hidden, counts.confirmed) == (0, 0, 1)


def test_only_the_newest_handle_confirms(bench: Bench):
    """An earlier handle no longer confirms after a redelivery, as in CMQ."""
    bench.publish("a")
    old = bench.take()["a"]
    bench.clock.advance(30)
    new = bench.take()["a"]
    assert bench.queue.confirm([old]) == [old]
    assert bench.queue.counts().hidden == 1
    assert bench.queue.confirm([new]) == []


def test_earlier_handles_may_stay_valid():
    """With the option, any handle of a delivered event confirms it."""
    bench = Bench(older_handles_stay_valid=True)
    bench.publish("a")
    old = bench.take()["a"]
    bench.clock.advance(30)
    assert bench.queue.confirm([old]) == [old], "nothing confirms an event that is not out"
    new = bench.take()["a"]
    assert bench.queue.confirm([old]) == []
    assert bench.queue.confirm([new]) == [new]


def test_a_handle_expires_with_the_visibility_timeout(bench: Bench):
    """After 30 s a handle is invalid, even if the event has not been redelivered."""
    bench.publish("a")
    handle = bench.take()["a"]
    bench.clock.advance(30)
    assert bench.queue.confirm([handle]) == [handle]


def test_good_handles_are_confirmed_beside_bad_ones(bench: Bench):
    """An invalid handle does not affect others in the same call."""
    bench.publish("a", "b")
    handles = bench.take()
    assert bench.queue.confirm([handles["a"], "nonsense", handles["b"], handles["b"]]) == ["nonsense", handles["b"]]
    assert bench.queue.counts().confirmed == 2


@pytest.mark.parametrize("pulled", [False, True], ids=["visible", "hidden"])
def test_an_event_expires_after_four_days(bench: Bench, pulled: bool):
    """An event is removed when its retention ends, visible or hidden; a younger one stays."""
    bench.publish("old")
    bench.clock.advance(4 * 86400 - 10)
    bench.publish("young")
    if pulled:
        bench.take()
    bench.clock.advance(9.9)
    assert bench.queue.counts().expired == 0
    bench.clock.advance(0.1)
    assert bench.queue.counts().expired == 1
    bench.clock.advance(20)
    assert list(bench.take()) == ["young"]


def test_an_abandoned_poll_takes_nothing(bench: Bench):
    """An abandoned poll is never answered, neither with events nor at the end of the hold."""
    answers: list[Sequence[Delivery]] = []
    poll = bench.queue.pull(answers.append)
    assert bench.queue.abandon(poll)
    assert not bench.queue.abandon(poll)
    bench.publish("a")
    bench.clock.advance(10)
    assert answers == []
    assert bench.queue.counts().visible == 1


def test_expired_handles_let_the_events_come_back_at_once(bench: Bench):
    """The fault `expire_handles` ends the visibility timeout, once: its regular end does nothing more."""
    bench.publish("a")
    old = bench.take()["a"]
    bench.queue.expire_handles()
    new = bench.take()["a"]
    bench.clock.advance(29)
    assert bench.queue.confirm([old]) == [old]
    assert bench.queue.counts().hidden == 1
    assert bench.queue.confirm([new]) == []


def test_the_end_of_an_earlier_delivery_does_not_end_a_later_one():
    """Each delivery hides the event for its own 30 s, also when earlier handles stay valid."""
    bench = Bench(older_handles_stay_valid=True)
    bench.publish("a")
    bench.take()
    bench.clock.advance(10)
    bench.queue.expire_handles()
    bench.take()
    bench.clock.advance(20)
    assert bench.queue.counts().hidden == 1, "the first delivery would have ended now"
    bench.clock.advance(10)
    assert bench.queue.counts().visible == 1


def test_random_order_is_seeded():
    """Events can be delivered in random order, which depends on the seed only."""
    orders = []
    for seed in (1, 1, 2):
        bench = Bench(order="random", seed=seed)
        bench.publish(*"abcdefgh")
        orders.append(list(bench.take()))
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == list("abcdefgh")


class QueueModel(RuleBasedStateMachine):
    """Any sequence of publishing, pulling, confirming and waiting matches a simple model."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(hold=0, batch=3)
        self.visible: set[str] = set()
        self.hidden: dict[str, tuple[float, str]] = {}
        self.stale: list[str] = []
        self.confirmed = 0
        self.published = 0

    def settle(self) -> None:
        """Update the model with events that are visible again."""
        for name, (until, handle) in list(self.hidden.items()):
            if until <= self.bench.clock.now():
                del self.hidden[name]
                self.visible.add(name)
                self.stale.append(handle)

    @rule(number=st.integers(1, 5))
    def publish(self, number: int) -> None:
        """Publish some events."""
        for _ in range(number):
            name = f"{self.published}"
            self.published += 1
            self.visible.add(name)
            self.bench.publish(name)

    @rule()
    def pull(self) -> None:
        """A pull delivers only visible events, as many as the batch allows."""
        taken = self.bench.take()
        assert len(taken) == min(3, len(self.visible))
        assert taken.keys() <= self.visible
        self.visible -= taken.keys()
        until = self.bench.clock.now() + 30
        self.hidden.update({name: (until, handle) for name, handle in taken.items()})

    @precondition(lambda self: self.hidden)
    @rule(data=st.data())
    def confirm(self, data: st.DataObject) -> None:
        """The newest handle confirms until it expires."""
        name = data.draw(st.sampled_from(sorted(self.hidden)))
        handle = self.hidden.pop(name)[1]
        assert self.bench.queue.confirm([handle]) == []
        self.stale.append(handle)
        self.confirmed += 1

    @precondition(lambda self: self.stale)
    @rule(data=st.data())
    def confirm_too_late(self, data: st.DataObject) -> None:
        """A used, expired or superseded handle never confirms again."""
        handle = data.draw(st.sampled_from(self.stale))
        assert self.bench.queue.confirm([handle]) == [handle]

    @rule(seconds=st.sampled_from([1, 10, 29, 30, 31]))
    def wait(self, seconds: int) -> None:
        """Advance the clock, also to the exact end of a visibility timeout."""
        self.bench.clock.advance(seconds)
        self.settle()

    @invariant()
    def counts_agree(self) -> None:
        """No event is lost or duplicated."""
        counts = self.bench.queue.counts()
        assert (counts.visible, counts.hidden) == (len(self.visible), len(self.hidden))
        assert (counts.confirmed, counts.published) == (self.confirmed, self.published)


TestQueueModel = QueueModel.TestCase
TestQueueModel.settings = settings(max_examples=40, stateful_step_count=30)
