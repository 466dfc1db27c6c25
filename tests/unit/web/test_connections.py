"""Connections are cached briefly, in a bounded number."""

from __future__ import annotations

import asyncio
import json

import pytest

from airflow_vod.tencent.settings import VodSettings
from airflow_vod.web import connections as module
from airflow_vod.web.connections import TTL, TTL_UNUSABLE, Connections, read_settings
from tests.samples import Clock

GOOD = VodSettings(sub_app_id=1)


class Source:
    """A source of connections that records its reads."""

    def __init__(self, **known: VodSettings) -> None:
        self.known, self.asked = known, list[str]()

    def __call__(self, conn_id: str) -> VodSettings | None:
        """Read one."""
        self.asked.append(conn_id)
        return self.known.get(conn_id)


async def test_believed_for_a_short_time() -> None:
    """A change or removal is seen after `TTL` seconds; until then nothing is read."""
    source, clock = Source(one=GOOD), Clock()
    connections = Connections(source, clock)
    assert [await connections.settings("one") for _ in range(3)] == [GOOD] * 3
    assert source.asked == ["one"]
    source.known.clear()
    clock.now += TTL
    assert await connections.settings("one") is None
    source.known["one"] = GOOD
    clock.now += TTL_UNUSABLE
    assert await connections.settings("one") == GOOD


async def test_read_ahead_of_time() -> None:
    """In the second half of its lifetime a connection is refreshed while the cached settings are returned."""
    source, clock = Source(one=GOOD), Clock()
    connections = Connections(source, clock)
    await connections.settings("one")
    source.known["one"] = VodSettings(sub_app_id=2)
    clock.now += TTL / 2 + 1
    assert await connections.settings("one") == GOOD
    await asyncio.gather(*connections._reading.values())
    assert await connections.settings("one") == VodSettings(sub_app_id=2)
    assert source.asked == ["one", "one"]


async def test_one_reads_for_a_crowd() -> None:
    """Concurrent requests share one read."""
    source = Source(one=GOOD)
    connections = Connections(source, Clock())
    assert await asyncio.gather(*(connections.settings("one") for _ in range(20))) == [GOOD] * 20
    assert source.asked == ["one"]


async def test_strangers_fill_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache is bounded; invalid ids are not even looked up."""
    monkeypatch.setattr(module, "_MAX_CONNECTIONS", 3)
    source = Source()
    connections = Connections(source, Clock())
    for number in range(10):
        assert await connections.settings(f"c{number}") is None
    assert len(connections._cache) == 3
    for name in ("", "a b", "é", "../x", "x" * 251):
        assert await connections.settings(name) is None
    assert len(source.asked) == 10


def test_read_from_airflow(monkeypatch: pytest.MonkeyPatch, airflow_db: None) -> None:
    """A connection of our type is read; one of another type, a broken one and an unknown one yield None."""
    ours = {"conn_type": "tencent_vod", "extra": {"sub_app_id": 7, "callback_secret": 1234567890123456}}
    for name, value in {
        "ours": ours,
        "other": {"conn_type": "http", "extra": {"sub_app_id": 7}},
        "broken": {"conn_type": "tencent_vod", "extra": {"sub_app_id": "x"}},
    }.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(value))
    assert read_settings("ours") == VodSettings(sub_app_id=7, callback_secret="1234567890123456")
    assert [read_settings(name) for name in ("other", "broken", "unknown")] == [None] * 3
