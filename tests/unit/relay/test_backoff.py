"""What fails is tried again ever more rarely, and the log hears of it once."""

from __future__ import annotations

import random

import pytest

from airflow_vod.relay.backoff import Backoff
from tests.samples import Clock


class Longest(random.Random):
    """Never shortens a pause."""

    def uniform(self, a: float, b: float) -> float:
        return b


@pytest.fixture
def clock() -> Clock:
    """Moved by hand."""
    return Clock()


@pytest.fixture
def backoff(clock: Clock) -> Backoff:
    """Of an imaginary task."""
    return Backoff("open the door", 2.0, clock=clock, rng=Longest())


def pauses(backoff: Backoff, number: int, patience: int = 0) -> list[float]:
    """Fail some times, and tell the pause after each."""
    found = []
    for _ in range(number):
        backoff.failed(OSError("locked"), patience)
        found.append(backoff.pause())
    return found


def test_pauses_double_up_to_the_limit(backoff: Backoff) -> None:
    """The first retry comes soon, later ones at most the limit apart."""
    assert backoff.pause() == 0
    assert pauses(backoff, 6) == [0.25, 0.5, 1.0, 2.0, 2.0, 2.0]
    assert pauses(backoff, 2000)[-1] == 2.0


def test_patience_comes_before_the_first_pause(backoff: Backoff) -> None:
    """Failures that may be chance cost no time."""
    assert pauses(backoff, 4, patience=1) == [0.0, 0.25, 0.5, 1.0]


def test_chance_shortens_a_pause_by_a_half_at_most(clock: Clock) -> None:
    """Processes that fail together do not retry together."""
    found = {pauses(Backoff("x", 2.0, clock=clock, rng=random.Random(seed)), 4)[-1] for seed in range(50)}
    assert len(found) == 50
    assert 1.0 <= min(found) <= max(found) <= 2.0


def test_a_pause_passes_with_time_and_ends_with_a_success(backoff: Backoff, clock: Clock) -> None:
    """After its pause a try may be made; a success takes all pauses back."""
    pauses(backoff, 3)
    clock.now += 0.75
    assert backoff.pause() == pytest.approx(0.25)
    clock.now += 0.25
    assert backoff.pause() == 0
    assert backoff.failing
    backoff.succeeded()
    assert not backoff.failing
    assert pauses(backoff, 1) == [0.25]


def test_the_log_hears_of_it_once(backoff: Backoff, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """One WARNING at the beginning, one INFO at the end, nothing in between and nothing while all is well."""
    caplog.set_level("INFO")
    backoff.succeeded()
    pauses(backoff, 5)
    clock.now += 90
    backoff.succeeded()
    backoff.succeeded()
    assert [(each.levelname, each.message) for each in caplog.records] == [
        ("WARNING", "Cannot open the door, retrying: locked"),
        ("INFO", "Can open the door again, after 90.0 s; failed tries: 5"),
    ]


def test_what_is_forgotten_begins_anew(backoff: Backoff, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """After `forget` a failure is told again, and counts from its own time."""
    pauses(backoff, 5)
    backoff.forget()
    clock.now += 60
    assert pauses(backoff, 1) == [0.25]
    assert backoff.failing_since == clock.now
    assert [each.levelname for each in caplog.records if each.levelno > 10] == ["WARNING", "WARNING"]
