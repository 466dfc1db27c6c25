"""Sensors that begin, or end, without a worker, in an Airflow of real processes."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.acceptance.conftest import TwoTriggerers
from tests.airflow_fixtures import SUB_APP_ID, urls_of

DAG = "without_worker"
FAILED = {"ErrCode": 70000, "Message": "no such source", "FileId": None, "FileUrl": None, "FileType": "mp4"}
# On how many occasions a worker ran each of the sensors: none where the wait began and ended in the triggerer.
WORKER_STARTS = {
    ("plain", -1): 0,
    ("of_params", -1): 0,
    ("of_conf", -1): 0,
    ("several", -1): 0,
    ("silent", -1): 0,
    ("indexed", -1): 0,
    ("variable", -1): 0,
    ("resumed", -1): 1,
    ("mapped", 0): 1,
    ("mapped", 1): 1,
    ("of_xcom_arg", -1): 1,
    ("pulled", -1): 1,
    ("late", -1): 1,
    ("late_and_skipped", -1): 1,
    ("failing", -1): 1,
    ("failing_and_skipped", -1): 1,
    ("useless", -1): 1,
}


WAITING = [("mapped", 1), ("poking", -1), ("rescheduled", -1)]  # for Concat-late, after a worker has seen them
LINK = "/tencent-vod/events?search="


@pytest.fixture(scope="module")
def waiting(installation: TwoTriggerers) -> tuple[str, dict[tuple[str, int], dict[str, str | None]]]:
    """A run of the DAG, some of whose sensors wait, and the links that those have meanwhile."""
    airflow, vod = installation.airflow, installation.vod
    airflow.set_variable("vod_task_id", "Concat-variable")
    for vod_task_id in ("Concat-plain", "Concat-params", "Concat-conf", "Concat-pulled", "Concat-variable"):
        vod.publish_concat(vod_task_id, urls_of(vod_task_id), SUB_APP_ID)
    vod.publish_concat("Concat-failed", [FAILED], SUB_APP_ID)
    run = airflow.trigger(DAG, {"vod_task_id": "Concat-conf"})
    wait = "SELECT task_id FROM task_instance WHERE run_id = :run AND state = 'deferred' AND task_id IN ('several', 'mapped')"
    airflow.wait(lambda: sorted(airflow.query(wait, run=run)) == [("mapped",), ("several",)], 180)
    links = {("several", -1): airflow.links(DAG, run, "several")}

    def linked(task: tuple[str, int]) -> bool:
        links[task] = airflow.links(DAG, run, *task)
        return bool(links[task]["VOD event"])

    for task in WAITING:  # one that is rescheduled is without links for a moment whenever it looks again
        airflow.wait(lambda task=task: linked(task), 180)
    return run, links


@pytest.fixture(scope="module")
def run(installation: TwoTriggerers, waiting: tuple[str, Any]) -> str:
    """The same run after it has ended. Some events were there before it began, one came while it waited."""
    airflow, vod, run = installation.airflow, installation.vod, waiting[0]
    vod.publish_concat("Concat-late", urls_of("Concat-late"), SUB_APP_ID)
    airflow.wait_for_run(DAG, run, 300)
    return run


@pytest.fixture(scope="module")
def states(installation: TwoTriggerers, run: str) -> dict[tuple[str, int], str]:
    """The states in which its tasks ended."""
    return installation.airflow.task_states(DAG, run)


def xcom(installation: TwoTriggerers, run: str, task_id: str, map_index: int = -1) -> Any:
    """What a task of the run pushed."""
    return installation.airflow.xcom(DAG, run, task_id, map_index=map_index)


def log_of(installation: TwoTriggerers, run: str, task_id: str) -> str:
    """What a task of the run wrote to its log."""
    files = (installation.airflow.home / "logs").rglob(f"run_id={run}/task_id={task_id}/*.log*")
    return "\n".join(file.read_text() for file in files)


def test_each_began_where_it_can(installation: TwoTriggerers, run: str, states: dict[tuple[str, int], str]) -> None:
    """No worker saw what Airflow can begin and end in the triggerer; what it cannot began on a worker, and no wait hung."""
    started = dict.fromkeys(WORKER_STARTS, 0)
    statement = "SELECT task_id, map_index FROM log WHERE run_id = :run AND event = 'running'"
    for task_id, map_index in installation.airflow.query(statement, run=run):
        if (task_id, map_index) in started:
            started[task_id, map_index] += 1
    assert started == WORKER_STARTS
    assert set(states.values()) == {"success", "failed", "skipped"}  # all have ended


@pytest.mark.parametrize(
    ("task_id", "vod_task_id"),
    {
        "plain": "Concat-plain",
        "of_params": "Concat-params",
        "of_conf": "Concat-conf",
        "resumed": "Concat-plain",
        "indexed": "Concat-pulled",
        "of_xcom_arg": "Concat-pulled",
        "pulled": "Concat-pulled",
        "variable": "Concat-variable",
    }.items(),
)
def test_the_id(
    installation: TwoTriggerers, run: str, states: dict[tuple[str, int], str], task_id: str, vod_task_id: str
) -> None:
    """However the id is given, the sensor waits for that very task, and returns its result."""
    assert states[task_id, -1] == "success"
    result = xcom(installation, run, task_id)
    assert (result["vod_task_id"], result["outcome"]) == (vod_task_id, "succeeded")
    assert [file["url"] for file in result["files"]] == list(urls_of(vod_task_id))


def test_a_mapped_sensor(installation: TwoTriggerers, run: str, states: dict[tuple[str, int], str]) -> None:
    """Each index waits for its own task, the second for one that ended later."""
    assert [states["mapped", index] for index in (0, 1)] == ["success", "success"]
    results = [xcom(installation, run, "mapped", index) for index in (0, 1)]
    assert [result["vod_task_id"] for result in results] == ["Concat-plain", "Concat-late"]


def test_what_comes_downstream(installation: TwoTriggerers, run: str) -> None:
    """One id gives a dictionary, several a list that can be expanded over; the operator for URLs takes both."""
    assert xcom(installation, run, "kind_of_one") == "dict Concat-plain"
    assert xcom(installation, run, "kind_of_several") == "list 3"
    expected = ["Concat-plain", "Concat-params", "Concat-late"]
    assert [xcom(installation, run, "kind_of_each", index) for index in range(3)] == [
        f"dict {each}" for each in expected
    ]
    assert xcom(installation, run, "urls") == [urls_of("Concat-conf")[1]]
    assert xcom(installation, run, "urls_of_several") == [url for each in expected for url in urls_of(each)]


def test_a_sensor_that_pushes_nothing(
    installation: TwoTriggerers, run: str, states: dict[tuple[str, int], str]
) -> None:
    """With do_xcom_push=False nothing is pushed by the triggerer either."""
    assert states["silent", -1] == "success"
    statement = "SELECT task_id FROM xcom WHERE run_id = :run AND task_id IN ('silent', 'plain')"
    assert installation.airflow.query(statement, run=run) == [("plain",)]


def test_a_timeout(installation: TwoTriggerers, run: str, states: dict[tuple[str, int], str]) -> None:
    """The sensor's own timeout ends a wait that never saw a worker, as it does everywhere."""
    assert states["late", -1] == "failed"
    assert "AirflowSensorTimeout" in log_of(installation, run, "late")
    assert states["late_and_skipped", -1] == "skipped"
    statement = "SELECT end_date - start_date FROM task_instance WHERE run_id = :run AND task_id = 'late'"
    [(took,)] = installation.airflow.query(statement, run=run)
    print(f"A timeout of 5 s took {took.total_seconds():.1f} s from the last start of the task")


