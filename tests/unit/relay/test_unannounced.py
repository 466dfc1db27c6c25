"""Tasks whose end VOD does not announce, in virtual time: noticed soon, and within what the API allows."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_vod.emulator import EmulatorOptions
from airflow_vod.events.types import EVENT_TYPES, UNANNOUNCED, is_unannounced
from airflow_vod.inbox import InboxStore
from airflow_vod.relay.reconcile import CALLS_PER_SECOND, CLOSE_SLOWEST, FIRST_AFTER
from airflow_vod.relay.survey import ACTION
from benchmarks.unannounced import wait_for


def spread(number: int, shortest: float, longest: float) -> dict[str, float]:
    """Tasks of different lengths."""
    step = (longest / shortest) ** (1 / number)
    return {f"T-{each}": shortest * step**each for each in range(number)}


@pytest.fixture
def store(tmp_path: Path) -> InboxStore:
    """An inbox where the kind of database does not matter."""
    return InboxStore.open(f"sqlite:///{tmp_path}/inbox.db")


def test_many_are_noticed_soon_and_cheaply(store: InboxStore) -> None:
    """Of 100 tasks of 20 s to 10 min, 95 are in the inbox within 10 s of their end, for a call in two seconds."""
    noticed = wait_for(spread(100, 20, 600), store)
    late = sorted(noticed.lateness.values())
    assert len(late) == 100
    assert late[94] <= 10
    assert sum(noticed.calls.values()) / noticed.seconds < 100 / 15


def test_a_thousand_keep_to_the_rate(store: InboxStore) -> None:
    """1,000 tasks take no more calls a second than are left to them, also while each is asked about for the first time."""
    noticed = wait_for(spread(1000, 20, 600), store)
    late = sorted(noticed.lateness.values())
    assert late[949] <= 10
    assert noticed.calls["DescribeTaskDetail"] / noticed.seconds <= CALLS_PER_SECOND
    assert noticed.calls[ACTION] / noticed.seconds <= CALLS_PER_SECOND


def test_one_is_asked_about_by_itself(store: InboxStore) -> None:
    """A single task is asked about every 5 s at first and every 15 s later, and nothing is listed for it."""
    noticed = wait_for({"T-1": 600.0}, store)
    assert noticed.lateness["T-1"] <= CLOSE_SLOWEST
    assert noticed.calls[ACTION] == 0
    assert 600 / CLOSE_SLOWEST <= noticed.calls["DescribeTaskDetail"] <= 600 / CLOSE_SLOWEST * 1.25 + 30


def test_without_the_permission_to_list(store: InboxStore) -> None:
    """Where VOD refuses to list tasks, each is asked about by itself, within 15 s of its end."""
    options = EmulatorOptions(unauthorized_actions=frozenset({ACTION}))
    noticed = wait_for(spread(50, 20, 300), store, options=options)
    assert max(noticed.lateness.values()) <= CLOSE_SLOWEST + 1
    assert noticed.calls[ACTION] <= 2


def test_vods_answer_tells(store: InboxStore) -> None:
    """A task of which nothing was known is asked about closely once VOD has named its type."""
    noticed = wait_for({"T-1": 700.0}, store, known=False)
    assert noticed.lateness["T-1"] <= CLOSE_SLOWEST
    assert noticed.calls["DescribeTaskDetail"] < 2 + (700 - 0.8 * FIRST_AFTER) / (0.8 * CLOSE_SLOWEST)


def test_no_type_is_both() -> None:
    """What has an event type is announced, in whatever way VOD writes its task type; of the others it is known."""
    for row in EVENT_TYPES.values():
        if row.detail:
            assert not is_unannounced(row.detail)
            assert not is_unannounced(row.detail.removesuffix("Task"))
    assert is_unannounced("AigcAudioTask")
    assert is_unannounced("ImportMediaKnowledge")
    assert not is_unannounced("Procedure")
    assert not is_unannounced("a type of tomorrow")
    assert not is_unannounced(None)
    assert len(UNANNOUNCED) == 10
