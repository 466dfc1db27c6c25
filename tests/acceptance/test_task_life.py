"""What becomes of a wait when people or machines meddle with it: in an Airflow of real processes, and with its real API."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.emulator.queue import QueueCounts
from airflow_vod.inbox import InboxStore, Lease
from airflow_vod.relay.steps import LEASE_TTL
from tests.acceptance.airflow import Airflow
from tests.acceptance.installation import Installation
from tests.airflow_fixtures import INBOX_OPTION, SUB_APP_ID, urls_of
from tests.databases import PostgreSQLServer

MANY = {f"Concat-many-{number}" for number in range(6)}  # waited for while the triggerer is restarted
FOREIGN = 300  # events that come meanwhile and that nobody waits for
DAGS = """
from airflow.sdk import DAG
from airflow_vod.sensors.vod import VodConcatSensor

ID = "{{ dag_run.conf['vod_task_id'] }}"

with DAG("deferred", schedule=None):
    VodConcatSensor(task_id="wait", vod_task_id=ID, deferrable=True)

with DAG("many", schedule=None):
    VodConcatSensor.partial(task_id="wait", deferrable=True).expand(vod_task_id=MANY)

with DAG("retried", schedule=None):
    VodConcatSensor(task_id="wait", vod_task_id=ID, deferrable=True, retries=1, retry_delay=3)

with DAG("poking", schedule=None):
    VodConcatSensor(task_id="wait", vod_task_id=ID, poke_interval=1, retries=0)
""".replace("MANY", str(sorted(MANY)))
DAG_IDS = ("deferred", "many", "retried", "poking")
SETTINGS = {"AIRFLOW__CORE__PARALLELISM": "4", "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1"}
PATIENCE = 120.0  # seconds; for machines that are busy with something else


@dataclass(frozen=True)
class Run:
    """One run of a DAG whose only task is ``wait``."""

    airflow: Airflow
    dag_id: str
    run_id: str

    @property
    def path(self) -> str:
        """Where Airflow's API has it."""
        return f"/api/v2/dags/{self.dag_id}/dagRuns/{self.run_id}"

    def is_in(self, *states: str) -> None:
        """Wait until its task has one of these states."""
        self.airflow.wait_for_task(self.dag_id, self.run_id, "wait", states, PATIENCE)

    def ends(self) -> str:
        """Wait for its end and answer how it ended."""
        return self.airflow.wait_for_run(self.dag_id, self.run_id, PATIENCE)

    def mark_task(self, state: str) -> None:
        """Mark its task as a user does."""
        self.airflow.call("PATCH", f"{self.path}/taskInstances/wait", {"new_state": state})

    def clear_task(self) -> None:
        """Clear its task as a user does."""
        body = {"dag_run_id": self.run_id, "task_ids": ["wait"], "dry_run": False, "only_failed": False}
        self.airflow.call("POST", f"/api/v2/dags/{self.dag_id}/clearTaskInstances", body)

    def result(self, map_index: int = -1) -> str:
        """Answer of which VOD task its result is."""
        return self.airflow.xcom(self.dag_id, self.run_id, "wait", map_index=map_index)["vod_task_id"]


