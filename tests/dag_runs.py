"""Runs DAGs in this process with Airflow's own `dag.test()`.

Invariant: everything between a DAG's text and its task states and XComs is Airflow's: serialisation, scheduling rules, the
execution API, rendering, deferral, retries. Only the scheduler's loop, the executor and the triggerer are not there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pendulum
from airflow.sdk import DAG
from airflow.sdk.execution_time import supervisor, task_runner

_run = task_runner.run


def _run_and_tell(ti: Any, context: Any, log: Any) -> Any:
    state, message, error = _run(ti, context, log)
    if error is not None:
        context["exception"] = error
    return state, message, error


# In `dag.test()`, Airflow before 3.2 makes the execution API anew for each task, in seconds, and tells callbacks no error.
supervisor.in_process_api_server = functools.cache(supervisor.in_process_api_server)
task_runner.run = _run_and_tell


def _first_reschedule_date(ti: Any, context: Any) -> Any:
    found = _as_it_is(ti, context)
    return datetime.fromisoformat(found) if isinstance(found, str) else found


# There Airflow 3.0 answers a text, over which its own sensors stumble, too.
_as_it_is = task_runner.RuntimeTaskInstance.get_first_reschedule_date
task_runner.RuntimeTaskInstance.get_first_reschedule_date = _first_reschedule_date  # type: ignore[method-assign]


class DagRun:
    """What came of a run.

    :param run: Airflow's row of it.
    :param errors: by task id and map index, the last exception that ended the task.
    """

    def __init__(self, run: Any, errors: dict[tuple[str, int], BaseException]) -> None:
        self.state = str(run.state)
        self.errors = errors
        self._tasks = {(ti.task_id, ti.map_index): ti for ti in run.get_task_instances()}

    def state_of(self, task_id: str, map_index: int = -1) -> str:
        """Answer the state of a task instance."""
        return str(self._tasks[task_id, map_index].state)

    def tries(self, task_id: str, map_index: int = -1) -> int:
        """Answer how often it was tried."""
        return self._tasks[task_id, map_index].try_number

    def xcom(self, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Answer what it pushed; None where it pushed nothing."""
        return self._tasks[task_id, map_index].xcom_pull(task_ids=task_id, key=key, map_indexes=map_index)

    def error(self, task_id: str, map_index: int = -1) -> BaseException | None:
        """Answer the exception that ended it, as its callbacks got it."""
        return self.errors.get((task_id, map_index))


def run_dag(define: Callable[[], Any], *, dag_id: str = "dag", **arguments: Any) -> DagRun:
    """Make a DAG, let Airflow know it, and run it.

    :param define: makes its tasks.
    :param dag_id: runs of the same name come one after the other.
    :param arguments: of the DAG.
    """
    errors: dict[tuple[str, int], BaseException] = {}

    def note_error(context: Any) -> None:
        ti = context["ti"]
        errors[ti.task_id, ti.map_index if ti.map_index is not None else -1] = context["exception"]

    default_args = {
        "on_failure_callback": note_error,
        "on_retry_callback": note_error,
        "on_skipped_callback": note_error,
    }
    start = pendulum.datetime(2026, 1, 1, tz="UTC")
    with DAG(dag_id, schedule=None, start_date=start, default_args=default_args, **arguments) as dag:
        define()
    return run_whole(dag, errors=errors)


def run_whole(
    dag: DAG, conf: dict[str, Any] | None = None, errors: dict[tuple[str, int], BaseException] | None = None
) -> DagRun:
    """Let Airflow know a DAG that is made already, and run it.

    :param conf: of the run.
    :param errors: where callbacks of the DAG put what ends its tasks.
    """
    make_known(dag)
    return DagRun(dag.test(run_conf=conf), {} if errors is None else errors)


def make_known(dag: DAG) -> None:
    """Let Airflow know a DAG, as its DAG processor does."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    from tests.airflow_names import DagBag, sync_bag_to_db

    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag()
    if not getattr(dag, "relative_fileloc", None):  # Airflow 3.0 stores no DAG without
        dag.relative_fileloc = "dag.py"
    bag.bag_dag(dag)
    sync_bag_to_db(bag)