def test_a_failed_task(installation: TwoTriggerers, run: str, states: dict[tuple[str, int], str]) -> None:
    """A failed VOD task fails the sensor with VOD's reason, without a retry; soft_fail skips it."""
    assert states["failing", -1] == "failed"
    assert "VOD task Concat-failed failed" in log_of(installation, run, "failing")
    assert "no such source" in log_of(installation, run, "failing")
    tries = "SELECT try_number FROM task_instance WHERE run_id = :run AND task_id = 'failing'"
    assert installation.airflow.query(tries, run=run) == [(1,)]
    assert states["failing_and_skipped", -1] == "skipped"


def test_a_useless_id(installation: TwoTriggerers, run: str, states: dict[tuple[str, int], str]) -> None:
    """A template that renders to nothing fails the sensor, and the log says so."""
    assert states["useless", -1] == "failed"
    assert "vod_task_id is '' after templating" in log_of(installation, run, "useless")


def test_links(installation: TwoTriggerers, run: str, waiting: tuple[str, Any]) -> None:
    """A wait that a worker has seen links to its event before it has come, in every mode; to the end, each to its own."""
    seen = {task: links["VOD event"] for task, links in waiting[1].items()}
    assert seen == dict.fromkeys(WAITING, f"{LINK}Concat-late") | {("several", -1): None}
    links = {task: installation.airflow.links(DAG, run, *task) for task in [*WAITING, ("mapped", 0), ("resumed", -1)]}
    expected = dict.fromkeys(WAITING, "Concat-late") | dict.fromkeys([("mapped", 0), ("resumed", -1)], "Concat-plain")
    assert {task: found["VOD event"] for task, found in links.items()} == {
        task: f"{LINK}{vod_task_id}" for task, vod_task_id in expected.items()
    }
    assert {found["VOD console"] for found in links.values()} == {"https://console.cloud.tencent.com/vod/media"}


def test_where_a_link_leads(installation: TwoTriggerers, run: str) -> None:
    """The page is there for who is logged in; with the words of the link, what it lists is that one event."""
    path = installation.airflow.links(DAG, run, "urls")["VOD event"] or ""
    assert path == f"{LINK}Concat-conf"
    assert "<title>VOD events</title>" in installation.airflow.read(path)
    found = json.loads(installation.airflow.read(path.replace("/events?", "/api/events?")))["events"]
    assert [event["vod_task_id"] for event in found] == ["Concat-conf"]


def test_nobody_waits_any_more(installation: TwoTriggerers, run: str) -> None:
    """No trigger, and no waiter in the inbox, is left behind."""
    deadline = time.monotonic() + 30
    while installation.store.counts(installation.queue).waiters and time.monotonic() < deadline:
        time.sleep(0.2)
    assert installation.store.counts(installation.queue).waiters == 0
    assert installation.airflow.triggers() == []
