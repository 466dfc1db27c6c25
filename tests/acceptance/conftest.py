"""An installation of Airflow with two triggerers, which several tests use one after the other."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_vod.emulator import Emulator
from airflow_vod.inbox import InboxStore
from tests.acceptance.airflow import Airflow
from tests.acceptance.installation import Installation
from tests.airflow_fixtures import INBOX_OPTION, SUB_APP_ID
from tests.databases import PostgreSQLServer

DAGS = Path(__file__).parent / "dags"
TRIGGERERS = {"triggerer": "AKIDfirst", "triggerer.2": "AKIDsecond"}
# A triggerer that has died is found out within ten seconds instead of thirty, and none takes everything at once.
SETTINGS = {
    "AIRFLOW__CORE__PARALLELISM": "4",
    "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "2",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__TRIGGERER__MAX_TRIGGER_TO_SELECT_PER_LOOP": "10",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
}


class TwoTriggerers(Installation):
    """Each triggerer has a key of its own, so the log of calls tells who pulled."""

    def leader(self) -> str | None:
        """Name the triggerer whose process holds the lease, if one does."""
        lease = self.lease()
        if lease is None:
            return None
        group = os.getpgid(int(lease.holder.split(":")[1]))
        return next(name for name in TRIGGERERS if self.airflow.processes[name].pid == group)


@pytest.fixture(scope="package")  # not for longer: it takes time from every test that measures some
def installation(postgresql: PostgreSQLServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoTriggerers]:
    """Everything at work, and the DAGs of the folder ``dags`` known."""
    with Emulator(accounts={secret_id: f"secret-of-{secret_id}" for secret_id in TRIGGERERS.values()}) as vod:
        inbox_url = postgresql.inbox()
        settings = SETTINGS | {INBOX_OPTION: inbox_url, "AIRFLOW_CONN_VOD_DEFAULT": _connection(vod, "AKIDfirst")}
        with Airflow(tmp_path_factory.mktemp("airflow"), postgresql.empty(), settings) as airflow:
            for file in DAGS.glob("*.py"):
                shutil.copy(file, airflow.dags)
            airflow.start_all(240)
            airflow.start("triggerer.2", {"AIRFLOW_CONN_VOD_DEFAULT": _connection(vod, "AKIDsecond")})
            alive = "SELECT count(*) FROM job WHERE job_type = 'TriggererJob' AND state = 'running'"
            airflow.wait(lambda: airflow.query(alive) == [(2,)], 120)
            airflow.wait(lambda: all(airflow.knows(file.stem) for file in DAGS.glob("*.py")), 120)
            store = InboxStore.open(inbox_url)
            yield TwoTriggerers(airflow, vod, store)
            store.close()


def _connection(vod: Emulator, secret_id: str) -> str:
    connection = json.loads(vod.airflow_connection(SUB_APP_ID))
    return json.dumps(connection | {"login": secret_id, "password": vod.accounts[secret_id]})
