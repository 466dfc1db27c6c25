"""How fast a relay empties a queue, and how much of a core that takes.

Invariant: emulator and relay run in processes of their own, the emulator refuses what is beyond the API's rate limit, and
only events that are confirmed count. The rate is the one that is sustained: from the end of the first second, in which a relay
finds out how much there is to pull, until the last event is confirmed; the rate from the first pull on stands below it.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import event

from airflow_vod.inbox import InboxStore
from airflow_vod.relay.leadership import LEASE_RENEWAL
from airflow_vod.relay.pipeline import Pipeline, run_in_thread
from airflow_vod.relay.steps import Relay
from airflow_vod.tencent.client import VodClient
from airflow_vod.tencent.settings import VodSettings
from benchmarks.bench import Bench
from benchmarks.children import Child, Usage
from benchmarks.databases import KINDS
from benchmarks.emulation import SUB_APP_ID, Emulation, splices
from benchmarks.readings import Reading, Target

CEILING = 1600  # events/s: 100 pulls/s of 16 events
SLOW_COMMIT = 0.1  # seconds
HOLD = 0.5  # seconds; shorter than VOD's, because the end of a run waits for the polls that are open
_PATIENCE = 120.0  # seconds
_SHARES = {1: 0.95, 20: 0.95, 50: 0.95, 200: 0.90}  # round trip in ms -> share of the ceiling that must be reached


@dataclass(frozen=True, slots=True)
class Run:
    """One run: events per second, sustained and from the first pull on, and CPU in percent of one core."""

    rate: float
    whole: float
    cpu: float


class Relaying:
    """A relay, for `Child`.

    :param api: endpoint, SecretId and secret key.
    :param url: of the inbox.
    :param commit: seconds that each commit takes longer.
    """

    def __init__(self, api: tuple[str, str, str], url: str, commit: float = 0.0) -> None:
        endpoint, secret_id, secret_key = api
        settings = VodSettings(secret_id, secret_key, sub_app_id=SUB_APP_ID, endpoint=endpoint)
        self._client, self._store = VodClient(settings), InboxStore.open(url)
        if commit:
            event.listen(self._store._database.engine, "commit", lambda _: time.sleep(commit))
        self._relay = Relay(self._client, self._store)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._store.close()

    def pipelined(self, events: int, warm_up: float) -> Run:
        """Relay until so many events are confirmed."""
        pipeline, ends = Pipeline(self._relay), list[Any]()
        before = Usage.now()
        warm, warm_events = before, 0
        thread = run_in_thread(pipeline, ends.append)
        while self._relay.summary.confirmed < events and not ends:
            if time.monotonic() - before.at > _PATIENCE:
                break
            time.sleep(0.005)
            if warm is before and time.monotonic() - before.at >= warm_up:
                warm, warm_events = Usage.now(), self._relay.summary.confirmed
        run = self._run(before, warm, warm_events)
        pipeline.stop()
        thread.join()
        if ends != [None] or self._relay.summary.confirmed < events:
            raise RuntimeError(f"the relay ended with {ends}, having done: {self._relay.summary}")
        return run

    def in_turn(self, events: int, seconds: float = _PATIENCE) -> Run:
        """Pull, receive and confirm in turn until so many events are confirmed or the time is over."""
        before, renew_at = Usage.now(), 0.0

        def done() -> bool:
            return self._relay.summary.confirmed >= events or time.monotonic() - before.at >= seconds

        while not done():
            if time.monotonic() >= renew_at:  # or a process that waits would take over
                self._relay.acquire_lease()
                renew_at = time.monotonic() + LEASE_RENEWAL
            self._relay.pull_pacer.wait()
            confirmable = self._relay.receive(self._relay.pull())
            self._relay.count_confirm(len(confirmable), self._relay.confirm(confirmable))
        return self._run(before, before, 0)

    def _run(self, before: Usage, warm: Usage, warm_events: int) -> Run:
        after, events = Usage.now(), self._relay.summary.confirmed
        sustained = (events - warm_events) / (after.at - warm.at)
        return Run(sustained, events / (after.at - before.at), after.share(warm))


def measure(bench: Bench) -> Iterator[Reading]:
    """Measure each round trip on each database, with fast commits and, for two of the round trips, with slow ones."""
    round_trips = bench.pick((1, 20, 50, 200), (20, 200), (20,))
    slow_round_trips = bench.pick((20, 200), (20, 200), ())
    kinds = bench.pick(tuple(KINDS), tuple(KINDS), ("sqlite",))
    cases = [
        *itertools.product((0.0,), kinds, round_trips),
        *itertools.product((SLOW_COMMIT,), kinds, slow_round_trips),
    ]
    for commit, kind, rtt in cases:
        ours, baseline = _pair(bench, kind, rtt, commit)
        slow = f", commits {1000 * commit:.0f} ms slower" if commit else ""
        case = f"{KINDS[kind]}, round trip {rtt} ms{slow}"
        against = "one pull at a time"
        yield Reading(case, ours.rate, "/s", baseline.rate, against, Target(_SHARES[rtt] * CEILING, at_least=True))
        yield Reading("  from the first pull on", ours.whole, "/s", baseline.whole, against)
        yield Reading("  CPU of the relay", ours.cpu, "%", baseline.cpu, against, Target(50))


def _pair(bench: Bench, kind: str, rtt: int, commit: float) -> tuple[Run, Run]:
    """Let two relays drain alike queues: ours to its end, the baseline for a shorter time."""
    events, brief = int(CEILING * bench.pick(10.0, 4.0, 0.2)), bench.pick(3.0, 2.0, 0.2)
    runs = []
    for method, args in (("pipelined", (events, bench.pick(1.0, 1.0, 0.0))), ("in_turn", (events, brief))):
        with Child(Emulation, rtt=rtt / 1000, hold=HOLD) as vod:
            api = vod.call("endpoint")
            with Child(Relaying, api, bench.databases.empty(kind), commit) as relaying:
                vod.call("publish", splices(events))
                runs.append(relaying.call(method, *args))
    return runs[0], runs[1]