class Lived(Installation):
    """One in which tasks begin to wait and are awaited."""

    def start(self, dag_id: str, vod_task_id: str) -> Run:
        """Start a run that waits for a VOD task."""
        return Run(self.airflow, dag_id, self.airflow.trigger(dag_id, {"vod_task_id": vod_task_id}))

    def defer(self, vod_task_id: str) -> Run:
        """Start a run, and answer when its sensor waits in the triggerer."""
        run = self.start("deferred", vod_task_id)
        run.is_in("deferred")
        self.wait(lambda: vod_task_id in self.awaited())
        return run

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds."""
        self.airflow.wait(condition, PATIENCE)

    def awaited(self) -> list[str | None]:
        """Answer what is waited for by what the inbox says; it does not know at once of sensors that were killed."""
        waiters = self.store.waiters.longest(self.queue)
        return [each.vod_task_id for each in waiters if not (each.vod_task_id or "").startswith("Concat-killed")]

    def deadline(self, vod_task_id: str) -> float:
        """Answer until when a VOD task is waited for by what the inbox says; 0 where it is not."""
        found = (each.deadline for each in self.store.waiters.longest(self.queue) if each.vod_task_id == vod_task_id)
        return next(found, None) or 0.0

    def publish(self, vod_task_id: str) -> None:
        """Let a splice end."""
        self.vod.publish_concat(vod_task_id, urls_of(vod_task_id), SUB_APP_ID)

    def publish_slowly(self, vod_task_ids: Collection[str]) -> None:
        """Let splices end one after the other."""
        for vod_task_id in vod_task_ids:
            self.publish(vod_task_id)
            time.sleep(0.01)

    def poker(self) -> int:
        """Wait until the process of a task holds the lease, and answer its id."""
        components = {component.pid for component in self.airflow.processes.values()}
        found: list[int] = []

        def is_found() -> bool:
            # A task leads a process group of its own; what a triggerer has forked stays in that of the triggerer.
            if (lease := self.lease()) and group_of(process_of(lease)) not in {None, *components}:
                found.append(process_of(lease))
            return bool(found)

        self.wait(is_found)
        return found[0]

    def counts(self) -> QueueCounts:
        """Answer what VOD's queue holds."""
        return self.vod.queue(SUB_APP_ID)

    def is_quiet(self) -> bool:
        """Say whether every event has been confirmed, so that VOD hands none over again."""
        return self.counts().confirmed == self.counts().published


