"""Pytest fixtures for offline DAG tests, available wherever this package is installed.

    def test_dag(vod_conn):
        vod_conn.publish_concat("Concat-1", files=["http://example.com/f0.mp4"])
        ...  # dag.test(): tasks with vod_conn_id="vod_default" talk to the emulator

Invariant: importing this module is cheap until a fixture is used, because pytest imports it in every project.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_vod.emulator import Emulator, EmulatorOptions


@pytest.fixture
def vod_emulator_options() -> EmulatorOptions:
    """Options of `vod_emulator`; override this fixture to choose others.

    By default pulls are held for less than VOD's 5 s, so that tests do not have to wait for them.
    """
    from airflow_vod.emulator import EmulatorOptions

    return EmulatorOptions(hold=0.2)


@pytest.fixture
def vod_emulator(vod_emulator_options: EmulatorOptions) -> Iterator[Emulator]:
    """A local VOD API for one test."""
    from airflow_vod.emulator import Emulator

    with Emulator(options=vod_emulator_options) as vod:
        yield vod


@pytest.fixture
def vod_conn(vod_emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Emulator]:
    """The same, with the Airflow connection ``vod_default`` pointing to it, and a separate inbox."""
    from airflow_vod.waiting.watch import watches

    monkeypatch.setenv("AIRFLOW_CONN_VOD_DEFAULT", vod_emulator.airflow_connection())
    monkeypatch.setenv("AIRFLOW__TENCENT_VOD__INBOX_SQL_ALCHEMY_CONN", f"sqlite:///{tmp_path / 'vod_inbox.db'}")
    yield vod_emulator
    for watch in watches():  # nothing that waits in this test leaks into the next one
        watch.end()
        watch.join()
