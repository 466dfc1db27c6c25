"""Limits on what strangers can make the server do."""

from __future__ import annotations

from airflow_vod.web.budgets import HourlyBudget, RateBudget
from tests.samples import Clock


def test_each_hour_and_kind_has_its_own() -> None:
    """What one kind has used up is there for another, and again in the next hour."""
    clock = Clock()
    budget = HourlyBudget(2, clock)
    assert [budget.take("a") for _ in range(3)] == [True, True, False]
    assert budget.take("b")
    clock.now += 3600
    assert budget.take("a")


def test_a_rate_saves_up_for_a_burst_and_no_more() -> None:
    """After the burst there are as many units as seconds have earned; a clock that is set back earns nothing."""
    clock = Clock()
    budget = RateBudget(5, 3, clock)
    assert sum(budget.take() for _ in range(10)) == 3
    clock.now += 0.4
    assert sum(budget.take() for _ in range(10)) == 2
    clock.now += 3600
    assert sum(budget.take() for _ in range(10)) == 3
    clock.now -= 3600
    assert not budget.take()
