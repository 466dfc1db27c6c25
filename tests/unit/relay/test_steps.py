"""The steps of a relay, against the emulator by its dial and a real inbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from airflow_vod.emulator import Emulator, EmulatorOptions, ManualClock
from airflow_vod.events.parse import UnparsedEvent, VodEvent
from airflow_vod.exceptions import InboxError, InboxUnavailableError, VodAuthenticationError, VodTransientError
from airflow_vod.inbox import InboxStore, Waiter
from airflow_vod.relay.state import state_of
from airflow_vod.relay.steps import LEASE_TTL, NO_PULL_BEFORE_END, Relay
from airflow_vod.relay.upkeep import PRUNE_EVERY
from airflow_vod.tencent.client import PULL_HOLD, VodClient
from tests.relays import SUB_APP_ID, FickleStore, client_of, drain, publish
from tests.samples import Clock

REDELIVERY = 30.0  # seconds


@pytest.fixture
def dial() -> ManualClock:
    """The emulator's time."""
    return ManualClock()


@pytest.fixture
def vod(dial: ManualClock) -> Iterator[Emulator]:
    """An emulator in which time stands still, and which therefore holds no pull."""
    with Emulator(options=EmulatorOptions(hold=0, rate_limit=None), clock=dial) as emulator:
        yield emulator


@pytest.fixture
def store(inbox: InboxStore) -> FickleStore:
    """An inbox that can fail."""
    return FickleStore(inbox)


@pytest.fixture
def relay(vod: Emulator, store: FickleStore) -> Iterator[Relay]:
    """A relay between the two."""
    with_client = Relay(client_of(vod), store)  # type: ignore[arg-type]
    yield with_client
    with_client.client.close()


def stored_ids(relay: Relay) -> list[str | None]:
    """The VOD task ids in the inbox, one for each event."""
    return sorted(event.vod_task_id or "" for event in relay.store.newest(relay.queue, limit=1000))


def test_everything_is_stored_and_confirmed(vod: Emulator, relay: Relay) -> None:
    """A drained queue is empty, and the inbox holds each of its events once."""
    ids = publish(vod, 40)
    assert drain(relay)
    assert stored_ids(relay) == sorted(ids)
    counts = vod.queue(SUB_APP_ID)
    assert (counts.visible, counts.hidden, counts.confirmed) == (0, 0, 40)
    summary = relay.summary
    assert (summary.pulls, summary.pulled, summary.stored, summary.confirmed) == (4, 40, 40, 40)


def test_nothing_is_confirmed_before_it_is_committed(vod: Emulator, inbox: InboxStore) -> None:
    """Whenever a confirm leaves, another connection to the database sees its events."""
    seen: list[int] = []

    class Witness(VodClient):
        def confirm_events(self, handles: Any) -> None:
            seen.append(len(inbox.newest(self.settings.queue, limit=1000)))
            super().confirm_events(handles)

    relay = Relay(Witness(client_of(vod).settings), inbox)
    publish(vod, 40)
    assert drain(relay)
    assert seen == [16, 32, 40]
    relay.client.close()


@pytest.mark.parametrize("failing", ["broken", "broken_after"])
def test_a_failed_commit_confirms_nothing(
    vod: Emulator, relay: Relay, store: FickleStore, dial: ManualClock, failing: str
) -> None:
    """Whether the commit failed or only seemed to, the events come back and are in the inbox once."""
    ids = publish(vod, 5)
    setattr(store, failing, {"receive"})
    with pytest.raises(InboxUnavailableError):
        drain(relay)
    assert vod.calls.count("ConfirmEvents") == 0
    setattr(store, failing, set())
    dial.advance(REDELIVERY)
    assert drain(relay)
    assert stored_ids(relay) == ids
    assert vod.queue(SUB_APP_ID).confirmed == 5
    assert relay.summary.duplicates == (5 if failing == "broken_after" else 0)


@pytest.mark.parametrize(
    "script",
    [
        {"ConfirmEvents": ["error:FailedOperation:no"] * 3},
        {"ConfirmEvents": ["drop_request"] * 3},
        {"ConfirmEvents": ["error:InvalidParameterValue:4000"]},
        {"PullEvents": ["expire_handles"]},
    ],
    ids=["refused", "dropped", "invalid", "expired"],
)
def test_a_failed_confirm_is_harmless(vod: Emulator, inbox: InboxStore, script: dict[str, list[str]]) -> None:
    """Events whose confirm fails come again, are recognised, and are confirmed then."""
    relay = Relay(client_of(vod), inbox)
    ids = publish(vod, 3)
    vod.faults.script(script)
    drain(relay, 1)
    assert (relay.summary.stored, relay.summary.confirm_failures, relay.summary.confirmed) == (3, 3, 0)
    assert isinstance(vod.clock, ManualClock)
    vod.clock.advance(REDELIVERY)
    assert drain(relay)
    assert stored_ids(relay) == ids
    assert (relay.summary.duplicates, relay.summary.confirmed) == (3, 3)
    assert vod.queue(SUB_APP_ID).confirmed == 3
    relay.client.close()


