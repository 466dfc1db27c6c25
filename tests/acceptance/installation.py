"""What acceptance tests look at: an Airflow, the VOD that it talks to, and the inbox between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.airflow_fixtures import SUB_APP_ID

if TYPE_CHECKING:
    from airflow_vod.emulator import Emulator
    from airflow_vod.inbox import InboxStore, Lease
    from tests.acceptance.airflow import Airflow


@dataclass(frozen=True)
class Installation:
    """Airflow, its VOD and its inbox."""

    airflow: Airflow
    vod: Emulator
    store: InboxStore

    @property
    def queue(self) -> str:
        """Name of the queue in the inbox."""
        return f"127.0.0.1:{self.vod.port}/{SUB_APP_ID}"

    def lease(self) -> Lease | None:
        """Answer who may pull now, if anybody may."""
        lease = self.store.leases.read(self.queue)
        return None if lease is None or lease.expired else lease
