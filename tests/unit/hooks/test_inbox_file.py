"""An inbox in a file is named as wrong where Airflow runs tasks elsewhere, and nowhere else."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from airflow_vod.hooks.inbox_file import inbox_file_problem, problem_of
from tests.airflow_fixtures import INBOX_OPTION

FILE = "sqlite:////var/lib/airflow/vod_inbox.db"
EXECUTOR = "AIRFLOW__CORE__EXECUTOR"


@pytest.mark.parametrize(
    ("executor", "remote"),
    [
        ("CeleryExecutor", "CeleryExecutor"),
        ("LocalExecutor,KubernetesExecutor", "KubernetesExecutor"),
        ("LocalExecutor, near:airflow.providers.edge3.executors.edge_executor.EdgeExecutor", "EdgeExecutor"),
        ("fast:LocalExecutor,slow:CeleryExecutor", "CeleryExecutor"),
        ("my.own.module.that.is.not.there.Executor", "Executor"),
        ("CeleryExecutor,KubernetesExecutor", "CeleryExecutor and KubernetesExecutor"),
        ("=CeleryExecutor", "CeleryExecutor"),
    ],
)
def test_a_file_and_executors_elsewhere(monkeypatch: pytest.MonkeyPatch, executor: str, remote: str) -> None:
    """One of several is enough; the message names it, the file and the remedy."""
    monkeypatch.setenv(EXECUTOR, executor)
    problem = problem_of(FILE) or ""
    assert f"runs tasks with {remote}, on other machines" in problem
    assert "/var/lib/airflow/vod_inbox.db" in problem
    assert "inbox_sql_alchemy_conn" in problem


@pytest.mark.parametrize(
    "executor",
    [
        "LocalExecutor",
        "airflow.executors.local_executor.LocalExecutor",
        "here:airflow.executors.local_executor.LocalExecutor",
        "LocalExecutor;team1=CeleryExecutor",  # without [core] multi_team Airflow ignores it
    ],
)
def test_a_file_and_executors_here(monkeypatch: pytest.MonkeyPatch, executor: str) -> None:
    """Where all of Airflow runs on one machine, a file is right, and nothing is said."""
    monkeypatch.setenv(EXECUTOR, executor)
    assert problem_of(FILE) is None
    monkeypatch.setenv(INBOX_OPTION, FILE)
    assert inbox_file_problem() is None


def test_executors_of_teams(monkeypatch: pytest.MonkeyPatch) -> None:
    """With teams, those of all teams count."""
    monkeypatch.setenv(EXECUTOR, "LocalExecutor;team1=LocalExecutor,CeleryExecutor")
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
    assert "CeleryExecutor" in (problem_of(FILE) or "")


@pytest.mark.parametrize("is_local", [True, False])
def test_an_executor_of_ones_own(monkeypatch: pytest.MonkeyPatch, is_local: bool) -> None:
    """It says itself where it runs tasks, by Airflow's own attribute."""
    module = ModuleType("our_executors")
    module.Ours = type("Ours", (), {"is_local": is_local})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "our_executors", module)
    monkeypatch.setenv(EXECUTOR, "our_executors.Ours")
    assert (problem_of(FILE) is None) == is_local


def test_a_pod_whose_configuration_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pod of the Kubernetes executor the option may say LocalExecutor; Airflow marks such pods."""
    monkeypatch.setenv(EXECUTOR, "LocalExecutor")
    monkeypatch.setenv("AIRFLOW_IS_K8S_EXECUTOR_POD", "True")
    assert "KubernetesExecutor" in (problem_of(FILE) or "")


@pytest.mark.parametrize(
    "url", ["sqlite:///vod_inbox.db", "sqlite+pysqlite:///data/inbox.db", "sqlite:///file:i.db?uri=true"]
)
def test_a_relative_path(url: str) -> None:
    """It is another file for each process, whatever runs the tasks."""
    assert "a relative path" in (problem_of(url) or "")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"])
def test_a_database_in_memory(url: str) -> None:
    """Each process has one of its own."""
    assert "in memory" in (problem_of(url) or "")


@pytest.mark.parametrize("url", ["postgresql+psycopg://u:p@h/inbox", "mysql+pymysql://u:p@h/inbox", "nonsense"])
def test_a_server(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A database of all machines is right; what is no URL is told by who opens it."""
    monkeypatch.setenv(EXECUTOR, "CeleryExecutor")
    assert problem_of(url) is None


def test_a_url_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told by who opens the inbox, once."""
    monkeypatch.setenv(f"{INBOX_OPTION}_CMD", "false")
    assert inbox_file_problem() is None
