"""The example DAGs, as users read them, run by Airflow against the emulator.

`example_vod_wait` and `example_vod_asset_events` need a scheduler or a triggerer and are run in `tests/acceptance`.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from airflow.sdk import DAG, ObjectStoragePath

from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.waiting.watch import watches
from tests.airflow_fixtures import INBOX_OPTION, SUB_APP_ID, Vod, urls_of
from tests.dag_runs import DagRun, run_whole

EXAMPLES = Path(__file__).parents[2] / "dags"

pytestmark = pytest.mark.usefixtures("airflow_db")


def example(name: str) -> DAG:
    """The one DAG of a file."""
    module = importlib.import_module(f"dags.{name}")
    [dag] = [value for value in vars(module).values() if isinstance(value, DAG)]
    return dag


def run(name: str, conf: dict[str, Any]) -> DagRun:
    """Run an example."""
    return run_whole(example(name), conf)


@pytest.mark.parametrize("name", sorted(file.stem for file in EXAMPLES.glob("*.py")))
def test_each_says_what_it_does(name: str) -> None:
    """A DAG file holds one DAG of its own name, which says in its documentation what it does, and has no other effect."""
    dag = example(name)
    assert dag.dag_id == name
    assert dag.doc_md
    assert {"example", "tencent-vod"} <= dag.tags


def test_many_tasks(vod: Vod) -> None:
    """The list form gives the results in the list's order, the mapped form a list of URLs for each."""
    ids = ["Concat-b", "Concat-a", "Concat-c"]
    for vod_task_id in sorted(ids):
        vod.publish_concat(vod_task_id)
    done = run("example_vod_many_tasks", {"vod_task_ids": ids})
    assert done.state == "success"
    assert [result["vod_task_id"] for result in done.xcom("wait_for_all")] == ids
    assert done.xcom("count") == 6
    assert [done.xcom("urls_of_each", map_index=n) for n in range(3)] == [list(urls_of(each)) for each in ids]


@pytest.mark.parametrize("protected", [True, False])
def test_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protected: bool) -> None:
    """What a splice made is copied byte for byte from a protected domain; without, or after, a valid signature it is not open."""
    key = "24FEQmTzro4V5u3D5epW" if protected else ""
    options = EmulatorOptions(hold=0.2, task_seconds=0.5, serve_media=True, playback_key=key)
    monkeypatch.setenv(INBOX_OPTION, f"sqlite:///{tmp_path / 'vod_inbox.db'}")
    with Emulator(options=options) as emulator:
        connection = json.loads(emulator.airflow_connection(SUB_APP_ID))
        connection["extra"]["playback_secret"] = key or "notNeeded1"
        monkeypatch.setenv("AIRFLOW_CONN_VOD_DEFAULT", json.dumps(connection))
        folder = f"file://{tmp_path}/copies"
        conf = {"file_ids": ["1", "2"], "destination": folder, "allow_private_addresses": True}
        done = run("example_vod_fetch", conf)
        assert done.state == "success"
        [copy], [signed] = done.xcom("fetch"), done.xcom("urls")
        content = ObjectStoragePath(copy).read_bytes()
        [told] = done.xcom("splice")["files"]
        assert copy.startswith(folder)
        assert hashlib.md5(content).hexdigest() == told["metadata"]["md5"]
        assert get(signed) == (200, content)
        assert get(done.xcom("preview_url")) == (200, content)
        assert "&exper=60&" in done.xcom("preview_url")
        assert get(told["url"])[0] == (403 if protected else 200)
        with monkeypatch.context() as late:
            late.setattr(emulator.api, "wall_clock", lambda: time.time() + 3700)
            late.setattr(emulator.api._hotlink, "_wall_clock", emulator.api.wall_clock)
            assert get(signed)[0] == (403 if protected else 200)
        for watch in watches():
            watch.end()
            watch.join()


def get(url: str) -> tuple[int, bytes]:
    """Open a URL as a browser does."""
    response = httpx.get(url)
    return response.status_code, response.content


def test_taskflow(vod: Vod) -> None:
    """The event of the file that was asked for reaches the task behind the sensor."""
    for file_id in ("1", "2"):
        info = {"Name": f"holiday-{file_id}.mp4"}
        vod.publish({"EventType": "NewFileUpload", "FileUploadEvent": {"FileId": file_id, "MediaBasicInfo": info}})
    done = run("example_vod_taskflow", {"file_id": "2"})
    assert done.state == "success"
    assert done.xcom("describe") == "2: holiday-2.mp4"


def test_concat(vod: Vod) -> None:
    """One VOD task splices the files in the order given, and each URL that it made reaches a task of its own."""
    done = run("example_vod_concat", {"file_ids": ["2", "1"]})
    assert done.state == "success"
    [start] = vod.emulator.starts
    assert done.xcom("splice")["vod_task_id"] == start.vod_task_id
    assert [done.xcom("publish", map_index=0)] == done.xcom("file_urls")
