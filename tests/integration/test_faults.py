"""The short form of the campaign of faults; `make chaos` is the long one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.campaign import Report, run
from tests.chaos.databases import Saboteur
from tests.databases import postgresql_server


def _on_sqlite(folder: Path, play: Callable[[Saboteur], Report]) -> Report:
    return play(Saboteur("sqlite", f"sqlite:///{folder / 'inbox.db'}"))


def _on_postgresql(_: Path, play: Callable[[Saboteur], Report]) -> Report:
    with postgresql_server() as server:  # not that of the session, because it crashes
        return play(Saboteur("postgresql", server.empty(), server))


@pytest.mark.parametrize("on", [_on_sqlite, _on_postgresql], ids=["sqlite", "postgresql"])
def test_nothing_is_lost_or_doubled_whatever_fails(
    on: Callable[[Path, Callable[[Saboteur], Report]], Report], tmp_path: Path
) -> None:
    """While calls, database, clocks and processes fail, each event is stored once and wakes each of its waiters once."""
    report = on(tmp_path, lambda saboteur: run(400, 7, saboteur, rate=100, pause=0.5, odds=0.3))
    print(report)
    assert (report.lost, report.twice, report.wrong) == ([], [], [])
    assert report.missing() == [], "kinds of faults that never fired"
    assert max(report.busiest_second.values()) <= 100
    assert report.delivered > 300
