"""``make outages``: PostgreSQL, two relays, 500 waiting triggers and 1,000 events a second, while something goes out.

Prints a table; fails where an event or a wait is lost or doubled, or where the throughput is not back within a minute.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
from sqlalchemy import select

from airflow_vod.inbox import InboxStore
from airflow_vod.inbox.tables import vod_event
from benchmarks.bench import CONNECTION, INBOX, airflow_home
from benchmarks.children import Child
from benchmarks.emulation import SUB_APP_ID, Emulation, splices
from tests.acceptance.processes import Process
from tests.databases import PostgreSQLServer, postgresql_server
from tests.outages.outage import OUTAGES, Figures, Stage, figures_of
from tests.outages.triggers import Triggers

RATE = 1000  # events/s
WAITS = 500  # triggers at a time
EACH = 10  # one of so many events is waited for
WARM_UP = 20.0  # seconds before the outage
AFTER = 75.0  # seconds for which events go on after it has begun
RTT = 0.02  # seconds
PATIENCE = 120.0  # seconds for what is still on its way when the last event was published


class Relays:
    """Processes ``airflow-vod relay run`` of one queue; as many are there at any time.

    :param store: the inbox.
    :param queue: its name.
    :param number: how many.
    """

    def __init__(self, store: InboxStore, queue: str, number: int = 2) -> None:
        self._store, self._queue = store, queue
        self._processes = [self._start() for _ in range(number)]

    @staticmethod
    def _start() -> Process:
        return Process([str(Path(sys.executable).with_name("airflow-vod")), "relay", "run"], os.environ)

    def holder(self) -> Process | None:
        """Find the one that pulls."""
        lease = self._store.leases.read(self._queue)
        pid = int(lease.holder.split(":")[1]) if lease and not lease.expired else None
        return next((each for each in self._processes if each.pid == pid), None)

    def kill_holder(self) -> None:
        """Kill the one that pulls, as soon as one does, and start another."""
        while (victim := self.holder()) is None:
            time.sleep(0.05)
        victim.kill()
        victim.end()
        self._processes[self._processes.index(victim)] = self._start()

    def stop(self) -> None:
        """Let all end by themselves."""
        for each in self._processes:
            each.end(grace=30)


def freeze(server: PostgreSQLServer, seconds: float) -> None:
    """Stop every process of a server for some seconds, those that it starts meanwhile included."""
    postmaster = psutil.Process(server.pid)
    postmaster.send_signal(signal.SIGSTOP)  # so that it starts no more
    stopped = postmaster.children(recursive=True)
    for each in stopped:
        each.suspend()
    time.sleep(seconds)
    for each in (*stopped, postmaster):
        each.resume()


def run(name: str, server: PostgreSQLServer, rate: float) -> Figures:
    """Let one outage happen."""
    url = server.empty()
    store = InboxStore.open(url)
    ids = splices(int(rate * (WARM_UP + AFTER)), f"Concat-{len(name)}")
    waited = ids[::EACH]
    with contextlib.ExitStack() as stack:
        stack.callback(store.close)
        vod = stack.enter_context(Child(Emulation, rtt=RTT))
        connection = vod.call("connection")
        os.environ |= {CONNECTION: connection, INBOX: url}
        queue = f"{vod.call('endpoint')[0].rpartition('/')[2]}/{SUB_APP_ID}"
        relays = Relays(store, queue)
        stack.callback(relays.stop)
        triggers = stack.enter_context(Child(Triggers, connection, url))
        triggers.call("keep", waited, WAITS)
        while relays.holder() is None:
            time.sleep(0.1)
        offset = time.time() - time.monotonic()
        vod.begin("offer", ids, rate)
        time.sleep(WARM_UP)
        began = time.time()
        OUTAGES[name](
            Stage(
                relays.kill_holder,
                server.restart,
                lambda: server.cut_connections(url),
                lambda seconds: freeze(server, seconds),
            )
        )
        over = time.time()
        published = {vod_task_id: at + offset for vod_task_id, at in zip(ids, vod.end(), strict=True)}
        ends = triggers.call("all_ends", len(waited), PATIENCE)
        with contextlib.suppress(Exception):  # what is missing is counted
            vod.call("empty", PATIENCE)
        return figures_of(name, (began, over), published, _rows(store), waited, ends)


def _rows(store: InboxStore) -> list[tuple[str, float]]:
    with store._database.read() as connection:
        rows = connection.execute(select(vod_event.c.vod_task_id, vod_event.c.received_at)).all()
    return [(vod_task_id, received_at) for vod_task_id, received_at in rows]


def report(done: Sequence[Figures], rate: float) -> None:
    """Print the table."""
    print(f"PostgreSQL, 2 relays, {WAITS} waiting triggers, {rate:g} events/s, round trip {1000 * RTT:.0f} ms\n")
    print(
        "| outage | events | before, events/s | nothing stored for | 98 % again after | caught up after | longest wait |",
        end="",
    )
    print(" lost | twice |\n|---|---|---|---|---|---|---|---|---|")
    for each in done:
        back = "never" if each.back is None else f"{each.back:.1f} s"
        print(
            f"| {each.name} | {each.events:,} | {each.before:,.0f} | {each.gap:.1f} s | {back} "
            f"| {each.caught_up:.0f} s | {each.longest:.0f} s | {each.lost} | {each.twice} |"
        )


def main() -> int:
    """Let all outages happen, one after the other."""
    parser = argparse.ArgumentParser(prog="make outages", description=__doc__)
    parser.add_argument("--only", default="", help="outages that have this in their name")
    parser.add_argument("--rate", type=float, default=RATE, help="events per second")
    given = parser.parse_args()
    with airflow_home():
        done = []
        for name in [name for name in OUTAGES if given.only in name]:
            with postgresql_server() as server:
                done.append(run(name, server, given.rate))
                print(done[-1], file=sys.stderr, flush=True)
    report(done, given.rate)
    return 0 if all(each.good for each in done) else 1


if __name__ == "__main__":
    sys.exit(main())
