"""Tasks, as DescribeTaskDetail returns them."""

from __future__ import annotations

import pytest

from airflow_vod.emulator.clock import ManualClock
from airflow_vod.emulator.schedule import Schedule
from airflow_vod.emulator.tasks import Task, Tasks, detail_field, timestamp


def test_a_task_is_forgotten_after_three_days():
    """Three days after its submission a task is no longer returned."""
    clock = ManualClock(0)
    tasks = Tasks(Schedule(clock), 3 * 86400)
    tasks.add(Task("t", "Concat", "FINISH", created_at=0))
    clock.advance(3 * 86400 - 1)
    assert tasks.get("t") is not None
    clock.advance(1)
    assert tasks.get("t") is None


def test_a_status_must_exist():
    """An unknown status is refused."""
    with pytest.raises(ValueError, match="WAITING, PROCESSING, FINISH, ABORTED"):
        Tasks(Schedule(ManualClock(0)), 1).add(Task("t", "Concat", "DONE", created_at=0))


@pytest.mark.parametrize(
    ("task_type", "field"),
    [
        ("EditMedia", "EditMediaTask"),
        ("Concat", "ConcatTask"),
        ("AigcImageTask", "AigcImageTask"),
        ("ImageSprite", "CreateImageSpriteTask"),
        ("ImportMediaKnowledge", "ImportMediaKnowledge"),
    ],
)
def test_the_detail_stands_in_the_field_of_its_type(task_type: str, field: str):
    """The field of the detail follows from the task type, with the vendor's exceptions."""
    assert detail_field(task_type) == field


def test_times_are_iso_8601_in_utc():
    """Times are formatted as the vendor does, including "not yet"."""
    assert timestamp(1_600_000_000.9) == "2020-09-13T12:26:40Z"
    assert timestamp(None) == "0001-01-01T00:00:00Z"
