"""The Airflow of a test session: one AIRFLOW_HOME with one SQLite database.

Invariant: this is imported before anything imports Airflow, and nothing that is set for Airflow outside reaches the tests.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

HOME = Path(tempfile.mkdtemp(prefix="airflow-vod-tests-"))


def environment(home: Path) -> dict[str, str]:
    """Answer the environment of an Airflow process that has this AIRFLOW_HOME, made where it is not there."""
    (home / "dags").mkdir(parents=True, exist_ok=True)
    # Without cached bytecode Airflow takes twice as long to start.
    ours = ("AIRFLOW", "_AIRFLOW", "TENCENTCLOUD", "PYTHONDONTWRITEBYTECODE")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return inherited | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__FERNET_KEY": "",  # nothing is encrypted, so that tests can read what is stored
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # Several DAGs of one name come one after the other; Airflow before 3.2 would not store the second within 30 s.
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_FETCH_INTERVAL": "0",
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
    }


def migrate(home: Path) -> None:
    """Make the database of an AIRFLOW_HOME: the first time as Airflow does, later as a copy."""
    first = HOME / "airflow.db"
    # Not the database tells whether that was done: a mere look-up of a connection makes one, without tables.
    done = HOME / "migrated"
    if not done.exists():
        command = [sys.executable, "-m", "airflow", "db", "migrate"]
        subprocess.run(command, env=environment(HOME), check=True, capture_output=True)
        done.touch()
    if home != HOME:
        # Not a copy of the file: while anybody has the database open, what is in it may still be in its log beside it.
        with closing(sqlite3.connect(first)) as source, closing(sqlite3.connect(home / "airflow.db")) as copy:
            source.backup(copy)


def enter() -> None:
    """Let this process be one of that Airflow."""
    settings = environment(HOME)
    os.environ.clear()
    os.environ.update(settings)
    atexit.register(shutil.rmtree, HOME, ignore_errors=True)


enter()
