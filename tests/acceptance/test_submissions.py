"""A retry is not a clear, and nothing is left behind: in an Airflow of real processes, cleared and marked by its real API."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.hooks.version_compat import AIRFLOW_V_3_1_PLUS
from airflow_vod.inbox import InboxStore
from tests.acceptance.airflow import Airflow
from tests.acceptance.test_task_life import SETTINGS, Lived, Run
from tests.airflow_fixtures import INBOX_OPTION, SUB_APP_ID
from tests.databases import PostgreSQLServer

DAGS = """
from airflow.sdk import DAG
from airflow_vod.operators.submit import VodSubmitOperator

PARAMETERS = {
    "InputType": "File",
    "FileInfos": [{"FileId": "1"}],
    "OutputConfig": {"MediaName": "{{ var.value.get('media_name', 'first') }}"},
}

def splice(**arguments):
    return VodSubmitOperator(task_id="wait", action="EditMedia", parameters=PARAMETERS, **arguments)

with DAG("deferred_splice", schedule=None):
    splice(deferrable=True)

with DAG("poking_splice", schedule=None):
    splice(retries=3, retry_delay=1)
"""
DAG_IDS = ("deferred_splice", "poking_splice")
SOON = 5.0  # seconds within which VOD is asked to abort


class Splicing(Lived):
    """One whose tasks start VOD tasks."""

    def begin(self, dag_id: str, status: str) -> tuple[Run, str]:
        """Start a run, and answer when its VOD task has this status and is waited for."""
        before = len(self.vod.starts)
        self.vod.hold_tasks(status, sub_app_id=SUB_APP_ID)  # type: ignore[arg-type]
        run = Run(self.airflow, dag_id, self.airflow.trigger(dag_id))
        self.wait(lambda: len(self.vod.starts) > before)
        vod_task_id = list(self.vod.starts)[-1].vod_task_id
        if dag_id == "deferred_splice":
            run.is_in("deferred")
        self.wait(lambda: vod_task_id in self.awaited())
        return run, vod_task_id

    def finish(self, vod_task_id: str) -> None:
        """Let VOD end a task."""
        self.vod.finish_task(vod_task_id, sub_app_id=SUB_APP_ID)

    def started(self) -> int:
        """How many tasks VOD has started, over all tests."""
        return self.vod.starts.count(sub_app_id=SUB_APP_ID)

    def state(self, vod_task_id: str) -> str | None:
        """What the inbox says of a VOD task that was started."""
        found = self.store.submissions.of_task(self.queue, vod_task_id)
        return found and found.state

    def tries(self, vod_task_id: str) -> int | None:
        """Which try waits for a VOD task."""
        found = self.store.submissions.of_task(self.queue, vod_task_id)
        return found and found.attempt

    def is_aborted_soon(self, vod_task_id: str, since_monotonic: float) -> None:
        """Wait until a VOD task is aborted; say how long that took."""
        self.wait(lambda: self.state(vod_task_id) == "aborted")
        seconds = time.monotonic() - since_monotonic
        print(f"\n{vod_task_id} was aborted {seconds:.1f} s after the task was ended; {SOON:g} s are promised")


@pytest.fixture(scope="module")
def installation(postgresql: PostgreSQLServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Splicing]:
    """Everything at work."""
    with Emulator(options=EmulatorOptions(hold=1, task_seconds=0.2)) as vod:
        inbox_url = postgresql.inbox()
        connection = {"AIRFLOW_CONN_VOD_DEFAULT": vod.airflow_connection(SUB_APP_ID), INBOX_OPTION: inbox_url}
        with Airflow(tmp_path_factory.mktemp("airflow"), postgresql.empty(), SETTINGS | connection) as airflow:
            (airflow.dags / "splices.py").write_text(DAGS)
            airflow.start_all(400)
            airflow.wait(lambda: all(airflow.knows(dag_id) for dag_id in DAG_IDS), 200)
            store = InboxStore.open(inbox_url)
            yield Splicing(airflow, vod, store)
            store.close()


def test_row_1_a_worker_dies(installation: Splicing) -> None:
    """Airflow retries, and the next try waits for the same VOD task."""
    started = installation.started()
    run, vod_task_id = installation.begin("poking_splice", "PROCESSING")
    os.kill(installation.poker(), signal.SIGKILL)
    if AIRFLOW_V_3_1_PLUS:
        run.is_in("up_for_retry", "queued", "scheduled")
    else:  # a process that is killed is the end of its task there, whatever its retries, until a user clears it
        assert run.ends() == "failed"
        run.clear_task()
    run.is_in("running")
    installation.finish(vod_task_id)
    assert run.ends() == "success"
    assert run.result() == vod_task_id
    assert installation.started() == started + 1


def test_row_4_cleared_after_success(installation: Splicing) -> None:
    """Whoever clears a task that has succeeded gets a new VOD task, and its result."""
    run, first = installation.begin("deferred_splice", "PROCESSING")
    installation.finish(first)
    assert run.ends() == "success"
    installation.vod.hold_tasks(None, sub_app_id=SUB_APP_ID)
    started = installation.started()
    run.clear_task()
    installation.wait(lambda: installation.started() == started + 1)
    assert run.ends() == "success"
    assert run.result() == list(installation.vod.starts)[-1].vod_task_id != first


def test_row_5_cleared_while_it_runs(installation: Splicing) -> None:
    """The running VOD task is waited for, and nobody starts another."""
    run, vod_task_id = installation.begin("deferred_splice", "PROCESSING")
    started = installation.started()
    run.clear_task()
    installation.wait(lambda: (installation.tries(vod_task_id) or 0) >= 2)
    run.is_in("deferred")
    installation.finish(vod_task_id)
    assert run.ends() == "success"
    assert (run.result(), installation.started()) == (vod_task_id, started)


def test_row_5_cleared_after_airflow_gave_up(installation: Splicing) -> None:
    """Airflow has given the task up and VOD has not: after a clear it is waited for."""
    run, vod_task_id = installation.begin("deferred_splice", "PROCESSING")
    started = installation.started()
    run.mark_task("failed")
    assert run.ends() == "failed"
    installation.finish(vod_task_id)
    run.clear_task()
    assert run.ends() == "success"
    assert (run.result(), installation.started()) == (vod_task_id, started)


def test_row_5_cleared_with_other_parameters(installation: Splicing) -> None:
    """What is wanted now is another VOD task; the one that goes on is named in the log."""
    run, first = installation.begin("deferred_splice", "PROCESSING")
    started = installation.started()
    run.mark_task("failed")
    assert run.ends() == "failed"
    installation.airflow.set_variable("media_name", "second")
    installation.vod.hold_tasks(None, sub_app_id=SUB_APP_ID)
    run.clear_task()
    assert run.ends() == "success"
    assert run.result() == list(installation.vod.starts)[-1].vod_task_id != first
    assert installation.started() == started + 1
    logs = "".join(file.read_text(errors="replace") for file in installation.airflow.home.rglob("attempt=2.log"))
    assert "OutputConfig changed since" in logs
    assert f"VOD task {first} goes on, and is paid for, although it is replaced" in logs


def test_a_deferred_task_that_is_marked_failed(installation: Splicing) -> None:
    """What VOD has not begun is aborted soon; no triggerer that goes on needs it."""
    run, vod_task_id = installation.begin("deferred_splice", "WAITING")
    began = time.monotonic()
    run.mark_task("failed")
    installation.is_aborted_soon(vod_task_id, began)
    assert run.ends() == "failed"


def test_a_working_task_that_is_marked_failed(installation: Splicing) -> None:
    """The same on a worker."""
    run, vod_task_id = installation.begin("poking_splice", "WAITING")
    began = time.monotonic()
    run.mark_task("failed")
    installation.is_aborted_soon(vod_task_id, began)
    assert run.ends() == "failed"


def test_a_triggerer_that_is_restarted(installation: Splicing) -> None:
    """That is no user's wish: nothing is aborted, and the wait goes on."""
    run, vod_task_id = installation.begin("deferred_splice", "WAITING")
    installation.airflow.processes["triggerer"].end()
    installation.airflow.start("triggerer")
    installation.wait(lambda: vod_task_id in installation.awaited())
    installation.finish(vod_task_id)
    assert run.ends() == "success"
    assert installation.state(vod_task_id) == "done"
