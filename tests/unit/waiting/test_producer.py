"""What is acknowledged of the events that Airflow was handed."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.triggers.shared_stream import AdvanceItem, AdvanceOutcome

from airflow_vod.waiting.producer import Handed, VodEventProducer

STORED, FAILED, REJECTED = AdvanceOutcome(1, 0), AdvanceOutcome(0, 1), AdvanceOutcome(0, 0, 1)


class _Feed:
    """Notes what is acknowledged."""

    def __init__(self) -> None:
        self.acknowledged: list[int] = []

    async def acknowledge(self, position: int) -> None:
        """Note it."""
        self.acknowledged.append(position)


def item(position: int, outcome: AdvanceOutcome = STORED, *, over: bool = True) -> AdvanceItem:
    """One event and what became of it."""
    return AdvanceItem(Handed({}, position, over), outcome)


@pytest.mark.parametrize(
    ("batches", "acknowledged"),
    [
        ([[item(1), item(2)], [item(3)]], [2, 3]),
        ([[item(1), item(2, over=False), item(3)], [item(4)]], [1]),
        ([[item(1, over=False)], [item(2)]], []),
        ([[item(1), item(2, FAILED), item(3)], [item(4)]], [1]),
        ([[item(1, REJECTED)], [item(2)]], []),
    ],
    ids=["all stored", "one not taken", "first not taken", "one not stored", "one rejected"],
)
async def test_only_what_is_stored_is_acknowledged(batches: list[list[AdvanceItem]], acknowledged: list[int]) -> None:
    """Up to the first event that Airflow has not stored, or not even taken from the trigger, and never beyond it."""
    feed: Any = _Feed()
    producer = VodEventProducer(feed)
    for batch in batches:
        await producer.advance(batch)
    assert feed.acknowledged == acknowledged
