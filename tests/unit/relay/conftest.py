"""Fixtures that run pipelines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from airflow_vod.emulator import Emulator
from airflow_vod.inbox import InboxStore
from tests.unit.relay.running import Run, runner


@pytest.fixture
def run(vod_emulator: Emulator, inbox: InboxStore) -> Iterator[Run]:
    """Run a pipeline on an inbox of each kind."""
    with runner(vod_emulator, inbox) as run_one:
        yield run_one


@pytest.fixture
def run_sqlite(vod_emulator: Emulator, tmp_path: Any) -> Iterator[Run]:
    """Run a pipeline where the kind of database does not matter."""
    store = InboxStore.open(f"sqlite:///{tmp_path / 'inbox.db'}")
    with runner(vod_emulator, store) as run_one:
        yield run_one
    store.close()
