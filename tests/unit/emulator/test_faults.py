"""Faults are scripted or random, and recorded."""

from __future__ import annotations

import pytest

from airflow_vod.emulator.faults import NAMES, Fault, Faults
from airflow_vod.emulator.request import Answer


def test_each_fault_meets_one_call_in_order():
    """A script is consumed call by call, per action, and faults that fired are in the ledger."""
    faults = Faults()
    faults.script({"ConfirmEvents": ["drop_response", "internal_error"], "PullEvents": "slow:2"})
    faults.script({"ConfirmEvents": ["throttled"]})
    met = [faults.take("ConfirmEvents", t) for t in (1.0, 2.0)]
    assert [f and f.text for f in met] == ["drop_response", "internal_error"]
    assert faults.pending == {"ConfirmEvents": ["throttled"], "PullEvents": ["slow:2"]}
    assert faults.take("DescribeEventsState", 3.0) is None
    assert [(line.action, line.fault, line.fired_at) for line in faults.ledger] == [
        ("ConfirmEvents", "drop_response", 1.0),
        ("ConfirmEvents", "internal_error", 2.0),
    ]
    assert faults.fired()["ConfirmEvents", "drop_response"] == 1
    faults.clear()
    assert faults.take("PullEvents", 4.0) is None


@pytest.mark.parametrize("text", ["drop", "slow", "slow:x", "error:", "error:OnlyCode", ""])
def test_a_fault_that_does_not_exist_is_refused(text: str):
    """A script with an unknown fault is refused as a whole."""
    faults = Faults()
    with pytest.raises(ValueError, match="no such fault"):
        faults.script({"PullEvents": ["truncate", text]})
    assert faults.pending == {}


def test_every_fault_changes_something():
    """Every fault has an effect: it replaces the answer, changes it, or expires handles."""
    plain = Answer(b'{"Response":{}}')
    for name in NAMES:
        fault = Fault(name.replace("SECONDS", "1.5").replace("CODE:MESSAGE", "Some.Code:some: text"))
        assert fault.replacement() is not None or fault.spoil(plain) != plain or name == "expire_handles", name


def test_chaos_repeats_itself_with_its_seed():
    """The same seed hits the same calls with the same faults, about as often as configured."""

    def run(seed: int) -> list[str]:
        faults = Faults()
        faults.chaos(seed, {"internal_error": 0.2, "drop_response": 0.1}, actions=["PullEvents"])
        for number in range(1000):
            faults.take("PullEvents", number)
            faults.take("ConfirmEvents", number)
        return [f"{line.fired_at}{line.fault}" for line in faults.ledger if line.action == "PullEvents"]

    first = run(7)
    assert first == run(7) != run(8)
    assert 250 < len(first) < 350


def test_chaos_leaves_other_actions_alone():
    """Only the named actions are hit."""
    faults = Faults()
    faults.chaos(1, {"throttled": 1.0}, actions=["PullEvents"])
    assert faults.take("ConfirmEvents", 0) is None
    assert faults.take("PullEvents", 0) == Fault("throttled")


@pytest.mark.parametrize("odds", [{"throttled": 0.7, "internal_error": 0.7}, {"throttled": -0.1}, {"nonsense": 0.1}])
def test_impossible_odds_are_refused(odds: dict[str, float]):
    """Invalid probabilities and unknown faults are refused."""
    with pytest.raises(ValueError, match=r"probabilities|no such fault"):
        Faults().chaos(1, odds)


def test_a_script_goes_before_the_dice():
    """Random faults apply to calls that no script applies to."""
    faults = Faults()
    faults.chaos(1, {"throttled": 1.0})
    faults.script({"PullEvents": "truncate"})
    assert [fault and fault.text for fault in (faults.take("PullEvents", 0), faults.take("PullEvents", 1))] == [
        "truncate",
        "throttled",
    ]
