"""Which events came, and which ends of tasks are known only because VOD was asked."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from airflow_vod.inbox import InboxStore
from airflow_vod.inbox.arrivals import Neighbours
from tests.samples import Clock, concat_event, unparsed_event

Q = "vod/1"


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock(1_800_000_000.0)


@pytest.fixture
def store(open_inbox: Callable[..., InboxStore], clock: Clock) -> InboxStore:
    """An inbox by that clock."""
    return open_inbox(clock=clock)


def test_what_vod_was_asked_for(store: InboxStore) -> None:
    """The newest, of this queue alone, between two positions; what came as an event is not among them."""
    for number in range(4):
        store.receive(Q, [concat_event(f"Asked-{number}")], "reconcile")
        store.receive(Q, [concat_event(f"Came-{number}")], "pull")
    store.receive("other", [concat_event("Asked-9")], "reconcile")
    assert [each.vod_task_id for each in store.arrivals.asked(Q, 0, 99, 9)] == [f"Asked-{n}" for n in (3, 2, 1, 0)]
    assert [each.vod_task_id for each in store.arrivals.asked(Q, 1, 5, 9)] == ["Asked-2", "Asked-1"]
    assert [each.vod_task_id for each in store.arrivals.asked(Q, 0, 99, 1)] == ["Asked-3"]


def test_which_tasks_came(store: InboxStore) -> None:
    """As an event, in whatever words; ids that cannot be are no harm."""
    store.receive(Q, [concat_event("Asked")], "reconcile")
    store.receive(Q, [concat_event("Pulled")], "pull")
    store.receive(Q, [concat_event("Called")], "callback")
    assert store.arrivals.came(Q, ["Asked", "Pulled", "Called", "Never", "\x00"]) == {"Pulled", "Called"}
    assert store.arrivals.came("other", ["Pulled"]) == set()


def test_the_neighbours_of_a_moment(store: InboxStore, clock: Clock) -> None:
    """The nearest events of the same type and queue that were pulled, and whether anything between cannot be read."""
    start = clock.now
    moments = {0: "pull", 10: "callback", 20: "reconcile", 40: "pull", 50: "pull"}
    for second, source in moments.items():
        clock.now = start + second
        store.receive(Q, [concat_event(f"Concat-{second}")], source)  # type: ignore[arg-type]
        store.receive("other", [concat_event(f"Concat-{second}")], "pull")

    def around(second: float) -> Neighbours | None:
        return store.arrivals.neighbours(Q, "ConcatComplete", start + second)

    assert around(30) == Neighbours(start, start + 40, False)
    assert around(45) == Neighbours(start + 40, start + 50, False)
    assert around(-1) is around(50) is None
    assert store.arrivals.neighbours(Q, "NewFileUpload", start + 30) is None
    clock.now = start + 35
    store.receive(Q, [unparsed_event()], "pull")
    assert around(30) == Neighbours(start, start + 40, True)
    assert around(45) == Neighbours(start + 40, start + 50, False)
