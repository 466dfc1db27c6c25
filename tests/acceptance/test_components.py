"""The example DAG in an Airflow of real processes, with a real triggerer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine

from airflow_vod.emulator import Emulator
from airflow_vod.inbox import InboxStore
from tests.acceptance.airflow import Airflow, rows
from tests.acceptance.processes import ROOT
from tests.airflow_fixtures import INBOX_OPTION, SUB_APP_ID, urls_of
from tests.databases import PostgreSQLServer

DAG = "example_vod_wait"
SECRET_KEY = "acceptance-secret-key-4f1c9b7d"
WRONG_KEY = "acceptance-wrong-key-93d5e8a1"
REFUSED_DAG = """
from airflow.sdk import DAG
from airflow_vod.sensors.vod import VodConcatSensor

with DAG("refused", schedule=None):
    VodConcatSensor(task_id="wait", vod_task_id="Concat-1", vod_conn_id="vod_refused", deferrable=True)
"""


@pytest.fixture(scope="module")
def vod() -> Iterator[Emulator]:
    """A VOD whose key is found nowhere else."""
    with Emulator(accounts={"AKIDacceptance": SECRET_KEY}) as vod:
        yield vod


@pytest.fixture(scope="module")
def inbox_url(postgresql: PostgreSQLServer) -> str:
    """An inbox that all processes share."""
    return postgresql.inbox()


@pytest.fixture(scope="module")
def airflow(
    vod: Emulator, inbox_url: str, postgresql: PostgreSQLServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Airflow]:
    """Airflow with the example DAGs, at log level DEBUG."""
    refused = json.loads(vod.airflow_connection(SUB_APP_ID)) | {"password": WRONG_KEY}
    settings = {
        INBOX_OPTION: inbox_url,
        "AIRFLOW_CONN_VOD_DEFAULT": vod.airflow_connection(SUB_APP_ID),
        "AIRFLOW_CONN_VOD_REFUSED": json.dumps(refused),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
    }
    with Airflow(tmp_path_factory.mktemp("airflow"), postgresql.empty(), settings) as airflow:
        (airflow.dags / f"{DAG}.py").write_text((ROOT / "dags" / f"{DAG}.py").read_text())
        (airflow.dags / "refused.py").write_text(REFUSED_DAG)
        airflow.start_all()
        airflow.wait(lambda: airflow.knows(DAG) and airflow.knows("refused"), 120)
        yield airflow


def test_a_deferred_sensor(airflow: Airflow, vod: Emulator, inbox_url: str) -> None:
    """The sensor waits in the triggerer, its event comes meanwhile, and each file reaches a task of its own."""
    run = airflow.trigger(DAG, {"vod_task_id": "Concat-real"})
    airflow.wait_for_task(DAG, run, "wait_for_concat", {"deferred"})
    vod.wait_until(lambda: vod.queue(SUB_APP_ID).waiting > 0, 60)

    [trigger] = airflow.triggers()
    assert "VodTaskTrigger" in trigger
    assert "Concat-real" in trigger
    assert SECRET_KEY not in trigger
    assert "AKIDacceptance" not in trigger

    published = time.monotonic()
    vod.publish_concat("Concat-foreign", urls_of("Concat-foreign"), SUB_APP_ID)
    vod.publish_concat("Concat-real", urls_of("Concat-real"), SUB_APP_ID)
    assert airflow.wait_for_run(DAG, run) == "success"
    print(f"From the event to the end of the run: {time.monotonic() - published:.1f} s")

    assert airflow.xcom(DAG, run, "file_urls") == list(urls_of("Concat-real"))
    assert [airflow.xcom(DAG, run, "publish", map_index=n) for n in (0, 1)] == list(urls_of("Concat-real"))
    vod.wait_until(lambda: vod.queue(SUB_APP_ID).confirmed == 2)
    store = InboxStore.open(inbox_url)
    assert [event.vod_task_id for event in store.newest(f"127.0.0.1:{vod.port}/{SUB_APP_ID}")][::-1] == [
        "Concat-foreign",
        "Concat-real",
    ]
    store.close()


def test_a_wrong_key(airflow: Airflow) -> None:
    """A sensor whose key is refused fails where it starts, and says what to check."""
    run = airflow.trigger("refused")
    assert airflow.wait_for_run("refused", run) == "failed"
    assert "Check SecretId and SecretKey of the connection" in airflow.written()


def test_a_key_that_is_refused_in_the_triggerer(airflow: Airflow, vod: Emulator) -> None:
    """A sensor whose key stops working while it is deferred fails too."""
    run = airflow.trigger(DAG, {"vod_task_id": "Concat-never"})
    airflow.wait_for_task(DAG, run, "wait_for_concat", {"deferred"})
    # Not a number of them: the relay may go on pulling for a moment before the trigger has joined it.
    vod.faults.chaos(0, {"auth_failure": 1.0}, ["PullEvents"])
    try:
        assert airflow.wait_for_run(DAG, run) == "failed"
    finally:
        vod.faults.clear()
    assert airflow.task_states(DAG, run)["wait_for_concat", -1] == "failed"


def test_no_secret_was_written(airflow: Airflow, inbox_url: str) -> None:
    """After all that at log level DEBUG, no key is in any log, output, or row of Airflow's database or the inbox."""
    inbox = create_engine(inbox_url)
    written = airflow.written() + rows(inbox)
    inbox.dispose()
    for seen in ("Waiting for VOD task Concat-real", "DEBUG", "SignatureFailure", "Concat-foreign"):
        assert seen in written.replace("[debug", "DEBUG")  # the search would find what is there
    for secret in (SECRET_KEY, WRONG_KEY):
        assert secret not in written
