"""What importing the parts that a DAG file needs loads: told by the list of modules, in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests import airflow_home

HEAVY = (
    "airflow.providers.openlineage",
    "airflow_vod.tencent.client",
    "airflow_vod.emulator",
    "airflow_vod.inbox.store",
    "airflow_vod.relay.steps",
    "airflow_vod.waiting.watch",
    "alembic",
    "fastapi",
    "openlineage",
    "pandas",
    "sqlalchemy",
    "starlette",
    "tencentcloud",
    "tenacity",
    "urllib3",
    "uvicorn",
)


FOR_A_DAG = (
    "airflow_vod.hooks.vod",
    "airflow_vod.operators.media",
    "airflow_vod.operators.storage",
    "airflow_vod.operators.processing",
    "airflow_vod.operators.submit",
    "airflow_vod.operators.vod",
    "airflow_vod.sensors.vod",
    "airflow_vod.sensors.vod_event",
    "airflow_vod.triggers.submit",
    "airflow_vod.triggers.vod",
    "airflow_vod.triggers.vod_event",
    "dags.example_vod_asset_events",
    "dags.example_vod_concat",
    "dags.example_vod_fetch",
    "dags.example_vod_wait",
    "dags.example_vod_many_tasks",
    "dags.example_vod_taskflow",
)
ROOT = Path(__file__).parents[2]


def modules_after(*imports: str) -> set[str]:
    """Import in a fresh process and list what is loaded."""
    code = "".join(f"import {name}\n" for name in imports) + "import sys\nprint('MODULES', *sys.modules)"
    environment = airflow_home.environment(airflow_home.HOME)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("MODULES ")[2].split())


def test_a_dag_file_loads_nothing_heavy() -> None:
    """On top of Airflow itself, neither SDK, SQLAlchemy and OpenLineage, nor client, inbox, relay and emulator are loaded."""
    airflow = ("airflow.sdk", "airflow.triggers.base", "pendulum")
    added = modules_after(*airflow, *FOR_A_DAG) - modules_after(*airflow)
    assert set(FOR_A_DAG) <= added
    assert [module for module in sorted(added) if module.startswith(HEAVY)] == []


def test_provider_info_loads_nothing() -> None:
    """Airflow reads it in every process, so it imports nothing but its own package."""
    added = modules_after("airflow_vod.get_provider_info")
    assert {module for module in added if module.startswith("airflow")} == {
        "airflow_vod",
        "airflow_vod.get_provider_info",
    }
