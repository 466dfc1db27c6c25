"""How long N sensors on one queue take until all are done, and with how many calls.

Invariants: ours are real triggers against a real server; the baseline runs on the same emulator's queue with the same
visibility timeout, but by a clock that is turned by hand.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.children import Child
from benchmarks.emulation import Emulation, splices
from benchmarks.peers import Peers
from benchmarks.readings import Reading
from benchmarks.waiting import Waiting

RTT = 0.02  # seconds
HOLD = 1.0  # seconds; shorter than VOD's, because the end of a run waits for the poll that is open
_AGAINST = "each sensor pulls for itself, as SqsSensor does (simulated clock)"


def measure(bench: Bench) -> Iterator[Reading]:
    """Measure each N."""
    for number in bench.pick((10, 100, 1000), (10, 100), (10,)):
        seconds, calls = _ours(bench, number)
        peers = Peers(number, RTT)
        peers.publish_all()
        peers_seconds = peers.run_to_end()
        yield Reading(f"N = {number:,}, time until all are done", seconds, "s", peers_seconds, _AGAINST)
        yield Reading("  calls of PullEvents and ConfirmEvents", calls, "", peers.calls, _AGAINST)


def _ours(bench: Bench, number: int) -> tuple[float, int]:
    ids = splices(number)
    with (
        Child(Emulation, rtt=RTT, hold=HOLD) as vod,
        Child(Waiting, vod.call("connection"), bench.databases.empty("sqlite")) as waiting,
    ):
        waiting.call("start", ids)
        waiting.call("settle", number)
        before = len(vod.call("calls"))
        published = vod.call("publish", ids)
        ended = max(waiting.call("ends", number).values())
        vod.call("empty")  # the last confirm may still be on its way
        return ended - published, len(vod.call("calls")) - before
