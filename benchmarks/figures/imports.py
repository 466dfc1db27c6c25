"""What an import costs, in time and memory, on top of what every Airflow worker has imported already.

Invariant: each import is measured in fresh processes that have imported the same before; the median counts.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.bench import Bench
from benchmarks.readings import Reading, Target

_SDK = "tencentcloud.vod.v20180717.vod_client"
_TARGETS: dict[str, tuple[Target | None, Target | None]] = {  # of time in ms and of memory in MB
    "airflow_vod.sensors.vod": (Target(30), Target(3)),  # what a DAG file imports
    "airflow_vod.tencent.client": (None, None),  # what a task imports
}
_SCRIPT = """
import gc, sys, time
import psutil
from airflow.sdk import DAG, BaseHook, BaseSensorOperator
process = psutil.Process()
gc.collect()
memory, began = process.memory_info().rss, time.perf_counter()
__import__(sys.argv[1])
print(time.perf_counter() - began, process.memory_info().rss - memory)
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds and bytes."""

    seconds: float
    memory: float


def measure(bench: Bench) -> Iterator[Reading]:
    """Measure what DAG files import, and what tasks do."""
    times = bench.pick(5, 3, 1)
    if not bench.least:
        for module in (_SDK, *_TARGETS):
            _import(module)  # so that its bytecode is cached
    sdk = _cost(_SDK, times)
    against = "the SDK's generated client"
    for module, targets in _TARGETS.items():
        cost = _cost(module, times)
        yield Reading(f"{module}, time", 1e3 * cost.seconds, "ms", 1e3 * sdk.seconds, against, targets[0])
        yield Reading("  memory", cost.memory / 1e6, "MB", sdk.memory / 1e6, against, targets[1])
        yield Reading("  times cheaper, in time", sdk.seconds / cost.seconds, "")
        yield Reading("  times cheaper, in memory", sdk.memory / max(cost.memory, 1), "")


def _cost(module: str, times: int) -> Cost:
    costs = [_import(module) for _ in range(times)]
    return Cost(statistics.median(each.seconds for each in costs), statistics.median(each.memory for each in costs))


def _import(module: str) -> Cost:
    command = [sys.executable, "-c", _SCRIPT, module]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds, memory = output.split()[-2:]
    return Cost(float(seconds), float(memory))
