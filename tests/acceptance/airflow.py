"""An Airflow of real processes: API server, scheduler, DAG processor and triggerers over PostgreSQL, or an API server alone.

Invariant: it has its own AIRFLOW_HOME, database, port and keys, and no process of it outlives its `with`.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import MetaData, create_engine, select, text

from tests import airflow_home
from tests.acceptance.processes import ROOT, Process
from tests.airflow_fixtures import INBOX_OPTION

if TYPE_CHECKING:
    from sqlalchemy import Engine

_TERMINAL = frozenset({"success", "failed"})


class Airflow:
    """Starts and ends components by name, triggers runs, and reads what came of them.

    :param home: an empty folder.
    :param database_url: SQLAlchemy URL of an empty PostgreSQL database (psycopg), or of a SQLite file.
    :param settings: environment variables besides its own.
    """

    def __init__(self, home: Path, database_url: str, settings: Mapping[str, str]) -> None:
        self.home = home
        self.dags = home / "dags"
        self.port = _free_port()
        self.environment = airflow_home.environment(home) | self._settings(database_url) | settings
        self.processes: dict[str, Process] = {}
        self.engine = create_engine(database_url)
        self._token: str | None = None

    def _settings(self, database_url: str) -> dict[str, str]:
        base = f"http://127.0.0.1:{self.port}"
        return {
            "AIRFLOW__API__BASE_URL": base,
            "AIRFLOW__API__ENABLE_XCOM_DESERIALIZE_SUPPORT": "True",  # Airflow 3.0 refuses to show values otherwise
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__SECRET_KEY": "the-same-for-all",
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": "the-same-for-all-and-long-enough-for-its-algorithm-to-be-content-with-it",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            # A scheduler that is late takes the end of a worker that deferred for the end of the task that has gone on since,
            # and fails it (Airflow up to 3.3 at least): a wait that is tried again finds its event in the inbox.
            "AIRFLOW__CORE__DEFAULT_TASK_RETRIES": "2",
            "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{base}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database_url,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": database_url,
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
        }

    # Processes

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run ``airflow`` with these words to its end."""
        command = [sys.executable, "-m", "airflow", *words]
        done = subprocess.run(command, env=self.environment, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, f"{words}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done

    def start(self, name: str, settings: Mapping[str, str] = MappingProxyType({})) -> Process:
        """Start a component: ``api-server``, ``scheduler``, ``dag-processor`` or ``triggerer``.

        :param name: what follows a dot tells several of one kind apart, as in ``triggerer.2``.
        :param settings: environment variables for this component alone.
        """
        kind = name.partition(".")[0]
        options = ["--skip-serve-logs"] if kind in ("scheduler", "triggerer") else []
        pid_file = self.home / f"{name}.pid"
        command = [sys.executable, "-m", "airflow", kind, *options, "--pid", str(pid_file)]
        self.processes[name] = Process(command, self.environment | settings)
        return self.processes[name]

    def start_all(self, timeout: float = 120) -> None:
        """Make the database, start one of each, and wait until all are at work."""
        self.command("db", "migrate")
        for name in ("api-server", "dag-processor", "scheduler", "triggerer"):
            self.start(name)
        wanted = ("metadatabase", "scheduler", "triggerer", "dag_processor")
        self.wait(lambda: all(self.health().get(part, {}).get("status") == "healthy" for part in wanted), timeout)

    def stop(self) -> None:
        """End all processes."""
        for process in self.processes.values():
            process.kill()  # at once: nothing of this Airflow is kept
        for process in self.processes.values():
            process.end()
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait(self, condition: Callable[[], bool], timeout: float) -> None:
        """Wait until a condition holds; fails with the ends of all outputs where it does not, or where a process ended."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                ends = (f"{name}:\n{process.output[-3000:]}" for name, process in self.processes.items())
                raise AssertionError(f"not so within {timeout} s\n" + "\n\n".join(ends))
            time.sleep(0.2)

    # The API

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call Airflow's API."""
        return json.loads(self.read(path, method, body) or "null")

    def read(self, path: str, method: str = "GET", body: Any = None) -> str:
        """Read what the API server answers."""
        url = f"http://127.0.0.1:{self.port}{path}"
        headers = {"Content-Type": "application/json"}
        if path.startswith(("/api/v2/dags", "/api/v2/variables", "/tencent-vod")):
            self._token = self._token or self.call("GET", "/auth/token")["access_token"]
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read().decode()

    def health(self) -> dict[str, Any]:
        """Tell what Airflow says of its components; empty while nobody answers."""
        try:
            return self.call("GET", "/api/v2/monitor/health")
        except OSError:
            return {}

    def knows(self, dag_id: str) -> bool:
        """Say whether the DAG processor has read a DAG."""
        try:
            return bool(self.call("GET", f"/api/v2/dags/{dag_id}"))
        except urllib.error.HTTPError:
            return False

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run and return its id."""
        body = {"logical_date": None, "conf": dict(conf or {})}
        return self.call("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)["dag_run_id"]

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Tell the state of a run."""
        return self.call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["state"]

    def task_states(self, dag_id: str, run_id: str) -> dict[tuple[str, int], str]:
        """Tell the states of its task instances, by task id and map index."""
        found = self.call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return {(each["task_id"], each["map_index"]): each["state"] for each in found}

    def wait_for_task(
        self, dag_id: str, run_id: str, task_id: str, states: Collection[str], timeout: float = 120
    ) -> None:
        """Wait until a task has one of these states; fails at once if it has failed instead."""

        def is_so() -> bool:
            state = self.task_states(dag_id, run_id).get((task_id, -1))
            assert state in states or state != "failed", self.why_failed(dag_id)
            return state in states

        self.wait(is_so, timeout)

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float = 120) -> str:
        """Wait until a run has ended and return its state; prints why, where it has failed."""
        self.wait(lambda: self.run_state(dag_id, run_id) in _TERMINAL, timeout)
        state = self.run_state(dag_id, run_id)
        if state == "failed":  # pytest shows it only if the test fails
            print(self.task_states(dag_id, run_id), self.why_failed(dag_id), sep="\n")
        return state

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Read an XCom."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.call("GET", f"{path}?map_index={map_index}&deserialize=true")["value"]

    def links(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, str | None]:
        """Read the extra links of a task instance, by name."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/links?map_index={map_index}"
        return self.call("GET", path)["extra_links"]

    def set_variable(self, key: str, value: str) -> None:
        """Set a variable of Airflow."""
        self.call("POST", "/api/v2/variables", {"key": key, "value": value})

    # What it wrote

    def query(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Read its database."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement), values)]

    def triggers(self) -> list[str]:
        """Read the triggers that wait now, as Airflow stores them: class and arguments."""
        with self.engine.connect() as connection:
            return [str(row) for row in connection.execute(text("SELECT classpath, kwargs FROM trigger"))]

    def why_failed(self, dag_id: str) -> str:
        """The ends of the logs of a DAG's failed tasks, and what the scheduler said of them."""
        failed = "SELECT run_id, task_id FROM task_instance WHERE dag_id = :dag AND state = 'failed'"
        parts = []
        for run_id, task_id in self.query(failed, dag=dag_id):
            logs = [file for file in (self.home / "logs").rglob(f"*task_id={task_id}/*") if run_id in str(file)]
            parts += [f"{file}:\n{file.read_text(errors='replace')[-3000:]}" for file in logs]
            lines = self.processes["scheduler"].output.splitlines()
            parts += [line for line in lines if task_id in line and run_id in line and "DEBUG" not in line.upper()][
                -20:
            ]
        return "\n".join(parts)

    def written(self) -> str:
        """All that it has written: the outputs of its processes, its logs, and every row of its database."""
        parts = [process.output for process in self.processes.values()]
        parts += [file.read_text(errors="replace") for file in (self.home / "logs").rglob("*") if file.is_file()]
        return "\n".join([*parts, rows(self.engine)])


@contextmanager
def api_server(home: Path, inbox_url: str, settings: Mapping[str, str]) -> Iterator[Airflow]:
    """Run an Airflow that is an API server alone, over SQLite.

    :param home: an empty folder.
    :param inbox_url: SQLAlchemy URL of the inbox.
    :param settings: environment variables besides its own.
    """
    database = f"sqlite:///{home / 'airflow.db'}"
    own = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": database.replace("sqlite:", "sqlite+aiosqlite:"),
        INBOX_OPTION: inbox_url,
    }
    with Airflow(home, database, own | settings) as airflow:
        airflow_home.migrate(home)
        airflow.start("api-server")
        airflow.wait(lambda: bool(airflow.health()), 300)
        yield airflow


def rows(engine: Engine) -> str:
    """All rows of all tables of a database."""
    tables = MetaData()
    with engine.connect() as connection:
        tables.reflect(connection)
        return "\n".join(str(row) for table in tables.tables.values() for row in connection.execute(select(table)))


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