@pytest.fixture(scope="module")
def installation(postgresql: PostgreSQLServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    """Everything at work. VOD holds pulls for 2 s instead of 5, so that tests wait less for the end of one."""
    with Emulator(options=EmulatorOptions(hold=2)) as vod:
        inbox_url = postgresql.inbox()
        connection = {"AIRFLOW_CONN_VOD_DEFAULT": vod.airflow_connection(SUB_APP_ID), INBOX_OPTION: inbox_url}
        with Airflow(tmp_path_factory.mktemp("airflow"), postgresql.empty(), SETTINGS | connection) as airflow:
            (airflow.dags / "waits.py").write_text(DAGS)
            airflow.start_all(240)
            airflow.wait(lambda: all(airflow.knows(dag_id) for dag_id in DAG_IDS), 120)
            store = InboxStore.open(inbox_url)
            yield Lived(airflow, vod, store)
            store.close()


# A sensor on a worker


def test_a_poking_task_that_is_marked_failed(installation: Lived) -> None:
    """It ends in order: nobody has to wait until its lease runs out, and what comes next is there for the next."""
    run = installation.start("poking", "Concat-poked")
    process = installation.poker()
    run.mark_task("failed")
    installation.wait(lambda: group_of(process) is None)
    assert installation.lease() is None
    assert installation.store.counts(installation.queue).waiters == 0
    assert installation.counts().waiting == 0  # no pull is open that could take an event with it

    installation.publish("Concat-poked")
    other = installation.start("poking", "Concat-poked")
    assert other.ends() == "success"
    assert run.ends() == "failed"


def test_a_poking_task_that_is_killed(installation: Lived) -> None:
    """Who is killed while it pulls keeps the others waiting until its lease runs out, and no longer."""
    runs = [installation.start("poking", f"Concat-killed-{number}") for number in range(2)]
    for run in runs:
        run.is_in("running")
    left = kill_who_pulls(installation)
    killed_at = time.monotonic()
    assert left.expires_at - time.time() <= LEASE_TTL
    installation.wait(lambda: installation.counts().waiting == 0)  # what its open pull takes comes back after 30 s
    for number in range(2):
        installation.publish(f"Concat-killed-{number}")
    assert sorted(run.ends() for run in runs) == ["failed", "success"]
    print(f"\nThe other had its event {time.monotonic() - killed_at:.1f} s after the one was killed")


def kill_who_pulls(installation: Lived) -> Lease:
    """Kill a process while it holds the lease, and answer the lease that it leaves behind."""
    while True:
        process = installation.poker()
        os.kill(process, signal.SIGSTOP)
        lease = installation.lease()
        if lease is not None and process_of(lease) == process:
            os.kill(process, signal.SIGKILL)
            return lease
        os.kill(process, signal.SIGCONT)


# A deferred sensor


def test_a_dag_that_is_paused(installation: Lived) -> None:
    """What comes for a deferred sensor while its DAG is paused is kept, and the run ends well once it goes on."""
    run = installation.defer("Concat-paused")
    installation.airflow.call("PATCH", "/api/v2/dags/deferred", {"is_paused": True})
    try:
        installation.publish("Concat-paused")
        run.is_in("scheduled")  # the trigger has fired, and no worker may take over
        assert "Concat-paused" in installation.store.find(installation.queue, ["Concat-paused"])
    finally:
        installation.airflow.call("PATCH", "/api/v2/dags/deferred", {"is_paused": False})
    assert run.ends() == "success"
    assert run.result() == "Concat-paused"


def test_a_task_that_is_cleared_while_it_waits(installation: Lived) -> None:
    """It waits again, as one waiter, and succeeds with its event."""
    run = installation.defer("Concat-cleared")
    trigger = "SELECT trigger_id FROM task_instance WHERE run_id = :run AND state = 'deferred'"
    [before] = installation.airflow.query(trigger, run=run.run_id)
    run.clear_task()
    installation.wait(lambda: installation.airflow.query(trigger, run=run.run_id) not in ([], [before]))
    installation.wait(lambda: installation.airflow.query("SELECT count(*) FROM trigger") == [(1,)])
    installation.wait(lambda: installation.awaited() == ["Concat-cleared"])
    installation.publish("Concat-cleared")
    assert run.ends() == "success"
    assert run.result() == "Concat-cleared"
    installation.wait(lambda: installation.awaited() == [])


def test_a_task_that_is_cleared_after_its_success(installation: Lived) -> None:
    """It finds its event in the inbox and succeeds again, without VOD handing anything over."""
    run = installation.defer("Concat-again")
    installation.publish("Concat-again")
    assert run.ends() == "success"
    installation.wait(installation.is_quiet)
    delivered = installation.counts().delivered
    run.clear_task()
    tries = "SELECT try_number FROM task_instance WHERE run_id = :run AND state = 'success'"
    installation.wait(lambda: installation.airflow.query(tries, run=run.run_id) == [(2,)])
    assert run.result() == "Concat-again"
    assert installation.counts().delivered == delivered


def test_a_task_that_is_marked_failed(installation: Lived) -> None:
    """Its trigger and its waiter go, the pulling ends soon, and what comes later is there for others."""
    run = installation.defer("Concat-given-up")
    run.mark_task("failed")
    began = time.monotonic()
    installation.wait(lambda: installation.awaited() == [])
    installation.wait(lambda: installation.airflow.triggers() == [])
    print(f"\nThe waiter was gone {time.monotonic() - began:.1f} s after the task was marked failed", end="")
    installation.wait(lambda: installation.lease() is None)
    print(f", and the queue was let go after {time.monotonic() - began:.1f} s")
    assert run.ends() == "failed"

    installation.publish("Concat-given-up")
    assert installation.counts().visible == 1
    other = installation.start("deferred", "Concat-given-up")
    assert other.ends() == "success"
    assert other.result() == "Concat-given-up"
    run.clear_task()
    assert run.ends() == "success"


def test_a_run_that_is_ended_and_deleted(installation: Lived) -> None:
    """Nothing waits any more for a run that a user has marked as ended, and it can be deleted at once."""
    runs = {state: installation.start("deferred", f"Concat-{state}") for state in ("success", "failed")}
    for state, run in runs.items():
        installation.wait(lambda state=state: f"Concat-{state}" in installation.awaited())
        installation.airflow.call("PATCH", run.path, {"state": state})
        assert run.ends() == state
        installation.airflow.call("DELETE", run.path)
    installation.wait(lambda: installation.awaited() == [])
    installation.wait(lambda: installation.airflow.triggers() == [])


def test_a_wait_that_is_retried(installation: Lived) -> None:
    """A wait that ended in an error begins anew at the next try, with a timeout of its own, and succeeds."""
    run = installation.start("retried", "Concat-retried")
    installation.wait(lambda: "Concat-retried" in installation.awaited())
    first = installation.deadline("Concat-retried")
    # Not a number of them: how many pulls are refused before the wait ends is not for this test to know.
    installation.vod.faults.chaos(0, {"auth_failure": 1.0}, ["PullEvents"])
    try:
        over = "SELECT count(*) FROM task_instance_history WHERE run_id = :run"
        installation.wait(lambda: installation.airflow.query(over, run=run.run_id) == [(1,)])
    finally:
        installation.vod.faults.clear()
    installation.wait(lambda: installation.deadline("Concat-retried") > first)
    installation.publish("Concat-retried")
    assert run.ends() == "success"
    assert run.result() == "Concat-retried"


def test_a_triggerer_that_is_restarted(installation: Lived) -> None:
    """It ends within seconds although events flow, and leaves nothing half done; all sensors succeed, none twice."""
    airflow, store = installation.airflow, installation.store
    last = installation.defer("Concat-last")  # somebody waits, and so the queue is pulled, until the test is over
    run = Run(airflow, "many", airflow.trigger("many"))
    installation.wait(lambda: MANY.issubset(installation.awaited()))
    deadline = installation.deadline("Concat-last")
    wanted = [*MANY, *(f"Concat-foreign-{number}" for number in range(FOREIGN))]
    random.Random(FOREIGN).shuffle(wanted)

    with ThreadPoolExecutor() as publisher:
        delivered = installation.counts().delivered
        publishing = publisher.submit(installation.publish_slowly, wanted)
        installation.wait(lambda: installation.counts().delivered > delivered + FOREIGN // 3)
        began = time.monotonic()
        os.kill(airflow.processes["triggerer"].pid, signal.SIGTERM)
        airflow.processes["triggerer"].wait(PATIENCE)
        took = time.monotonic() - began
        print(f"\nThe triggerer ended after {took:.1f} s; {installation.counts()}")
        assert took < 30  # Airflow may take ten to find out that what it has forked is gone
        assert installation.lease() is None
        assert installation.counts().hidden == 0  # what was pulled is confirmed
        assert len(store.newest(installation.queue, limit=2 * FOREIGN)) >= installation.counts().confirmed
        publishing.result()

    airflow.start("triggerer.2")
    assert run.ends() == "success"
    installation.wait(installation.is_quiet)
    print(f"All was over {time.monotonic() - began:.1f} s after the signal; {installation.counts()}")
    assert set(store.find(installation.queue, wanted)) == set(wanted)
    logged = "SELECT event, count(*) FROM log WHERE run_id = :run AND event IN ('running', 'success') GROUP BY 1"
    assert dict(airflow.query(logged, run=run.run_id)) == {"running": 2 * len(MANY), "success": len(MANY)}
    tasks = "SELECT state, try_number, count(*) FROM task_instance WHERE run_id = :run GROUP BY 1, 2"
    assert airflow.query(tasks, run=run.run_id) == [("success", 1, len(MANY))]
    assert {run.result(index) for index in range(len(MANY))} == MANY
    assert installation.deadline("Concat-last") == deadline  # the restart has not prolonged the wait
    installation.publish("Concat-last")
    assert last.ends() == "success"


def process_of(lease: Lease) -> int:
    """Answer the process id of the holder of a lease."""
    return int(lease.holder.split(":")[1])


def group_of(process: int) -> int | None:
    """Answer the group of a process, if there is such a process."""
    try:
        return os.getpgid(process)
    except ProcessLookupError:
        return None
