"""How many calls it takes to wait while nothing happens.

Invariant: all actions count, and the rate is taken between the first and the last call of the time that was watched, so it does
not depend on where that time begins. It begins with the wait: only later does the slow schedule of
`airflow_vod.relay.reconcile` add calls, at most `CALLS_PER_SECOND`, however many wait.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.children import Child
from benchmarks.emulation import Emulation, splices
from benchmarks.peers import Peers
from benchmarks.readings import Reading, Target
from benchmarks.waiting import Waiting

RTT = 0.02  # seconds
ONE_POLL = 12.0  # calls per minute: a single long poll of 5 s, again and again
_MINUTE = 60.0  # simulated seconds


def measure(bench: Bench) -> Iterator[Reading]:
    """Measure each N."""
    for number in bench.pick((1, 1000, 10_000), (1, 1000), (1,)):
        peers = Peers(number, RTT)
        peers.run(_MINUTE)
        yield Reading(
            f"N = {number:,}, calls per minute",
            _ours(bench, number),
            "",
            peers.calls,
            "each sensor pulls for itself, as SqsSensor does (simulated clock)",
            Target(ONE_POLL * 1.02),
        )


def _ours(bench: Bench, number: int) -> float:
    hold = bench.pick(5.0, 5.0, 0.2)
    with (
        Child(Emulation, rtt=RTT, hold=hold) as vod,
        Child(Waiting, vod.call("connection"), bench.databases.empty("sqlite")) as waiting,
    ):
        waiting.call("start", splices(number))
        waiting.call("settle", number)
        before = len(vod.call("calls"))
        time.sleep(bench.pick(21.0, 11.0, 0.7))
        times = [at for _, at in vod.call("calls")[before:]]
        return 60 * (len(times) - 1) / (times[-1] - times[0])
