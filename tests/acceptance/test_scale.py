"""Many sensors, few processes that die: two real triggerers, and sensors that poke in processes of their own.

``VOD_TEST_SENSORS=300`` sets how many sensors wait in the triggerers; 60 is the default. `make test-scale` takes 300.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.emulator.calls import Call
from tests import airflow_home
from tests.acceptance import pokers
from tests.acceptance.conftest import TRIGGERERS, TwoTriggerers
from tests.acceptance.processes import Process
from tests.airflow_fixtures import INBOX_OPTION, SUB_APP_ID, urls_of
from tests.databases import PostgreSQLServer

DAG = "many_sensors"
PER_RUN = {"deferred": 10, "resumed": 8, "ended": 12}  # sensors of each kind, in one run of the DAG
RUNS = -(-int(os.environ.get("VOD_TEST_SENSORS", "60")) // sum(PER_RUN.values()))
SENSORS = RUNS * sum(PER_RUN.values())
WANTED = [
    f"Concat-{batch}-{kind}-{number}" for batch in range(RUNS) for kind in PER_RUN for number in range(PER_RUN[kind])
]
PATIENCE = 120 + SENSORS  # seconds; for machines that are busy with something else
POKERS = 50
HOLD = 5.0  # seconds for which VOD holds a pull from an empty queue


def pulls_of(vod: Emulator) -> list[Call]:
    """The pulls that have been answered, in the order in which they came."""
    return sorted((call for call in vod.calls if call.action == "PullEvents"), key=lambda call: call.arrived_at)


def stints_of(pulls: list[Call]) -> Iterator[tuple[str | None, float, float]]:
    """Who pulled without a break by another, from when to when."""
    for who, some in itertools.groupby(pulls, key=lambda call: call.secret_id):
        calls = list(some)
        yield who, calls[0].arrived_at, max(call.arrived_at + call.seconds for call in calls)


def decoded(value: Any) -> Any:
    """An XCom as it is in the database, which stores text as JSON once more."""
    return decoded(json.loads(value)) if isinstance(value, str) else value


def relay_status(environment: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """What ``airflow-vod relay status`` answers to somebody on call."""
    command = [sys.executable, "-m", "airflow_vod.cli.main", "relay", "status", "--json"]
    with Process(command, environment) as process:
        status = process.wait(120)
        output = process.output  # with what it logged to standard error
    return status, json.loads(output[output.index("{") :])


@dataclass(frozen=True)
class Death:
    """What happened while a triggerer died.

    :param leader: the one that was killed; it was the one that pulled.
    :param killed_at: Unix seconds.
    :param status: what ``airflow-vod relay status`` exited with, and said, when all sensors waited.
    :param holder: who held the lease then.
    """

    leader: str
    killed_at: float
    status: tuple[int, dict[str, Any]]
    holder: str


@pytest.fixture(scope="module")
def death(installation: TwoTriggerers) -> Death:
    """All sensors wait in two triggerers; while their events come, the triggerer that pulls is killed; all runs end."""
    airflow, store = installation.airflow, installation.store
    began = time.monotonic()
    for batch in range(RUNS):
        airflow.trigger(DAG, {"batch": batch})
    wait = "SELECT count(*) FROM task_instance WHERE dag_id = :dag AND state = 'deferred'"
    airflow.wait(lambda: airflow.query(wait, dag=DAG) == [(SENSORS,)], PATIENCE)
    airflow.wait(lambda: store.counts(installation.queue).waiters == SENSORS, 60)
    shares = airflow.query("SELECT count(*) FROM trigger GROUP BY triggerer_id ORDER BY 1")
    assert len(shares) == 2, f"both triggerers must have some: {shares}"
    print(f"\n{SENSORS} sensors wait after {time.monotonic() - began:.1f} s, by triggerer {shares}")

    status, lease, leader = (
        relay_status(airflow.environment),
        store.leases.read(installation.queue),
        installation.leader(),
    )
    assert lease is not None
    assert leader is not None
    killed_at = publish_and_kill(installation, leader)
    over = "SELECT count(*) FROM dag_run WHERE dag_id = :dag AND state IN ('success', 'failed')"
    airflow.wait(lambda: airflow.query(over, dag=DAG) == [(RUNS,)], PATIENCE)
    print(f"All were over {time.time() - killed_at:.1f} s after the kill")
    return Death(leader, killed_at, status, lease.holder)


def publish_and_kill(installation: TwoTriggerers, leader: str) -> float:
    """Let all events happen, one after the other, and kill a triggerer in the midst of them; answer when that was."""
    wanted, killed_at = list(WANTED), 0.0
    random.Random(SENSORS).shuffle(wanted)
    for number, vod_task_id in enumerate(wanted):
        if number == SENSORS // 3:
            installation.airflow.processes[leader].kill()
            killed_at = time.time()
        installation.vod.publish_concat(vod_task_id, urls_of(vod_task_id), SUB_APP_ID)
        time.sleep(0.02)
    return killed_at


def test_all_succeed_and_none_twice(installation: TwoTriggerers, death: Death) -> None:
    """Each sensor succeeds at its first try, on a worker or in a triggerer, once."""
    query = installation.airflow.query
    tasks = "SELECT state, try_number, count(*) FROM task_instance WHERE dag_id = :dag GROUP BY 1, 2"
    assert query(tasks, dag=DAG) == [("success", 1, SENSORS)], installation.airflow.why_failed(DAG)
    assert query("SELECT count(*) FROM task_instance_history WHERE dag_id = :dag", dag=DAG) == [(0,)]
    logged = """
        SELECT split_part(task_id, '_', 1), event, count(*) FROM log
        WHERE dag_id = :dag AND event IN ('running', 'success') AND task_id IS NOT NULL GROUP BY 1, 2
    """
    deferred, resumed = RUNS * PER_RUN["deferred"], RUNS * PER_RUN["resumed"]
    assert {(kind, event): count for kind, event, count in query(logged, dag=DAG)} == {
        ("deferred", "running"): 2 * deferred,
        ("deferred", "success"): deferred,
        ("resumed", "running"): resumed,
        ("resumed", "success"): resumed,
    }


def test_each_has_its_own_result(installation: TwoTriggerers, death: Death) -> None:
    """Each has pushed one result, that of its own VOD task, and is the one who read its event."""
    xcoms = "SELECT task_id, map_index, run_id, value FROM xcom WHERE dag_id = :dag AND key = 'return_value'"
    events = installation.store.find(installation.queue, WANTED)
    found = Counter[str]()
    for task_id, map_index, run_id, value in installation.airflow.query(xcoms, dag=DAG):
        vod_task_id = decoded(value)["vod_task_id"]
        found[vod_task_id] += 1
        index = f"[{map_index}]" if map_index >= 0 else ""
        assert events[vod_task_id].read_by == f"{DAG}/{run_id}/{task_id}{index}"
        assert vod_task_id.endswith("-" + f"{task_id}{index}".translate(str.maketrans("[_", "--", "]")))
    assert found == Counter(WANTED)


def test_one_pulls_at_a_time(installation: TwoTriggerers, death: Death) -> None:
    """The other triggerer takes over soon after the death of the first, and never do two pull at a time."""
    pulls = pulls_of(installation.vod)
    stints = list(stints_of(pulls))
    assert {who for who, _, _ in stints} == set(TRIGGERERS.values())
    for (_, _, end), (_, start, _) in itertools.pairwise(stints):
        assert start >= end
    dead = TRIGGERERS[death.leader]
    taken_over = next(start for who, start, _ in stints if start >= death.killed_at and who != dead) - death.killed_at
    print(f"{len(pulls)} pulls in {len(stints)} stints; taken over {taken_over:.1f} s after the kill")
    assert taken_over < 40  # 15 on a machine that has nothing else to do
    assert max(end for who, _, end in stints if who == dead) - death.killed_at < HOLD + 3  # what VOD held for the dead


def test_what_people_on_call_see(death: Death) -> None:
    """While all wait, the status names the process that pulls, how far behind the queue is, and what is waited for."""
    exit_status, told = death.status
    assert exit_status == 0
    assert told["holder"] == death.holder
    assert told["relay"]["last_pull_at"] >= told["held_since"]
    assert (told["waiters"], told["waiting_in_vod"]) == (SENSORS, 0)
    assert {each["vod_task_id"] for each in told["longest_waiters"]} <= set(WANTED)
    assert all(each["waiter"].startswith(f"{DAG}/manual__") for each in told["longest_waiters"])


def test_sensors_that_poke_in_processes_of_their_own(postgresql: PostgreSQLServer) -> None:
    """Fifty processes that poke cost VOD no more than one that pulls without end, and each gets its event."""
    with Emulator(options=EmulatorOptions(hold=HOLD)) as vod:
        settings = {INBOX_OPTION: postgresql.inbox(), "AIRFLOW_CONN_VOD_DEFAULT": vod.airflow_connection(SUB_APP_ID)}
        environment = airflow_home.environment(airflow_home.HOME) | settings
        with Process([sys.executable, "-m", "tests.acceptance.pokers", str(POKERS)], environment) as processes:
            processes.wait_for(pokers.ANSWER + "ready", 120)
            # Each asks VOD about its task once, when it begins.
            vod.wait_until(lambda: vod.calls.count("DescribeTaskDetail") >= POKERS, 120)
            began = time.time()
            time.sleep(4 * HOLD)
            idle = [call for call in pulls_of(vod) if call.arrived_at + call.seconds > began]
            print(f"\n{len(idle)} pulls ended in {time.time() - began:.1f} s while {POKERS} processes wait")
            assert 1 <= len(idle) <= 4
            quiet = pulls_of(vod)  # once events have piled up, the one that pulls may have several pulls open
            for one, next_one in itertools.pairwise(quiet):
                assert next_one.arrived_at >= one.arrived_at + one.seconds, "two pulled at a time"

            for index in range(POKERS):
                vod.publish_concat(f"Concat-poked-{index}", urls_of("Concat-poked"), SUB_APP_ID)
            published = time.monotonic()
            assert processes.wait(120) == 0
            print(f"All have their events {time.monotonic() - published:.1f} s after they came")
            # Not line by line: fifty processes write to one pipe, and a log line may stand between an answer and its end.
            found = re.findall(re.escape(pokers.ANSWER) + r"(\[[^\]]*\])", processes.output)
    answers = [json.loads(each) for each in found]
    assert sorted(answer[0] for answer in answers) == list(range(POKERS))
    assert len({process for _, process, _ in answers}) == POKERS
    assert all(vod_task_id == f"Concat-poked-{index}" for index, _, vod_task_id in answers)
    assert vod.queue(SUB_APP_ID).confirmed == POKERS
