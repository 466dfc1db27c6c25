"""Sensors on workers: `benchmarks.worker` in processes that import whichever version of the package they are told to.

Invariant: no process of a worker outlives the `with` block that started it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import psutil

from benchmarks.bench import INBOX

HERE = Path(__file__).parents[1]
"""The checkout of this version."""
_PATIENCE = 120.0  # seconds


class Workers:
    """Processes that execute sensors.

    :param version: checkout of the package that they import.
    :param inbox: URL of their inbox, which no other version uses.
    :param orders: see `benchmarks.worker.main`.
    """

    def __init__(self, version: Path, inbox: str, orders: Sequence[dict[str, Any]]) -> None:
        self._version = version.resolve()
        self._number = len(orders)
        self._begun: dict[int, dict[str, Any]] = {}
        self._reports: dict[int, dict[str, Any]] = {}
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("worker.py")), json.dumps(orders)],
            env=os.environ | {"PYTHONPATH": str(self._version), INBOX: inbox},
            cwd=self._version,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that all of them can be ended at once
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()  # type: ignore[union-attr]

    def begun(self) -> None:
        """Wait until all sensors are being executed."""
        self._wait(self._begun, _PATIENCE)

    def reports(self, patience: float = _PATIENCE) -> dict[int, dict[str, Any]]:
        """Wait until all sensors are done.

        :param patience: seconds.
        :return: what became of each, by its number.
        """
        self._wait(self._reports, patience)
        return self._reports

    def memory(self) -> int:
        """:return: resident bytes of the only sensor's process, on top of what it had when its execution began."""
        [begun] = self._begun.values()
        return psutil.Process(self._process.pid).memory_info().rss - int(begun["memory"])

    def _wait(self, lines: dict[int, dict[str, Any]], patience: float) -> None:
        give_up = time.monotonic() + patience
        while len(lines) < self._number:
            if time.monotonic() > give_up or not (self._reader.is_alive() or len(lines) == self._number):
                raise RuntimeError(f"{len(lines)} of {self._number} sensors have got there")
            time.sleep(0.01)

    def _read(self) -> None:
        for text in self._process.stdout or ():
            if not text.startswith("{"):
                continue  # Airflow has something to say
            line = json.loads(text)
            if "package" not in line:
                self._reports[line["number"]] = line
            elif Path(line["package"]).parent == self._version:
                self._begun[line["number"]] = line
