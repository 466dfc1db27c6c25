"""An example DAG, run by Airflow with its OpenLineage provider at work: what reaches a backend for lineage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import airflow_home
from tests.airflow_fixtures import INBOX_OPTION, Vod

ROOT = Path(__file__).parents[2]
IDS = ["Concat-1", "Concat-2"]
SIGNED = "https://example.com/{}/f0.mp4?t=65f0c0de&us=rand0m&sign=5ad61e1b2f8d"

pytestmark = pytest.mark.usefixtures("airflow_db")


def test_files_reach_openlineage(vod: Vod, tmp_path: Path) -> None:
    """The files that VOD made are datasets of the sensor and of the operator, mapped or not, without their signatures."""
    for vod_task_id in IDS:
        file = {"FileId": f"F-{vod_task_id}", "FileUrl": SIGNED.format(vod_task_id), "FileType": "mp4"}
        vod.publish_concat(vod_task_id, file)
    airflow_home.migrate(tmp_path)
    told = tmp_path / "lineage.jsonl"
    settings = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__OPENLINEAGE__EXECUTION_TIMEOUT": "120",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "file", "log_file_path": str(told), "append": True}),
        **{name: os.environ[name] for name in (INBOX_OPTION, "AIRFLOW_CONN_VOD_DEFAULT")},
    }
    conf = json.dumps({"vod_task_ids": IDS})
    command = [sys.executable, "-m", "airflow", "dags", "test", "example_vod_many_tasks", "--conf", conf]
    environment = airflow_home.environment(tmp_path) | settings
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    text = told.read_text()
    expected = [("https://example.com", f"/{vod_task_id}/f0.mp4") for vod_task_id in IDS]
    assert outputs(text, "wait_for_all") == [expected]
    for task_id in ("wait_for_each", "urls_of_each"):
        assert sorted(outputs(text, task_id)) == [[place] for place in expected]
    assert "F-Concat-1" in text  # the other name of a file
    assert not [secret for secret in ("sign=", "5ad61e1b2f8d", "65f0c0de", "rand0m") if secret in text]


def outputs(text: str, task_id: str) -> list[list[Any]]:
    """The output datasets that were told when instances of a task ended well."""
    events = [json.loads(line) for line in text.splitlines()]
    ended = [event for event in events if event["eventType"] == "COMPLETE"]
    mine = [event for event in ended if event["job"]["name"] == f"example_vod_many_tasks.{task_id}"]
    return [[(dataset["namespace"], dataset["name"]) for dataset in event["outputs"]] for event in mine]
