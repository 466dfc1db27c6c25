"""How it is done today: every sensor pulls for itself, keeps its own match, and confirms only that.

So works the SqsSensor of Airflow's amazon provider: what a pull brings and the sensor's filter does not want is left alone,
and the queue hides it from everybody for the visibility timeout.

Invariants: the queue is the emulator's own, with its options; the clock is turned by hand, because the wait takes hours. In
the sensors' favour they pull without pause, at irregular times (in step with the visibility timeout they would meet the same
events for ever), and no rate limit applies.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_vod.emulator import EmulatorOptions
from airflow_vod.emulator.clock import ManualClock
from airflow_vod.emulator.queue import EventQueue
from airflow_vod.emulator.schedule import Schedule

if TYPE_CHECKING:
    from airflow_vod.emulator.queue import Delivery

_STEP = 10.0  # simulated seconds


class Peers:
    """Sensors that pull for themselves, each waiting for the event that bears its number.

    :param number: of sensors.
    :param rtt: longest time between two pulls of a sensor, in seconds.
    :param seed: of everything random.
    """

    def __init__(self, number: int, rtt: float, seed: int = 0) -> None:
        self.calls = 0
        self._rtt = rtt
        self._clock = ManualClock(0.0)
        self._schedule = Schedule(self._clock)
        self._clock.follow(self)
        self._queue = EventQueue(self._schedule, EmulatorOptions())
        self._last_end = 0.0
        self._random = random.Random(seed)
        self._waiting = set(range(number))
        for sensor in self._waiting:
            self._pull_later(sensor)

    def next_due(self) -> float | None:
        """:return: when the next thing is due, in simulated seconds."""
        return self._schedule.next_due()

    def tick(self) -> None:
        """Do all that is due now."""
        self._schedule.run()

    def publish_all(self) -> None:
        """Publish the event of every sensor."""
        for sensor in self._waiting:
            self._queue.publish(b"%d" % sensor)

    def run(self, seconds: float) -> None:
        """Let so many simulated seconds pass."""
        self._clock.advance(seconds)

    def run_to_end(self) -> float:
        """Go on until every sensor is done.

        :return: when the last one was, in simulated seconds.
        """
        while self._waiting:
            self._clock.advance(_STEP)
        return self._last_end

    def _pull_later(self, sensor: int) -> None:
        self._schedule.after(self._random.uniform(0, self._rtt), lambda: self._pull(sensor))

    def _pull(self, sensor: int) -> None:
        self.calls += 1
        self._queue.pull(lambda deliveries: self._look(sensor, deliveries))

    def _look(self, sensor: int, deliveries: Sequence[Delivery]) -> None:
        mine = [each.handle for each in deliveries if int(each.body) == sensor]
        if not mine:
            self._pull_later(sensor)
            return
        self.calls += 1
        self._queue.confirm(mine)
        self._waiting.discard(sensor)
        self._last_end = self._clock.now()
