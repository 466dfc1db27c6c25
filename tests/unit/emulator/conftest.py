"""Fixtures for tests of a running emulator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_vod.emulator import Emulator, EmulatorOptions, ManualClock


@pytest.fixture
def vod() -> Iterator[Emulator]:
    """An emulator with a manual clock."""
    with Emulator(clock=ManualClock(), options=EmulatorOptions(null_fields=False)) as vod:
        yield vod
