"""What waiting costs a triggerer: memory and CPU.

Invariants: memory is the difference between few triggers and many in one process, so what is there once does not count; CPU is
watched for long enough to meet everything that is done from time to time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_vod.waiting.watch import LOOK_AGAIN
from benchmarks.baselines import INTERVAL, idle, looking
from benchmarks.bench import Bench
from benchmarks.children import Child
from benchmarks.emulation import Emulation, splices
from benchmarks.readings import Reading, Target
from benchmarks.waiting import Waiting, waits_for_task

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

_FEW = 100  # triggers: enough for everything that exists once to exist


@dataclass(frozen=True, slots=True)
class Cost:
    """What triggers cost: bytes each, percent of one core for all, seconds until all are registered."""

    memory: float
    cpu: float
    start: float


def measure(bench: Bench) -> Iterator[Reading]:
    """Measure ours, Airflow's own idle trigger, and triggers that look for themselves."""
    number = bench.pick(10_000, 10_000, 200)
    ours = _cost(bench, number, waits_for_task, bench.pick(LOOK_AGAIN, 10.0, 0.2), registered=True)
    own = _cost(bench, number, idle, bench.pick(5.0, 1.0, 0.2))
    self_looking = _cost(bench, number, looking, bench.pick(2 * INTERVAL, INTERVAL, 0.2))
    name = f"{number:,} triggers"
    idle_name, looking_name = "a trigger that awaits an asyncio.Event", f"each looks for itself every {INTERVAL:g} s"
    yield Reading(f"{name}, memory each", ours.memory / 1024, "KiB", own.memory / 1024, idle_name)
    more = (ours.memory - own.memory) / 1000
    yield Reading("  of that our own", more, "KB", self_looking.memory / 1000, looking_name, Target(6))
    yield Reading(f"{name}, CPU while idle", ours.cpu, "%", self_looking.cpu, looking_name, Target(3))
    yield Reading(f"{name}, time until all are registered", ours.start, "s")


def _cost(
    bench: Bench, number: int, make: Callable[[str], BaseTrigger], seconds: float, *, registered: bool = False
) -> Cost:
    """Start triggers and watch them idle.

    :param seconds: for how long.
    :param registered: whether these triggers are registered in the inbox.
    """
    few, rest = splices(number)[:_FEW], splices(number)[_FEW:]
    with ExitStack() as stack:
        vod = stack.enter_context(Child(Emulation, hold=bench.pick(5.0, 5.0, 0.2)))
        waiting = stack.enter_context(Child(Waiting, vod.call("connection"), bench.databases.empty("sqlite"), make))

        def start(ids: list[str], total: int) -> float:
            began = time.monotonic()
            waiting.call("start", ids)
            if registered:
                return waiting.call("settle", total) - began
            time.sleep(bench.pick(INTERVAL + 1, INTERVAL + 1, 0.2))
            return 0.0

        start(few, len(few))
        before = waiting.call("usage")
        duration = start(rest, number)
        idle_from = waiting.call("usage")
        time.sleep(seconds)
        after = waiting.call("usage")
    return Cost((idle_from.memory - before.memory) / len(rest), after.share(idle_from), duration)
