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

    from airflow_vod.emulator import Emulator, EmulatorOptions


@pytest.fixture
def vod_emulator_options() -> EmulatorOptions | None:
    """Options of `vod_emulator`; define a fixture of this name to choose others."""
    return None


@pytest.fixture
def vod_emulator(vod_emulator_options: EmulatorOptions | None) -> Iterator[Emulator]:
    """A local VOD API of its own for one test."""
    from airflow_vod.emulator import Emulator

    with Emulator(options=vod_emulator_options) as vod:
        yield vod


@pytest.fixture
def vod_conn(vod_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The same, with the Airflow connection ``vod_default`` set to it."""
    monkeypatch.setenv("AIRFLOW_CONN_VOD_DEFAULT", vod_emulator.airflow_connection())
    return vod_emulator
