"""Two sensors in two processes share one VOD queue and one inbox."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.inbox import InboxStore
from tests import airflow_home
from tests.acceptance.processes import Process
from tests.acceptance.worker import ANSWER
from tests.airflow_fixtures import INBOX_OPTION, SUB_APP_ID, urls_of

MODES: dict[str, dict[str, Any]] = {
    "poke": {"poke_interval": 0.3},
    "reschedule": {"mode": "reschedule", "poke_interval": 0.3},
    "deferrable": {"deferrable": True},
}


@pytest.fixture(scope="module")
def workers(airflow_db: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Process, Process]]:
    """Two processes, each with an Airflow of its own."""
    homes: list[Path] = [tmp_path_factory.mktemp(name) for name in ("first", "second")]
    started = []
    try:
        for home in homes:
            airflow_home.migrate(home)
            command = [sys.executable, "-m", "tests.acceptance.worker"]
            started.append(Process(command, airflow_home.environment(home)))
        for worker in started:
            worker.wait_for(ANSWER + "ready", 60)
        yield started[0], started[1]
        for worker in started:
            worker.close_input()
        assert [worker.wait() for worker in started] == [0, 0]
    finally:
        for worker in started:
            worker.end()


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_events_in_the_wrong_order(workers: tuple[Process, Process], mode: dict[str, Any], inbox_url: str) -> None:
    """Whoever pulls an event, the sensor that waits for it gets it: early, late, in any order, and none is lost."""
    first, second = workers
    with Emulator(options=EmulatorOptions(hold=0.3)) as vod:
        environment = {INBOX_OPTION: inbox_url, "AIRFLOW_CONN_VOD_DEFAULT": vod.airflow_connection(SUB_APP_ID)}

        def start(worker: Process, vod_task_id: str | list[str]) -> None:
            sensor = {"vod_task_id": vod_task_id, "timeout": 30, **mode}
            worker.tell(json.dumps({"environment": environment, "sensor": sensor}))
            worker.wait_for("Waiting for VOD task", 60)
            pulls = vod.calls.count("PullEvents")
            vod.wait_until(lambda: vod.calls.count("PullEvents") > pulls, 20)

        def publish(vod_task_id: str) -> None:
            vod.publish_concat(vod_task_id, urls_of(vod_task_id), SUB_APP_ID)

        start(first, "Concat-first")
        publish("Concat-early")  # for the second sensor, which is not there yet; the first one's process takes it
        vod.wait_until(lambda: vod.queue(SUB_APP_ID).confirmed == 1, 20)
        start(second, ["Concat-early", "Concat-late"])
        publish("Concat-foreign")
        publish("Concat-late")
        publish("Concat-first")

        [one, other] = [json.loads(worker.wait_for(ANSWER, 60).partition(ANSWER)[2]) for worker in workers]
        vod.wait_until(lambda: vod.queue(SUB_APP_ID).confirmed == 4, 20)
    assert (one["state"], other["state"]) == ("success", "success"), (one, other)
    assert [file["url"] for file in one["xcom"]["files"]] == list(urls_of("Concat-first"))
    assert [result["vod_task_id"] for result in other["xcom"]] == ["Concat-early", "Concat-late"]
    store = InboxStore.open(inbox_url)
    kept = {event.vod_task_id for event in store.newest()}
    store.close()
    assert kept == {"Concat-early", "Concat-foreign", "Concat-late", "Concat-first"}
