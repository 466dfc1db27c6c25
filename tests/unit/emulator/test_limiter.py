"""The rate limit, in both interpretations of "100 requests per second"."""

from __future__ import annotations

import pytest

from airflow_vod.emulator.limiter import FixedWindow, SlidingWindow


@pytest.mark.parametrize("limiter", [FixedWindow, SlidingWindow])
def test_no_more_than_the_limit_in_one_second(limiter: type[FixedWindow | SlidingWindow]):
    """Request 101 of a second is refused, for its key only; a second later requests are admitted again."""
    limits = limiter()
    assert [limits.admit("a", 100, 50.0) for _ in range(101)] == [True] * 100 + [False]
    assert limits.admit("b", 100, 50.0)
    assert not limits.admit("a", 100, 50.999)
    assert limits.admit("a", 100, 51.0)


def test_a_fixed_window_forgets_at_whole_seconds_and_a_sliding_one_does_not():
    """The two interpretations differ for a burst across the boundary of a second."""
    fixed, sliding = FixedWindow(), SlidingWindow()
    for limits in (fixed, sliding):
        assert all(limits.admit("a", 10, 50.9) for _ in range(10))
    assert fixed.admit("a", 10, 51.1)
    assert not sliding.admit("a", 10, 51.1)
    assert sliding.admit("a", 10, 51.9)


def test_refused_requests_do_not_count_in_a_sliding_window():
    """Refused requests do not count against the limit."""
    limits = SlidingWindow()
    assert limits.admit("a", 1, 50.0)
    assert not any(limits.admit("a", 1, 50 + n / 10) for n in range(1, 10))
    assert limits.admit("a", 1, 51.0)
