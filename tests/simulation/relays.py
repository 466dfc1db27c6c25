"""Relays of several processes on one queue and one inbox, while everything fails now and then.

Invariants that are checked, at each step or at the end:

- nothing is confirmed before it is committed, and no event is lost: each is in the inbox, once;
- no pull starts without the lease, and never more than 100 requests of an action leave within a second;
- once the weather is calm the queue runs empty, and a relay that is told to stop leaves no thread behind.
"""

from __future__ import annotations

from random import Random
from typing import ClassVar

from airflow_vod.relay.pipeline import Pipeline
from airflow_vod.relay.steps import Relay
from airflow_vod.relay.workers import Workers
from airflow_vod.tencent.pacing import Pacer
from airflow_vod.tencent.settings import VodSettings
from tests.simulation.cloud import CALM, Client, Cloud, Weather
from tests.simulation.databases import Server, store_of
from tests.simulation.world import BrokenError, Line, Process, World

SETTINGS = VodSettings(secret_id="AKIDone", secret_key="secret-of-one", sub_app_id=1500012345)
STORM = 40.0  # virtual seconds for which things fail
AFTERWARDS = 120.0  # within which everything must be in order again
SKEW = 3.0  # seconds by which somebody sets the clock of the database


class RelayProcess(Process):
    """A process that relays, as a triggerer or a worker does.

    :param drill: of which it is a part.
    :param name: for the trace.
    """

    def __init__(self, drill: Drill, name: str) -> None:
        super().__init__(drill.world, name)
        world, rng = drill.world, Random(drill.world.rng.random())
        self._drill = drill
        client = Client(self, drill.cloud, drill.settings)
        store = store_of(drill.server, self, drill.cloud.weather)
        self.relay = Relay(
            client,
            store,
            clock=self.monotonic,
            wall_clock=world.time,
            rng=rng,
            retention=None,
        )
        self.relay.pull_pacer = Pacer(clock=self.monotonic, sleep=world.sleep, line=Line(world))
        self.relay.holder = f"{name}:1:{rng.randrange(2**32):08x}"
        passes_by = rng.random() < 0.3
        self.pipeline = Pipeline(self.relay, workers=Workers(name, self), passes_by=lambda: passes_by)
        self.ended: BaseException | None = None
        self.start(self._run, f"{name} pipeline")

    def _run(self) -> None:
        from airflow_vod.exceptions import VodApiError

        try:
            self.pipeline.run()
        except VodApiError as error:  # as a watch that ends with its error
            self.ended = error
            self.world.note(f"{self.name} ends: {error.code}")

    def may_pull(self) -> None:
        """A pull that starts now must be allowed by the lease in the database."""
        lease = self._drill.server.store.leases.read(self._drill.settings.queue)
        mine = lease is not None and lease.holder == self.relay.holder and not lease.expired
        if not mine and not self._drill.clock_was_set:
            raise BrokenError(f"{self.name} pulls without the lease")


