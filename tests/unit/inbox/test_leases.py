from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable

import pytest
from sqlalchemy import create_engine, insert
from sqlalchemy.exc import DBAPIError

from airflow_vod.exceptions import InboxError
from airflow_vod.inbox import InboxStore, Lease
from airflow_vod.inbox.leases import new_holder
from airflow_vod.inbox.tables import vod_lease
from tests.samples import Clock

Q = "1500012345"
OpenInbox = Callable[..., InboxStore]


def test_one_holder_at_a_time(open_inbox: OpenInbox) -> None:
    """A second holder gets the lease only after the first has released it or let it expire."""
    clock = Clock()
    inbox = open_inbox(clock=clock)
    assert inbox.leases.read(Q) is None
    assert inbox.leases.acquire(Q, "first", 12)
    assert not inbox.leases.acquire(Q, "second", 12)
    clock.now += 11.9
    assert not inbox.leases.acquire(Q, "second", 12)
    clock.now += 0.1
    assert inbox.leases.acquire(Q, "second", 12)
    assert not inbox.leases.acquire(Q, "first", 12)
    assert not inbox.leases.release(Q, "first")
    assert inbox.leases.release(Q, "second")
    assert not inbox.leases.release(Q, "second")
    assert inbox.leases.acquire(Q, "first", 12)


def test_a_clock_that_is_set_back(open_inbox: OpenInbox) -> None:
    """If the clock is set back, the lease of a dead holder blocks others for no longer than any lease lasts."""
    clock = Clock()
    inbox = open_inbox(clock=clock)
    assert inbox.leases.acquire(Q, "dead", 12)
    clock.now -= 3600
    assert inbox.leases.acquire(Q, "other", 12)
    assert not inbox.leases.acquire(Q, "dead", 12)


def test_who_held_it_last(open_inbox: OpenInbox) -> None:
    """A released lease still shows its last holder and info."""
    inbox = open_inbox()
    inbox.leases.acquire(Q, "holder", 60, info={"pulls": 1})
    inbox.leases.release(Q, "holder")
    lease = inbox.leases.read(Q)
    assert lease is not None
    assert (lease.expired, lease.holder, lease.info) == (True, "holder", {"pulls": 1})


def test_renewal_keeps_the_beginning(open_inbox: OpenInbox) -> None:
    """A renewal moves the expiry; only an expired lease gets a new acquisition time."""
    clock = Clock()
    inbox = open_inbox(clock=clock)
    began = clock.now
    inbox.leases.acquire(Q, "holder", 12, info={"pulls": 1})
    clock.now += 10
    assert inbox.leases.acquire(Q, "holder", 12, info={"pulls": 2})
    assert inbox.leases.read(Q) == Lease(Q, "holder", began, clock.now + 12, False, {"pulls": 2})
    clock.now += 20
    expired = inbox.leases.read(Q)
    assert expired is not None
    assert expired.expired
    assert inbox.leases.acquire(Q, "holder", 12)
    assert inbox.leases.read(Q) == Lease(Q, "holder", clock.now, clock.now + 12, False, {})


def test_leases_of_queues_are_apart(inbox: InboxStore) -> None:
    """Each queue has a lease of its own."""
    assert inbox.leases.acquire("a", "one", 60)
    assert inbox.leases.acquire("b", "two", 60)
    assert not inbox.leases.release("b", "one")


def test_database_tells_the_time(inbox: InboxStore) -> None:
    """Without a clock of its own, a store uses the database's Unix seconds, at the precision of a float."""
    before = time.time()
    inbox.leases.acquire(Q, "holder", 60)
    lease = inbox.leases.read(Q)
    assert lease is not None
    assert before - 2 < lease.acquired_at < time.time() + 2
    assert lease.expires_at == pytest.approx(lease.acquired_at + 60, abs=1e-3)
    assert not lease.expired


def test_half_a_lease_cannot_be_written(inbox_url: str) -> None:
    """The database refuses a holder without an expiry, which would keep the queue for ever."""
    engine = create_engine(inbox_url)
    for half in (
        {"holder": "somebody"},
        {"expires_at": 1.0},
        {"acquired_at": 1.0},
        {"holder": "somebody", "acquired_at": 1.0},
        {"acquired_at": 1.0, "expires_at": 1.0},
    ):
        # PyMySQL takes MariaDB's error of a CHECK for one of another class.
        with pytest.raises(DBAPIError, match="lease_whole"), engine.begin() as connection:
            connection.execute(insert(vod_lease).values(queue=Q, **half))
    engine.dispose()


@pytest.mark.parametrize("info", [{"x": "y" * 20_000}, {"x": object()}])
def test_info_is_small_json(inbox: InboxStore, info: dict[str, object]) -> None:
    """Info that is too large or cannot be JSON is refused, and the lease is not taken."""
    with pytest.raises(InboxError, match="info of a lease"):
        inbox.leases.acquire(Q, "holder", 60, info=info)
    assert inbox.leases.read(Q) is None


@pytest.mark.parametrize("holder", ["", "\0", "h" * 256])
def test_holder_has_a_name(inbox: InboxStore, holder: str) -> None:
    """A holder that is not a valid id is refused."""
    with pytest.raises(InboxError, match="holder"):
        inbox.leases.acquire(Q, holder, 60)


def test_every_holder_is_its_own() -> None:
    """An id of a holder names the machine and the process, and no two are the same."""
    holders = {new_holder() for _ in range(1000)}
    assert len(holders) == 1000
    assert {holder.rpartition(":")[0] for holder in holders} == {f"{socket.gethostname()}:{os.getpid()}"}
