"""Poke-mode sensors, each in a process of its own: ``python -m tests.acceptance.pokers NUMBER``.

Prints what each returned as a line of JSON. The processes are forks of one that has imported Airflow, which costs each little.
Invariant: nothing but imports is shared; each process reads the connection and opens the inbox for itself.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from types import SimpleNamespace
from typing import Any

from airflow_vod.sensors.vod import VodConcatSensor

ANSWER = "poker-answer "
POKE_INTERVAL = 5.0


def main(number: int) -> int:
    """Fork the processes, and wait for all of them."""
    children = []
    for index in range(number):
        child = os.fork()
        if child == 0:
            _wait_for(index)
        children.append(child)
    print(ANSWER + "ready", flush=True)
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


def _wait_for(index: int) -> None:
    status = 1
    try:
        random.seed(index)
        time.sleep(random.uniform(0, POKE_INTERVAL))  # sensors do not begin all at once
        sensor = VodConcatSensor(
            task_id=f"wait_{index}", vod_task_id=f"Concat-poked-{index}", poke_interval=POKE_INTERVAL, timeout=300
        )
        ti = SimpleNamespace(dag_id="dag", run_id="run", task_id=sensor.task_id, map_index=-1, start_date=None)
        context: Any = {"ti": ti}
        result = sensor.execute(context)
        os.write(1, (ANSWER + json.dumps([index, os.getpid(), result["vod_task_id"]]) + "\n").encode())
        status = 0
    finally:
        os._exit(status)  # what the parent would clean up is not for its children to


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
