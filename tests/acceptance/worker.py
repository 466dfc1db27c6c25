"""A process that runs sensors when it is told to: ``python -m tests.acceptance.worker``.

Reads lines of JSON, each with the environment and the arguments of a sensor, and answers each with what came of its DAG run.
Invariant: between two sensors nothing is kept but what any Airflow process keeps, its imports.
"""

from __future__ import annotations

import json
import os
import sys

from airflow.providers.standard.operators.empty import EmptyOperator

from airflow_vod.hooks.config import inbox_url, open_inbox
from airflow_vod.sensors.vod import VodConcatSensor
from airflow_vod.waiting import watch as waiters
from tests.dag_runs import run_dag

ANSWER = "worker-answer "


def main() -> None:
    """Answer until the input ends."""
    run_dag(lambda: EmptyOperator(task_id="wait"))  # loads what the first run of a process loads, some seconds' worth
    print(ANSWER + "ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        os.environ.update(order["environment"])
        run = run_dag(lambda arguments=order["sensor"]: VodConcatSensor(task_id="wait", **arguments))
        for watch in waiters.watches():
            watch.end()
            watch.join()
        open_inbox(inbox_url()).close()
        open_inbox.cache_clear()
        answer = {"state": run.state, "xcom": run.xcom("wait"), "error": repr(run.error("wait"))}
        print(ANSWER + json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
