"""What a relay says of itself, and what people are told about it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_vod.inbox.records import Lease
from airflow_vod.relay.health import SILENCE, RelayHealth, RelaySummary, trouble_of

NOW = 1_800_000_000.0


def lease(expired: bool = False, **info: Any) -> Lease:
    """A lease with a record."""
    return Lease("queue", "host:1:x", NOW - 100, NOW + (-1 if expired else 10), expired, info)


def test_a_record_survives_the_inbox() -> None:
    """What was written as JSON is read as it was; the counts lie beside the other fields."""
    health = RelayHealth(NOW - 1, NOW - 2, 5, NOW - 3, NOW - 4, "no answer", True, RelaySummary(pulls=3, pulled=40))
    stored = json.loads(json.dumps(health.to_dict()))
    assert (stored["in_queue"], stored["pulled"]) == (5, 40)
    assert RelayHealth.from_dict(stored) == health
    assert RelayHealth.from_dict(RelayHealth().to_dict()) == RelayHealth()


def test_a_long_failure_is_cut() -> None:
    """The info of a lease stays small, whatever VOD answers."""
    assert len(RelayHealth(failure="x" * 5000).to_dict()["failure"]) == 200


@pytest.mark.parametrize("odd", [None, "x", True, [], {}])
def test_an_odd_record_is_read_as_far_as_it_goes(odd: object) -> None:
    """A record of another version breaks no reader."""
    info = dict.fromkeys((*RelayHealth().to_dict(), "something else"), odd) | {"pulled": 7}
    health = RelayHealth.from_dict(info)
    assert (health.last_pull_at, health.in_queue, health.summary) == (None, None, RelaySummary(pulled=7))


def test_the_key_of_earlier_versions_is_read() -> None:
    """During an update the new processes understand the old ones."""
    assert RelayHealth.from_dict({"failing_since": 7.0}).failing_since_at == 7.0


@pytest.mark.parametrize("expired", [False, True])
def test_who_waits_in_vain_is_trouble(expired: bool) -> None:
    """A waiter and no answer to a pull, both for too long, whether or not somebody holds the lease; the cause is told."""
    silent = lease(expired, last_pull_at=NOW - SILENCE - 1, failure="Connection refused")
    trouble = trouble_of(silent, SILENCE + 1, NOW)
    assert trouble == "Somebody has waited for 121 s, but VOD last answered a pull 121 s ago: Connection refused"
    nobody = trouble_of(None, SILENCE + 1, NOW)
    assert nobody == "Somebody has waited for 121 s, but no pull was ever answered, and nobody pulls the queue now"


def test_since_when_is_told() -> None:
    """The time is the one that logs have; the cause stands behind it."""
    info = {"last_pull_at": NOW - 700, "failing_since_at": NOW - 660, "failure": "Connection refused"}
    told = trouble_of(lease(True, **info), SILENCE + 1, NOW)
    assert told is not None
    assert told.endswith("pulls have failed since 2027-01-15 07:49:00 UTC, Connection refused")


def test_a_relay_that_cannot_pull_is_trouble_though_nobody_waits() -> None:
    """While it holds the lease; one that has gone has left nobody without events."""
    info = {"last_pull_at": NOW - 700, "failing_since_at": NOW - 660, "failure": "Connection refused"}
    assert "Connection refused" in (trouble_of(lease(**info), 0, NOW) or "")
    assert trouble_of(lease(True, **info), 0, NOW) is None
    assert trouble_of(lease(**info | {"failing_since_at": NOW - 9, "last_pull_at": NOW - 9}), 0, NOW) is None


@pytest.mark.parametrize(("waited", "silent"), [(0, 9999), (SILENCE, 9999), (9999, SILENCE), (9999, 0)])
def test_where_nobody_waits_or_vod_answers_all_is_well(waited: float, silent: float) -> None:
    """One of the two alone is no trouble."""
    assert trouble_of(lease(last_pull_at=NOW - silent), waited, NOW) is None


def test_rivals_are_trouble_while_they_are_news() -> None:
    """Whether or not anybody holds the lease; not where events come by callback, nor after a while."""
    info = {"last_pull_at": NOW, "rivals": "Something else pulls", "rivals_until_at": NOW + 1}
    assert trouble_of(lease(**info), 0, NOW) == trouble_of(lease(True, **info), 0, NOW) == "Something else pulls"
    assert trouble_of(lease(**info), 0, NOW + 1) is None
    assert trouble_of(lease(**info), 0, NOW, by_callback=True) is None
    assert "no pull was ever" in (trouble_of(lease(**info | {"last_pull_at": None}), SILENCE + 1, NOW) or "")


def test_callbacks_need_no_pulls() -> None:
    """Whoever asked VOD knows best; else the relay that holds the lease is believed, but none that has gone."""
    by_callback = {"by_callback": True}
    assert trouble_of(lease(**by_callback), 9999, NOW) is None
    assert trouble_of(lease(True, **by_callback), 9999, NOW)
    assert trouble_of(lease(**by_callback), 9999, NOW, by_callback=False)
    assert trouble_of(None, 9999, NOW, by_callback=True) is None
