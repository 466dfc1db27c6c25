"""The short form of the campaign of faults; `make chaos` is the long one, and takes MariaDB too."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.chaos.campaign import run
from tests.chaos.databases import Saboteur
from tests.databases import KINDS, server_of


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "mariadb"])
def test_nothing_is_lost_or_doubled_whatever_fails(kind: str, tmp_path: Path) -> None:
    """While calls, database, clocks and processes fail, each event is stored once and wakes each of its waiters once."""
    with (
        nullcontext() if kind == "sqlite" else server_of(kind) as server
    ):  # not that of the session, because it crashes
        url = f"sqlite:///{tmp_path / 'inbox.db'}" if server is None else server.empty()
        report = run(400, 7, Saboteur(kind, url, server), rate=100, pause=0.5, odds=0.3)
    print(report)
    assert (report.lost, report.twice, report.wrong) == ([], [], [])
    assert report.missing() == [], "kinds of faults that never fired"
    assert max(report.busiest_second.values()) <= 100
    assert report.delivered > 300
