"""How long after its end a task is noticed that VOD does not announce.

Invariants: tasks of 20 s to 1 h, as many short ones as long ones (by the logarithm of their length), all submitted at once and
each asked about once by then. In virtual time, with a real client, emulator and inbox, so seconds of the network are not in
it. The baseline is the schedule of a task that is announced, on which such a task was found before.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

from airflow_vod.inbox import InboxStore
from airflow_vod.relay.reconcile import reconcile_times
from benchmarks.bench import Bench
from benchmarks.readings import Reading, Target
from benchmarks.unannounced import wait_for

SHORTEST, LONGEST = 20.0, 3600.0  # seconds
_P95 = 10.0  # seconds
_SHARE = 20.0  # calls a second: a fifth of what the API allows an account


def measure(bench: Bench) -> Iterator[Reading]:
    """Measure each N."""
    for number in bench.pick((1, 100, 1000), (1, 100), (5,)):
        lengths = _lengths(number, bench.pick(LONGEST, LONGEST, 60.0))
        store = InboxStore.open(bench.databases.empty("sqlite"))
        noticed = wait_for(lengths, store)
        store.close()
        late, before = sorted(noticed.lateness.values()), sorted(map(_on_the_slow_schedule, lengths.items()))
        for name, share in (("p50", 0.5), ("p95", 0.95)):
            # A single wait is asked about by itself, which by then takes up to 15 s.
            target = Target(_P95) if name == "p95" and number > 1 else None
            against = "the schedule of tasks that are announced"
            yield Reading(f"N = {number:,}, {name}", _at(late, share), "s", _at(before, share), against, target)
        calls = sum(noticed.calls.values()) / noticed.seconds
        yield Reading("  calls a second", calls, "", number / 15, "each asked every 15 s", Target(_SHARE))


def _lengths(number: int, longest: float) -> dict[str, float]:
    rng = random.Random(7)
    return {f"Task-{each}": math.exp(rng.uniform(math.log(SHORTEST), math.log(longest))) for each in range(number)}


def _on_the_slow_schedule(task: tuple[str, float]) -> float:
    vod_task_id, seconds = task
    return next(at for at in reconcile_times(vod_task_id) if at >= seconds) - seconds


def _at(values: list[float], share: float) -> float:
    return values[min(int(len(values) * share), len(values) - 1)]
