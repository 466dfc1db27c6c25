"""The log of calls is bounded, its counters are exact."""

from __future__ import annotations

from airflow_vod.emulator.calls import Call, Calls


def test_the_log_keeps_the_newest_and_counts_all():
    """Old calls are dropped from the log, but not from the counters."""
    calls = Calls(kept=2)
    for number, (action, outcome) in enumerate([("PullEvents", "ok"), ("PullEvents", "InternalError"), ("X", "ok")]):
        calls.add(Call(action, 0, "AKID", float(number), 0.0, outcome))
    assert [call.arrived_at for call in calls] == [1.0, 2.0]
    assert len(calls) == 2
    assert calls.counters == {"PullEvents": {"ok": 1, "InternalError": 1}, "X": {"ok": 1}}
    assert (calls.count(), calls.count("PullEvents"), calls.count(outcome="ok")) == (3, 2, 2)
    assert calls.count("PullEvents", "ok") == 1
