"""A worker: sensors that are executed as Airflow does it, each in a process of its own; a program, never imported.

Invariants: it uses nothing but what every version of the package has, and nothing of these benchmarks, so that an earlier
version can be measured beside this one: which one counts is for ``PYTHONPATH`` to say. A process that executes one of several
sensors is the fork of one that had imported Airflow, and ends as Airflow's do: what was registered for its exit runs, and then
it is gone, without the second that it takes to tear down an interpreter with all of Airflow in it.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import sys
import threading
import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import psutil


def main(orders: list[dict[str, Any]]) -> None:
    """Execute sensors, and print what became of each: one line when it begins, one when it is over.

    :param orders: for each sensor its number, ``sensor`` (arguments) and ``connection``; a single one is executed in this
        very process, several in children, again and again while they are rescheduled.
    """
    import airflow.sdk  # noqa: F401
    from airflow.providers.common.compat import sdk  # noqa: F401

    if len(orders) == 1:
        _tell(_execute(orders[0], None))
        return
    for order in orders:
        if not os.fork():
            _follow(order)
            os._exit(0)
    for _ in orders:
        os.wait()


def _follow(order: dict[str, Any]) -> None:
    """Execute one sensor until it has succeeded, each time in a process of its own."""
    began = datetime.now(UTC)
    while True:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            atexit._clear()  # what the parent registered
            os.close(reading)
            with os.fdopen(writing, "w") as pipe:
                json.dump(_execute(order, began), pipe)
            atexit._run_exitfuncs()
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            text = pipe.read()
        os.waitpid(child, 0)
        gone_at = time.monotonic()
        report = json.loads(text)
        if report["again_at"] is None:
            _tell(report | {"gone_at": gone_at})
            return
        time.sleep(max(report["again_at"] - time.time(), 0.0))


def _execute(order: dict[str, Any], began: datetime | None) -> dict[str, Any]:
    """Execute a sensor once.

    :param began: when it was executed for the first time; None for now.
    :return: what it took; ``again_at`` is None unless it is rescheduled.
    """
    os.environ["AIRFLOW_CONN_VOD_DEFAULT"] = order["connection"]
    import airflow_vod
    from airflow_vod.sensors.vod import VodConcatSensor

    try:
        from airflow.sdk.exceptions import AirflowRescheduleException
    except ImportError:
        from airflow.exceptions import AirflowRescheduleException

    sensor = VodConcatSensor(task_id="wait", **order["sensor"])
    ti: Any = SimpleNamespace(
        dag_id="bench",
        run_id=f"run-{order['number']}",
        task_id="wait",
        map_index=-1,
        start_date=None,
        get_first_reschedule_date=lambda context: began,
        xcom_push=lambda **values: None,
    )
    gc.collect()
    package, memory = os.path.dirname(airflow_vod.__file__), psutil.Process().memory_info().rss
    _tell({"number": order["number"], "package": package, "memory": memory})
    threads, cpu = threading.active_count(), time.process_time()
    again_at, error = None, None
    try:
        sensor.execute({"ti": ti})
    except AirflowRescheduleException as again:
        again_at = again.reschedule_date.timestamp()
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
    ended_at = time.monotonic()
    return {
        "number": order["number"],
        "again_at": again_at,
        "error": error,
        "ended_at": ended_at,
        "threads": threading.active_count() - threads,
        "cpu": time.process_time() - cpu,
    }


def _tell(what: dict[str, Any]) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")  # at once, and one line of one process at a time


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
