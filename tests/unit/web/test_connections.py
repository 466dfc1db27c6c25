"""Connections are cached briefly; names that strangers make up cost little and hold up nobody."""

from __future__ import annotations

import asyncio
import json
import logging
import threading

import pytest
from sqlalchemy import text

from airflow_vod.tencent.settings import VodSettings
from airflow_vod.web import connections as module
from airflow_vod.web.budgets import HourlyBudget
from airflow_vod.web.connections import TTL, TTL_UNUSABLE, Connections, listed_connections, read_settings
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


class HangingSource(Source):
    """A secrets backend that does not answer about names that it does not know."""

    def __init__(self, **known: VodSettings) -> None:
        super().__init__(**known)
        self.leave = threading.Event()

    def __call__(self, conn_id: str) -> VodSettings | None:
        """Read one."""
        if conn_id not in self.known:
            self.leave.wait(20)
        return super().__call__(conn_id)


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


async def test_strangers_have_a_budget() -> None:
    """Names that nobody knows are looked up a few times a second at most; invalid ones never."""
    source, clock = Source(), Clock()
    connections = Connections(source, clock)
    for number in range(1000):
        assert await connections.settings(f"c{number}") is None
    assert len(source.asked) == module.UNKNOWN_BURST
    clock.now += 2
    for number in range(1000, 2000):
        assert await connections.settings(f"c{number}") is None
    assert len(source.asked) == module.UNKNOWN_BURST + 2 * module.UNKNOWN_PER_SECOND
    for name in ("", "a b", "é", "../x", "x" * 251):
        assert await connections.settings(name) is None
    assert len(connections._unknown) <= len(source.asked)


async def test_strangers_evict_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many names strangers make up, a connection that has proven itself is not read again."""
    monkeypatch.setattr(module, "UNKNOWN_BURST", 10_000)
    monkeypatch.setattr(module, "_MAX_UNKNOWN", 3)
    source = Source(one=GOOD)
    connections = Connections(source, Clock())
    assert await connections.settings("one") == GOOD
    connections.trust("one")
    for number in range(100):
        await connections.settings(f"c{number}")
    assert await connections.settings("one") == GOOD
    assert source.asked.count("one") == 1
    assert len(connections._unknown) == 3


@pytest.mark.parametrize("how", ["listed", "trusted"])
async def test_strangers_hold_up_nobody(how: str) -> None:
    """While the secrets backend hangs over made-up names, a known connection is read at once, even when its time is up."""
    source, clock = HangingSource(one=GOOD), Clock()
    connections = Connections(source, clock)
    if how == "listed":
        connections.learn(frozenset({"one"}))
    else:
        await connections.settings("one")
        connections.trust("one")
        clock.now += TTL
    strangers = [asyncio.create_task(connections.settings(f"c{number}")) for number in range(500)]
    await asyncio.sleep(0)
    try:
        assert await asyncio.wait_for(connections.settings("one"), 5) == GOOD
        assert len(connections._reading) <= module.UNKNOWN_READING + 1
    finally:
        source.leave.set()
    assert await asyncio.gather(*strangers) == [None] * 500


async def test_a_slow_look_up_serves_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is not known is waited for briefly; what is read later is there for its next callback."""
    monkeypatch.setattr(module, "UNKNOWN_TIMEOUT", 0.01)
    source = HangingSource()
    connections = Connections(source, Clock())
    assert await connections.settings("one") is None
    source.known["one"] = GOOD
    reading = connections._reading["one"]
    source.leave.set()
    await reading
    assert await connections.settings("one") == GOOD
    assert source.asked == ["one"]


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


def test_strangers_do_not_fill_the_log(
    airflow_db: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """However many names are looked up in vain, a few lines an hour say so."""
    monkeypatch.setattr(module, "_lines", HourlyBudget(module.LINES_PER_HOUR, Clock()))
    with caplog.at_level(logging.WARNING):
        for number in range(50):
            assert read_settings(f"unknown-{number}") is None
    assert len([record for record in caplog.records if record.name == module.__name__]) == module.LINES_PER_HOUR


def test_the_connections_that_airflow_lists(airflow_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listed are those of our type in the database, and all in the environment."""
    from airflow.utils.session import create_session

    insert = "INSERT INTO connection (conn_id, conn_type, is_encrypted, is_extra_encrypted) VALUES (:id, :type, false, false)"
    with create_session() as session:
        for conn_id, conn_type in (("listed-ours", "tencent_vod"), ("listed-other", "http")):
            session.execute(text(insert), {"id": conn_id, "type": conn_type})
    monkeypatch.setenv("AIRFLOW_CONN_LISTED_HERE", "{}")
    try:
        names = listed_connections()
        assert {"listed-ours", "listed_here"} <= names
        assert "listed-other" not in names
    finally:
        with create_session() as session:
            session.execute(text("DELETE FROM connection WHERE conn_id LIKE 'listed-%'"))
