"""How often a relay pulls."""

from __future__ import annotations

import pytest

from airflow_vod.relay.pace import EMPTY_INTERVAL, FLOW_EVENTS, FLOW_GAP, FLOW_PAUSE, Pace
from airflow_vod.tencent.client import PULL_LIMIT

AT_ONCE = float("-inf")


def answers(*pulls: tuple[float, int]) -> Pace:
    """The pace after pulls that were answered at these times with so many events."""
    pace = Pace(max_depth=4)
    for now, pulled in pulls:
        pace.answered(pulled, now - 0.01, now)
    return pace


def test_a_lone_event_meets_an_open_pull() -> None:
    """After an event that comes alone the next pull starts at once, so that the next one is heard at once too."""
    pace = answers((0.0, 1), (2 * FLOW_GAP, 1))
    assert (pace.due, pace.flows, pace.depth) == (AT_ONCE, False, 1)


def test_events_that_flow_are_pulled_together() -> None:
    """Where events come one after the other, a pull waits for several of them, and never for longer than said."""
    pace = answers((0.0, 1), (0.01, 1), (0.11, 1))
    assert pace.flows
    assert pace.due == pytest.approx(0.11 + FLOW_PAUSE)


def test_a_fast_flow_waits_no_longer_than_it_takes_to_bring_several() -> None:
    """At two hundred events a second a pull is worth its call after 50 ms, at a thousand at once."""
    assert answers((0.0, 2), (0.01, 2)).due == pytest.approx(0.01 + FLOW_EVENTS / 200)
    assert answers((0.0, 10), (0.01, 10)).due == AT_ONCE


def test_a_backlog_is_pulled_at_once_by_many() -> None:
    """Full pulls say that more is waiting: no pause, and up to the limit more pulls at a time."""
    pace = answers(*((number / 100, PULL_LIMIT) for number in range(5)))
    assert (pace.due, pace.backlog, pace.caught_up, pace.depth) == (AT_ONCE, True, False, 4)


def test_an_empty_answer_that_comes_at_once_is_not_asked_for_again_at_once() -> None:
    """Where VOD does not hold an empty answer back, it is asked a few times a second."""
    pace = answers((1.0, 0))
    assert pace.due == pytest.approx(0.99 + EMPTY_INTERVAL)
    assert (pace.depth, pace.caught_up) == (1, True)


def test_fewer_events_need_fewer_pulls() -> None:
    """A pull that is not full, or fails, takes the number of pulls back."""
    pace = answers(*((number / 100, PULL_LIMIT) for number in range(5)), (0.06, 3))
    assert pace.depth == 3
    pace.failed()
    assert pace.depth == 1
