"""A local VOD API (version 2018-07-17): for tests, for the demo, and for users' own offline DAG tests.

    from airflow_vod.emulator import Emulator

    with Emulator() as vod:
        vod.publish_concat("Concat-1", files=["http://example.com/f0.mp4"])
        ...  # point any client at vod.endpoint with vod.secret_id and vod.secret_key

Invariants: the emulator is self-contained (it imports neither Airflow nor the rest of this package), and importing it is cheap:
names are resolved on first access, and the web server is loaded on start.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_vod.emulator.clock import ManualClock, SystemClock
    from airflow_vod.emulator.options import EmulatorOptions, Procedure, TaskFailure
    from airflow_vod.emulator.server import Emulator

__all__ = ["Emulator", "EmulatorOptions", "ManualClock", "Procedure", "SystemClock", "TaskFailure"]

_HOME = {
    "Emulator": "server",
    "EmulatorOptions": "options",
    "ManualClock": "clock",
    "Procedure": "options",
    "SystemClock": "clock",
    "TaskFailure": "options",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