def test_what_cannot_be_read_is_kept_and_confirmed(vod: Emulator, relay: Relay) -> None:
    """A body that is no event is stored as it came, and does not come again."""
    vod.publish({"EventType": "Riddle", "Answer": 42}, SUB_APP_ID)
    publish(vod, 1)
    assert drain(relay)
    [unparsed] = relay.store.newest(relay.queue, unparsed=True)
    assert unparsed.body == {"EventType": "Riddle", "Answer": 42}
    assert unparsed.error
    assert (relay.summary.unparsed, relay.summary.confirmed) == (1, 2)
    assert vod.queue(SUB_APP_ID).confirmed == 2


@pytest.mark.parametrize("error", [InboxError("the database refuses"), ValueError("a bug")], ids=["refusal", "bug"])
def test_an_event_that_cannot_be_stored_keeps_no_other_out(
    vod: Emulator, inbox: InboxStore, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """All others of its batch are stored and confirmed; it stays in the queue, and the log says so."""

    class Picky(FickleStore):
        def receive(self, queue: str, events: list[VodEvent | UnparsedEvent], source: Any) -> Any:
            if any(isinstance(event, VodEvent) and event.vod_task_id == "Concat-7" for event in events):
                raise error
            return inbox.receive(queue, events, source)

    relay = Relay(client_of(vod), Picky(inbox))  # type: ignore[arg-type]
    ids = publish(vod, 16)
    assert drain(relay)
    assert stored_ids(relay) == sorted(set(ids) - {"Concat-7"})
    assert (relay.summary.refused, relay.summary.confirmed, vod.queue(SUB_APP_ID).confirmed) == (1, 15, 15)
    assert vod.queue(SUB_APP_ID).hidden == 1
    assert str(error) in caplog.text
    relay.client.close()


def test_an_event_without_handle_is_stored(vod: Emulator, inbox: InboxStore) -> None:
    """An event that brings no handle is stored all the same, and left."""

    class Forgetful(VodClient):
        def pull_events(self) -> list[Any]:
            odd = [None, "", 7]
            items = super().pull_events()
            for item, handle in zip(items, odd, strict=False):
                item["EventHandle"] = handle
            return items

    relay = Relay(Forgetful(client_of(vod).settings), inbox)
    publish(vod, 5)
    assert drain(relay)
    assert (relay.summary.stored, relay.summary.left, relay.summary.confirmed) == (5, 3, 2)
    relay.client.close()


def test_under_awaited_only_what_is_waited_for_is_confirmed(vod: Emulator, inbox: InboxStore) -> None:
    """Everything is stored; what nobody here waits for is left to the other consumers of the queue."""
    relay = Relay(client_of(vod, confirm_policy="awaited"), inbox)
    ids = publish(vod, 4)
    vod.publish({"EventType": "Riddle"}, SUB_APP_ID)
    inbox.waiters.add(relay.queue, [Waiter("1", "Concat-2")], "owner")
    assert drain(relay)
    assert stored_ids(relay) == ["", *ids]
    assert (relay.summary.confirmed, relay.summary.left) == (1, 4)
    counts = vod.queue(SUB_APP_ID)
    assert (counts.confirmed, counts.hidden) == (1, 4)
    relay.client.close()


def test_under_awaited_what_was_read_is_confirmed_when_it_comes_again(vod: Emulator, inbox: InboxStore) -> None:
    """An event that a later waiter found in the inbox leaves the queue at its next delivery."""
    relay = Relay(client_of(vod, confirm_policy="awaited"), inbox)
    publish(vod, 2)
    assert drain(relay)
    event = inbox.find(relay.queue, ["Concat-1"])["Concat-1"]
    inbox.mark_read(relay.queue, [event.position], "dag/run/task")
    assert isinstance(vod.clock, ManualClock)
    vod.clock.advance(REDELIVERY)
    assert drain(relay)
    counts = vod.queue(SUB_APP_ID)
    assert (counts.confirmed, counts.hidden) == (1, 1)
    assert (relay.summary.stored, relay.summary.duplicates) == (2, 2)
    relay.client.close()


def test_under_awaited_nothing_is_confirmed_blindly(vod: Emulator, store: FickleStore) -> None:
    """While it cannot be told who waits, events are left, and they count as stored all the same."""
    relay = Relay(client_of(vod, confirm_policy="awaited"), store)  # type: ignore[arg-type]
    publish(vod, 2)
    store.waiters.add(relay.queue, [Waiter("1", "Concat-1")], "owner")
    store.broken = {"waiters.awaited"}
    assert drain(relay)
    assert (relay.summary.stored, relay.summary.confirmed, relay.summary.left) == (2, 0, 2)
    relay.client.close()


def test_only_the_holder_of_the_lease_pulls(vod: Emulator, open_inbox: Callable[..., InboxStore]) -> None:
    """While another relay has the lease, VOD is not even asked; afterwards it is, at once."""
    first, second = Relay(client_of(vod), open_inbox()), Relay(client_of(vod), open_inbox())
    assert first.acquire_lease()
    assert not drain(second)
    assert vod.calls.count("PullEvents") == 0
    first.release_lease()
    assert drain(second)
    assert vod.calls.count("PullEvents") == 1
    for relay in (first, second):
        relay.client.close()


def test_no_pull_starts_at_the_end_of_a_lease(vod: Emulator, inbox: InboxStore) -> None:
    """A second passes between the last pull of one holder and the first of the next, whatever the database says meanwhile."""
    clock = Clock()
    relay = Relay(client_of(vod), inbox, clock=clock)
    assert not relay.holds_lease()
    assert relay.acquire_lease()
    clock.now += LEASE_TTL - NO_PULL_BEFORE_END
    assert relay.holds_lease()
    clock.now += 0.01
    assert not relay.holds_lease()
    relay.client.close()


def test_who_takes_over_goes_on_with_the_trouble(vod: Emulator, inbox: InboxStore) -> None:
    """Since when pulls have failed, and why, outlives the relay that saw it begin, until a pull succeeds."""
    first, second = Relay(client_of(vod), inbox), Relay(client_of(vod), inbox)
    vod.faults.script({"PullEvents": ["unauthorized"]})
    assert first.acquire_lease()
    with pytest.raises(VodAuthenticationError) as refused:
        first.pull()
    first.count_pull_failure(refused.value)
    first.release_lease()
    assert second.acquire_lease()
    assert second.health.failing_since_at == first.health.failing_since_at is not None
    assert (second.health.failure, second.health.pulls_refused) == (str(refused.value), True)
    assert state_of(inbox, second.queue)["relay"]["failing_since_at"] == first.health.failing_since_at
    second.count_pull(second.pull())
    second.release_lease()
    relay = state_of(inbox, second.queue)["relay"]
    assert (relay["failing_since_at"], relay["failure"], relay["pulls_refused"]) == (None, "", False)
    for each in (first, second):
        each.client.close()


def test_pruning_is_due_now_and_then(vod: Emulator, inbox: InboxStore) -> None:
    """The first time within minutes, so that short lives prune too; then once an hour; never without a retention."""
    clock = Clock()
    relay = Relay(client_of(vod), inbox, clock=clock, retention=60.0)
    keeps_all = Relay(relay.client, inbox, clock=clock)
    due = []
    for second in range(0, 3 * 3600, 60):
        clock.now += 60
        assert keeps_all.upkeep.prune not in list(keeps_all.upkeep.due())
        if relay.upkeep.prune in list(relay.upkeep.due()):
            due.append(second)
    assert due[0] <= PRUNE_EVERY / 10
    assert [later - earlier for earlier, later in pairwise(due)] == [PRUNE_EVERY] * (len(due) - 1)
    assert len(due) == 3
    relay.client.close()


def test_only_what_is_new_is_announced(vod: Emulator, inbox: InboxStore, dial: ManualClock) -> None:
    """A redelivery wakes nobody."""
    told: list[int] = []
    relay = Relay(client_of(vod), inbox, on_received=lambda: told.append(1))
    publish(vod, 3)
    vod.faults.script({"ConfirmEvents": ["error:InvalidParameterValue:4000"]})
    drain(relay, 1)
    dial.advance(REDELIVERY)
    assert drain(relay)
    assert (relay.summary.duplicates, told) == (3, [1])
    relay.client.close()


@pytest.mark.parametrize(("seconds", "age"), [(0.5, 0.0), (PULL_HOLD, 0.0), (PULL_HOLD + 9, 9.0)])
def test_an_answer_that_was_long_on_its_way_is_as_old_as_it_may_be(
    vod: Emulator, inbox: InboxStore, seconds: float, age: float
) -> None:
    """The server holds a pull for 5 s at most; what the answer took beyond that has been taken from its 30 s."""
    clock = Clock()

    class Slow(VodClient):
        def pull_events(self) -> list[Any]:
            clock.now += seconds
            return super().pull_events()

    relay = Relay(Slow(client_of(vod).settings), inbox, clock=clock)
    publish(vod, 1)
    [delivery] = relay.pull()
    assert clock.now - delivery.pulled_monotonic == age
    relay.client.close()


def test_since_when_pulls_fail_is_known_to_the_next_relay(relay: Relay) -> None:
    """An outage that goes on is told from its beginning, whoever pulls by now; it is over with the first answer."""
    before = relay.health.to_dict() | {"failing_since_at": 1000.0, "failure": "PullEvents: ConnectFailed: refused"}
    relay.store.leases.acquire(relay.queue, "one that went away", 0.0001, info=before)
    assert relay.acquire_lease()
    relay.count_pull_failure(VodTransientError("PullEvents", "ConnectFailed", "refused"))
    relay.release_lease()
    lease = relay.store.leases.read(relay.queue)
    assert lease is not None
    assert lease.info["failing_since_at"] == 1000.0
    relay.count_pull([])
    relay.acquire_lease()
    lease = relay.store.leases.read(relay.queue)
    assert lease is not None
    assert lease.info["failing_since_at"] is None
