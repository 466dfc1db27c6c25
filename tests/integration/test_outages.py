"""``make outages`` draws up true figures."""

from __future__ import annotations

import pytest

from tests.outages.outage import Figures, figures_of

RATE = 100
PUBLISHED = {f"task-{number}": number / RATE for number in range(60 * RATE)}
WAITED = list(PUBLISHED)[::10]
OUTAGE = (20.0, 22.0)
FLAWLESS = [(vod_task_id, at + 0.01) for vod_task_id, at in PUBLISHED.items()]


def figures(stored: list[tuple[str, float]]) -> Figures:
    """Draw up the figures of a run in which each trigger got its event as soon as it was stored."""
    ends = [(vod_task_id, at, "found") for vod_task_id, at in stored if vod_task_id in set(WAITED)]
    return figures_of("made up", OUTAGE, PUBLISHED, stored, WAITED, ends)


def test_a_run_without_fault() -> None:
    """Where nothing happens, there is no gap and no way back to go."""
    found = figures(FLAWLESS)
    assert found.good
    assert (found.lost, found.twice, found.events, found.waits) == (0, 0, 6000, 600)
    assert found.before == pytest.approx(RATE, rel=0.01)
    assert found.gap == pytest.approx(1 / RATE)
    assert found.back == pytest.approx(0.0, abs=0.25)
    assert found.caught_up == 0.0


def test_a_gap_is_measured() -> None:
    """The gap, the time until the throughput is back, the last late event and the longest wait are those of the rows."""
    stored = [(each, at if at < 20.0 or at > 26.0 else 26.0 + (at - 20.0) / 3) for each, at in FLAWLESS]
    found = figures(stored)
    assert found.gap == pytest.approx(6.0, abs=0.05)
    assert found.longest == pytest.approx(6.0, abs=0.2)
    assert found.caught_up == pytest.approx(5.0, abs=1.0)
    assert found.back == pytest.approx(4.0, abs=0.25)
    assert found.good


def test_throughput_that_never_comes_back() -> None:
    """A run that stays slower than before is not good."""
    stored = [(each, at if at < 20.0 else 20.0 + (at - 20.0) * 1.1) for each, at in FLAWLESS]
    found = figures(stored)
    assert found.back is None
    assert not found.good


def test_what_is_lost_or_doubled_is_counted() -> None:
    """An event not stored or stored twice, a wait that ended otherwise or twice: each counts, and none is good."""
    assert figures(FLAWLESS[:-1]).lost == 1
    assert figures(FLAWLESS[1:]).lost == 2  # the event, and the wait for it
    assert figures([*FLAWLESS, FLAWLESS[1]]).twice == 1
    ends = [(vod_task_id, PUBLISHED[vod_task_id], "found") for vod_task_id in WAITED]
    for some, lost, twice in (
        (ends[:-1], 1, 0),
        ([*ends, ends[0]], 0, 1),
        ([*ends[:-1], (*ends[-1][:2], "error")], 1, 0),
    ):
        drawn = figures_of("made up", OUTAGE, PUBLISHED, FLAWLESS, WAITED, some)
        assert (drawn.lost, drawn.twice, drawn.good) == (lost, twice, False)
