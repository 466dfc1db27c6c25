"""The log of started tasks."""

from __future__ import annotations

from airflow_vod.emulator.starts import Start, Starts


def test_the_log_is_bounded_and_the_counters_are_exact():
    """Only the newest starts are kept; all are counted, by action, SessionId and application."""
    starts = Starts(2)
    for number, (action, session_id, sub_app_id) in enumerate(
        [("EditMedia", "a", 0), ("EditMedia", "a", 7), ("EditMedia", "b", 0), ("PullUpload", "a", 0)]
    ):
        starts.add(Start(action, sub_app_id, session_id, f"task-{number}", float(number)))
    assert [start.vod_task_id for start in starts] == ["task-2", "task-3"]
    assert len(starts) == 2
    assert starts.count() == 4
    assert starts.count("EditMedia") == 3
    assert starts.count("EditMedia", "a") == 2
    assert starts.count("EditMedia", "a", 7) == starts.count(sub_app_id=7) == 1
    assert starts.count(session_id="a") == 3
    assert starts.count("Nothing") == 0
    assert starts.counters == {"EditMedia": {"a": 2, "b": 1}, "PullUpload": {"a": 1}}
