"""Watches for tests, and an inbox where the kind of database does not matter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.inbox import InboxStore
from airflow_vod.waiting import watch as watch_module
from airflow_vod.waiting.watch import Watch
from tests.airflow_fixtures import INBOX_OPTION, no_backstop
from tests.relays import SUB_APP_ID, FickleStore, settings_of
from tests.unit.waiting.helpers import HOLD

__all__ = ["no_backstop"]


@pytest.fixture
def vod_emulator_options() -> EmulatorOptions:
    """Shorter holds than VOD's."""
    return EmulatorOptions(hold=HOLD)


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[FickleStore]:
    """An inbox where the kind of database does not matter."""
    store = InboxStore.open(f"sqlite:///{tmp_path / 'inbox.db'}")
    yield FickleStore(store)
    store.close()


@pytest.fixture
def start(vod_emulator: Emulator) -> Iterator[Callable[..., Watch]]:
    """Start watches, and end them after the test."""
    started: list[Watch] = []

    def start_one(store: Any, **fields: Any) -> Watch:
        watch = Watch(settings_of(vod_emulator, **fields), store)
        watch.start()
        started.append(watch)
        return watch

    yield start_one
    for watch in started:
        watch.end()
    for watch in started:
        if isinstance(watch.inbox, FickleStore):
            watch.inbox.come_back()
        watch.join()


@pytest.fixture
def connection(vod_emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The Airflow connection ``vod_default``, and an inbox of this test's own."""
    from airflow_vod.hooks.config import inbox_url, open_inbox

    monkeypatch.setenv(INBOX_OPTION, f"sqlite:///{tmp_path / 'vod_inbox.db'}")
    monkeypatch.setenv("AIRFLOW_CONN_VOD_DEFAULT", vod_emulator.airflow_connection(SUB_APP_ID))
    yield vod_emulator
    for watch in watch_module.watches():
        watch.end()
        watch.join()
    open_inbox(inbox_url()).close()  # what is only forgotten, Python 3.13 calls unclosed when another test runs
    open_inbox.cache_clear()
