"""Waiting triggers in a process of their own, as in a triggerer; as one ends, the next begins.

Invariant: each end is recorded, also a second one of the same task, with the payload that it came with.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Any

from airflow_vod.relay.steps import Relay
from benchmarks.waiting import Waiting

End = tuple[str, float, str]
"""VOD task id, when its wait ended (Unix seconds), and the status that the trigger ended with."""


class Triggers(Waiting):
    """So many triggers at a time, for `Child`. They wait for what relays of other processes bring: this one never pulls.

    :param connection: the Airflow connection ``vod_default``.
    :param inbox: URL of the inbox.
    """

    def __init__(self, connection: str, inbox: str) -> None:
        super().__init__(connection, inbox)
        Relay.acquire_lease = lambda _: False  # type: ignore[method-assign]
        self._all_ends: list[End] = []

    def keep(self, vod_task_ids: Sequence[str], at_once: int) -> None:
        """Wait for all ids, in this order, `at_once` of them at a time.

        :raises TimeoutError: the first of them are not in the list of who waits within two minutes.
        """
        rest = iter(vod_task_ids)
        self._in_loop(self._begin(rest, at_once))
        self.settle(min(at_once, len(vod_task_ids)))

    def all_ends(self, number: int, patience: float) -> list[End]:
        """Wait until so many waits have ended, or for `patience` seconds, and answer all ends."""
        give_up_monotonic = time.monotonic() + patience
        while len(self._all_ends) < number and time.monotonic() < give_up_monotonic:
            time.sleep(0.1)
        return self._all_ends

    async def _begin(self, rest: Iterator[str], at_once: int) -> None:
        self._tasks += [asyncio.create_task(self._one_after_the_other(rest)) for _ in range(at_once)]

    async def _one_after_the_other(self, rest: Iterator[str]) -> None:
        for vod_task_id in rest:
            async for event in self._make(vod_task_id).run():
                payload: Any = event.payload
                self._all_ends.append((vod_task_id, time.time(), str(payload.get("status"))))
                if payload == {"status": "found"}:
                    break
