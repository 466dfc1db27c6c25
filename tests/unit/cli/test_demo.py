"""The demo's own judgement; the demo as a whole is run by an acceptance test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_vod.cli import demo
from airflow_vod.events.parse import parse_event

SAMPLE = Path(__file__).parents[1] / "data" / "reliable_callback.json"
URLS = ["http://example.com/f0.mp4"]
GOOD = {
    "state": "success",
    "vod_task_id": "EditMedia-1",
    "urls": URLS,
    "published": URLS,
    "summary": {"pulled": 22, "stored": 22, "duplicates": 0, "confirmed": 22},
}


def test_it_shows_the_vendor_s_sample() -> None:
    """Among the events that nobody waits for is the vendor's own sample, and the example DAG is there."""
    [sample] = json.loads(SAMPLE.read_text())["Response"]["EventSet"]
    keys = {parse_event(event).key for event in demo.sample_events()}
    assert parse_event(sample).key in keys
    assert len(keys) == demo.FOREIGN_EVENTS + 1
    assert "VodConcatOperator" in demo._example_dag().read_text()


def test_a_good_run(capsys: pytest.CaptureFixture[str]) -> None:
    """When everything went well it prints the URLs and the relay's summary, and exits with 0."""
    assert demo._conclude(GOOD, ["EditMedia-1"], left_in_queue=0) == 0
    out = capsys.readouterr().out
    assert [url for url in URLS if url not in out] == []
    assert "pulled 22, stored 22, duplicates 0, confirmed 22" in out
    assert "FAILED" not in out


@pytest.mark.parametrize(
    ("change", "left", "what"),
    [
        ({"state": "failed"}, 0, "the DAG run succeeded"),
        ({"vod_task_id": "EditMedia-2"}, 0, "VOD started one task, for which Airflow waited"),
        ({"urls": [], "published": []}, 0, "each URL reached a task of its own"),
        ({"published": []}, 0, "each URL reached a task of its own"),
        ({"summary": GOOD["summary"] | {"stored": 20}}, 0, "every event is in the inbox"),  # type: ignore[operator]
        ({"summary": GOOD["summary"] | {"confirmed": 20}}, 0, "every event was confirmed"),  # type: ignore[operator]
        ({}, 1, "every event was confirmed"),
    ],
)
def test_whatever_is_off_fails(
    change: dict[str, Any], left: int, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each thing that is promised is checked, and the one that does not hold is named."""
    assert demo._conclude(GOOD | change, ["EditMedia-1"], left_in_queue=left) == 1
    failed = [line.split(maxsplit=1)[1] for line in capsys.readouterr().out.splitlines() if "FAILED" in line]
    assert failed == [what]


def test_airflow_s_own_settings_stay_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own Airflow settings, connections and secrets do not reach the demo's Airflow."""
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW_CONN_PRODUCTION", "tencent-vod://id:key@")

    class Vod:
        secret_id, secret_key, endpoint = "a", "b", "http://127.0.0.1:1"

    environment = demo._environment(Vod, "/home")  # type: ignore[arg-type]
    names = {name for name in environment if name.startswith("AIRFLOW")}
    assert names == {
        "AIRFLOW_HOME",
        "AIRFLOW_CONN_VOD_DEFAULT",
        "AIRFLOW__CORE__DAGS_FOLDER",
        "AIRFLOW__CORE__LOAD_EXAMPLES",
        "AIRFLOW__LOGGING__LOGGING_LEVEL",
    }