class Drill:
    """One run.

    :param seed: decides everything.
    :param server: the database, in which nobody else is at work.
    """

    scenario: ClassVar[str] = "relays"
    settings: ClassVar[VodSettings] = SETTINGS
    afterwards: ClassVar[float] = AFTERWARDS

    def __init__(self, seed: int, server: Server) -> None:
        self.world = World(seed, self.scenario)
        self.server = server
        self.clock_was_set = False
        rng = self.world.rng
        self.cloud = Cloud(self.world, weather_of(rng))
        self.cloud.is_committed = server.holds
        self.cloud.may_pull = lambda process: process.may_pull()  # type: ignore[attr-defined]
        server.begin(self.world)
        self.relays = [RelayProcess(self, f"relay{number}") for number in range(rng.randint(1, 3))]
        self._plan(rng)

    def _plan(self, rng: Random) -> None:
        world = self.world
        for _ in range(rng.choice((3, 20, 60))):
            world.at(rng.triangular(0, STORM, 0), self._publish)
        for _ in range(rng.randint(0, 4)):
            world.at(rng.uniform(0, STORM), lambda: self._replace(rng))
        for _ in range(rng.randint(0, 4)):
            world.at(rng.uniform(0, STORM), lambda: self._pick(rng).freeze(rng.uniform(0.1, 20)))
        for _ in range(rng.choice((0, 0, 1))):
            world.at(rng.uniform(0, STORM), lambda: self._set_clock(rng))
        for _ in range(rng.choice((0, 0, 2))):
            world.at(rng.uniform(0, STORM), lambda: self._pick(rng).pipeline.stop())
        world.at(STORM, self._calm_down)

    def _publish(self) -> None:
        self.cloud.publish()

    def _pick(self, rng: Random) -> RelayProcess:
        return rng.choice([each for each in self.relays if each.alive])

    def _replace(self, rng: Random) -> None:
        self._pick(rng).kill()
        self.relays.append(RelayProcess(self, f"relay{len(self.relays)}"))

    def _set_clock(self, rng: Random) -> None:
        self.server.skew += rng.uniform(-SKEW, SKEW)
        self.clock_was_set = True
        self.world.note(f"the clock of the database is set by {self.server.skew:.1f} s")

    def _calm_down(self) -> None:
        self.world.note("calm")
        vars(self.cloud.weather).update(vars(CALM))
        if all(not each.alive or each.ended or each.pipeline._stopping for each in self.relays):
            self.relays.append(RelayProcess(self, f"relay{len(self.relays)}"))

    def run(self) -> World:
        """Run it to its end and check what must hold.

        :raises BrokenError: something does not.
        """
        self.world.run(STORM + self.afterwards, done=lambda: self.world.now > STORM + 1 and self._all_over())
        if not self._all_over():
            raise self.world.broken(BrokenError(f"not over: {self.cloud.queue.counts()}"))
        self._stop()
        self._check_inbox()
        return self.world

    def _all_over(self) -> bool:
        counts = self.cloud.queue.counts()
        return counts.visible == counts.hidden == 0 and counts.published == len(self.cloud.published)

    def _stop(self) -> None:
        for process in self.relays:
            process.pipeline.stop()
        self.world.run(self.world.now + 60, done=lambda: not any(each.left() for each in self.relays))
        left = [name for process in self.relays for name in process.left()]
        if left:
            raise self.world.broken(BrokenError(f"threads are left: {left}"))

    def _check_inbox(self) -> None:
        stored = self.server.vod_task_ids()
        if sorted(stored) != sorted(self.cloud.published):
            twice = {each for each in stored if stored.count(each) > 1}
            lost = set(self.cloud.published) - set(stored)
            raise self.world.broken(BrokenError(f"lost {sorted(lost)}, twice {sorted(twice)}"))


def weather_of(rng: Random) -> Weather:
    """Draw how bad things are: in one of four worlds nothing fails, so that a fault of the rest cannot hide."""
    if rng.random() < 0.25:
        return Weather(rtt=rng.choice((0.005, 0.02, 0.2)))
    return Weather(
        request_lost=rng.choice((0.0, 0.05)),
        request_late=rng.choice((0.0, 0.0, 0.03)),
        doubled=rng.choice((0.0, 0.0, 0.03)),
        not_sent=rng.choice((0.0, 0.0, 0.03)),
        answer_lost=rng.choice((0.0, 0.05)),
        answer_late=rng.choice((0.0, 0.05)),
        throttled=rng.choice((0.0, 0.05)),
        refused=rng.choice((0.0, 0.0, 0.03)),
        before_commit=rng.choice((0.0, 0.04, 0.3)),
        after_commit=rng.choice((0.0, 0.04)),
        rtt=rng.choice((0.005, 0.02, 0.2)),
        slow=rng.choice((0.0, 0.05)),
    )
