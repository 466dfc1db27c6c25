"""The inbox in a PostgreSQL that is reached through a pooler, as Airflow's own Helm chart has it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from airflow_vod.inbox import InboxStore
from airflow_vod.inbox.listeners import NotifyListener
from tests import poolers
from tests.databases import PostgreSQLServer
from tests.samples import concat_event

Q = "vod.example.com/1500012345"
SOON = 1.5  # seconds
needs_pgbouncer = pytest.mark.skipif(
    poolers.PGBOUNCER is None, reason="no pgbouncer here; the proxy shows the same of transaction pooling"
)


@pytest.fixture(
    params=[
        ("proxy", True),
        pytest.param(("transaction", True), marks=needs_pgbouncer),
        pytest.param(("session", False), marks=needs_pgbouncer),
    ],
    ids=["idle sessions are deaf", "pgbouncer, transactions", "pgbouncer, sessions"],
)
def pooled(
    request: pytest.FixtureRequest, postgresql: PostgreSQLServer
) -> Iterator[tuple[Callable[[], InboxStore], bool]]:
    """Opens an inbox through a pooler; and whether notifications do not arrive through it."""
    mode, deaf = request.param
    url, opened = postgresql.inbox(), list[InboxStore]()
    with poolers.deaf(url) if mode == "proxy" else poolers.pgbouncer(url, mode) as through:

        def open_one() -> InboxStore:
            opened.append(InboxStore.open(through))
            return opened[-1]

        yield open_one, deaf
        for store in opened:
            store.close()
    postgresql.give_back(url)


def test_news_come_soon_through_a_pooler(pooled: tuple[Callable[[], InboxStore], bool]) -> None:
    """What another process commits is noticed within a second and a half, from the first moment and later on."""
    open_one, deaf = pooled
    listener, writer = open_one(), open_one()
    listener.wait_for_news(Q, timeout=0)
    late: list[float] = []
    began = time.monotonic()
    number = 0
    while time.monotonic() - began < 9:  # beyond the time after which a listener gives up hearing anything
        number += 1
        while listener.wait_for_news(Q, timeout=0):
            pass
        committed: list[float] = []

        def commit(event: str = f"Concat-{number}", committed: list[float] = committed) -> None:
            writer.receive(Q, [concat_event(event)], "pull")
            committed.append(time.monotonic())

        happening = threading.Timer(0.7, commit)
        happening.start()
        while f"Concat-{number}" not in listener.find(Q, [f"Concat-{number}"]):
            listener.wait_for_news(Q, timeout=60)
        happening.join()
        late.append(time.monotonic() - committed[0])
    assert sorted(late)[len(late) // 2] < 0.8, late
    assert max(late) < SOON, late
    assert isinstance(heard := listener._news._listener, NotifyListener)
    assert heard.polls is deaf
