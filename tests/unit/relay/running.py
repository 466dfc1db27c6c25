"""What tests of the pipeline share: pipelines in their threads, on an inbox that fails when it is told to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from airflow_vod.emulator import Emulator
from airflow_vod.inbox import InboxStore
from airflow_vod.relay.pipeline import Pipeline, run_in_thread
from airflow_vod.relay.steps import Relay
from airflow_vod.tencent.client import VodClient
from tests.relays import SUB_APP_ID, FickleStore, client_of

HOLD = 0.5  # seconds, instead of VOD's 5, so that nothing waits for long


@dataclass
class Running:
    """A pipeline in its thread."""

    pipeline: Pipeline
    store: FickleStore
    thread: threading.Thread
    errors: list[BaseException | None] = field(default_factory=list)

    @property
    def relay(self) -> Relay:
        """Its relay."""
        return self.pipeline.relay

    def stop(self) -> float:
        """Stop it.

        :return: how many seconds that took.
        """
        began = time.monotonic()
        self.pipeline.stop()
        self.thread.join(60)
        assert not self.thread.is_alive()
        return time.monotonic() - began


Run = Callable[..., Running]


@contextmanager
def runner(vod: Emulator, inbox: InboxStore) -> Iterator[Run]:
    """Run pipelines, and stop them at the end."""
    all_running: list[Running] = []

    def run(client: VodClient | None = None, *, passes_by: bool = False, **relay_options: Any) -> Running:
        fickle = FickleStore(inbox)
        relay = Relay(client or client_of(vod), fickle, **relay_options)  # type: ignore[arg-type]
        pipeline = Pipeline(relay, passes_by=lambda: passes_by)
        errors: list[BaseException | None] = []
        running = Running(pipeline, fickle, run_in_thread(pipeline, errors.append), errors)
        all_running.append(running)
        return running

    try:
        yield run
    finally:
        for running in all_running:
            running.store.come_back()
            running.stop()
            running.relay.client.close()


def drained(vod: Emulator, number: int) -> Callable[[], bool]:
    """A condition: so many events were confirmed and nothing is left."""

    def condition() -> bool:
        counts = vod.queue(SUB_APP_ID)
        return counts.confirmed == number and not counts.visible and not counts.hidden

    return condition


def free(running: Running) -> bool:
    """Whether nobody holds the lease."""
    lease = running.store.leases.read(running.relay.queue)
    return lease is None or lease.expired
