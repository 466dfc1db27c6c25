"""How soon a waiting task learns of its event.

Invariants: the time runs from the emulator's publishing until the trigger's event is in hand; two processes wait, each for
every other event, so one of them learns through the inbox alone; events are offered at the same pace, whoever relays them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.bench import Bench
from benchmarks.children import Child
from benchmarks.databases import KINDS
from benchmarks.emulation import Emulation, splices
from benchmarks.figures.drain import Relaying
from benchmarks.readings import Reading, Target
from benchmarks.waiting import Waiting

RATE = 1200  # events/s offered
RTT = 0.02  # seconds
HOLD = 1.0  # seconds; shorter than VOD's, because the end of a run waits for the poll that is open
_TARGETS = {  # seconds
    "sqlite": {"relay": (0.05, 0.15), "other": (None, 1.2)},
    "postgresql": {"relay": (0.05, 0.15), "other": (None, 0.3)},
}
_WHERE = {"relay": "in the relay's process", "other": "in another process"}


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds from publish to trigger event."""

    p50: float
    p99: float

    @classmethod
    def of(cls, published: Mapping[str, float], ended: Mapping[str, float]) -> Delays:
        """:return: of those that ended."""
        percentiles = statistics.quantiles((end - published[each] for each, end in ended.items()), n=100)
        return cls(percentiles[49], percentiles[98])


def measure(bench: Bench) -> Iterator[Reading]:
    """Measure both processes on each database."""
    kinds = bench.pick(tuple(KINDS), tuple(KINDS), ("sqlite",))
    for kind in kinds:
        ours = _ours(bench, kind)
        baseline = _in_turn(bench, kind)
        for where, delays in ours.items():
            for name in ("p50", "p99"):
                limit = _TARGETS[kind][where][("p50", "p99").index(name)]
                yield Reading(
                    f"{KINDS[kind]}, {_WHERE[where]}, {name}",
                    1000 * getattr(delays, name),
                    "ms",
                    1000 * getattr(baseline, name),
                    "a relay that pulls once at a time (it falls behind)",
                    None if limit is None else Target(1000 * limit),
                )


def _ours(bench: Bench, kind: str) -> dict[str, Delays]:
    ids = splices(int(RATE * bench.pick(8.0, 3.0, 0.2)))
    halves = {"relay": ids[::2], "other": ids[1::2]}
    inbox = bench.databases.empty(kind)
    with ExitStack() as stack:
        vod = stack.enter_context(Child(Emulation, rtt=RTT, hold=HOLD))
        waiting = {}
        for where, some in halves.items():  # who comes first has the lease
            waiting[where] = stack.enter_context(Child(Waiting, vod.call("connection"), inbox))
            waiting[where].call("start", some)
            waiting[where].call("settle", sum(len(halves[each]) for each in waiting))
        published = _offer(vod, ids)
        return {where: Delays.of(published, child.call("ends", len(halves[where]))) for where, child in waiting.items()}


def _in_turn(bench: Bench, kind: str) -> Delays:
    """Let the events be relayed by one pull at a time, in a process where nobody waits."""
    seconds = bench.pick(4.0, 2.0, 0.2)
    ids = splices(int(RATE * seconds))
    inbox = bench.databases.empty(kind)
    with ExitStack() as stack:
        vod = stack.enter_context(Child(Emulation, rtt=RTT, hold=HOLD))
        relaying = stack.enter_context(Child(Relaying, vod.call("endpoint"), inbox))
        relaying.begin("in_turn", len(ids))
        time.sleep(0.5)  # it takes the lease meanwhile, and the pull is open
        waiting = stack.enter_context(Child(Waiting, vod.call("connection"), inbox))
        waiting.call("start", ids)
        waiting.call("settle", len(ids))
        return Delays.of(_offer(vod, ids), waiting.call("ends", len(ids)))


def _offer(vod: Child, ids: Sequence[str]) -> dict[str, float]:
    return dict(zip(ids, vod.call("offer", ids, RATE), strict=True))
