"""Fixtures for offline DAG tests, found by pytest wherever this package is installed.

    def test_dag(vod_conn):
        vod_conn.publish_concat("Concat-1", files=["http://example.com/f0.mp4"])
        ...  # dag.test(): tasks with vod_conn_id="vod_default" talk to the emulator

Invariant: this module costs nothing until a fixture is used, because pytest imports it in every project.
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
    """Options of `vod_emulator`; define a fixture of this name to choose others.

    Pulls are held for less than VOD's 5 s by default, so that no test waits for the end of one.
    """
    from airflow_vod.emulator import EmulatorOptions

    return EmulatorOptions(hold=0.2)


@pytest.fixture
def vod_emulator(vod_emulator_options: EmulatorOptions) -> Iterator[Emulator]:
    """A local VOD API of its own for one test."""
    from airflow_vod.emulator import Emulator

    with Emulator(options=vod_emulator_options) as vod:
        yield vod


@pytest.fixture
def vod_conn(vod_emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Emulator]:
    """The same, with the Airflow connection ``vod_default`` set to it and an inbox of its own."""
    from airflow_vod.waiting.watch import watches

    monkeypatch.setenv("AIRFLOW_CONN_VOD_DEFAULT", vod_emulator.airflow_connection())
    monkeypatch.setenv("AIRFLOW__TENCENT_VOD__INBOX_SQL_ALCHEMY_CONN", f"sqlite:///{tmp_path / 'vod_inbox.db'}")
    yield vod_emulator
    for watch in watches():  # nothing that waited in this test meets the next one
        watch.end()
        watch.join()
