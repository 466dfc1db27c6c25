"""Processes that a test starts, reads and ends.

Invariant: whatever a test does, no process outlives its `with`.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil

ROOT = Path(__file__).parents[2]


class Process:
    """One process; its output is kept and can be waited for.

    :param command: program and arguments.
    :param environment: all of it.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.command = list(command)
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._output: list[str] = []
        # A group of its own, so that its children end with it.
        self._process = subprocess.Popen(
            self.command,
            env=dict(environment),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._output.append(line)
            self._lines.put(line)
        self._lines.put(None)

    @property
    def output(self) -> str:
        """All that it has written so far."""
        return "".join(self._output)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def tell(self, line: str) -> None:
        """Write a line to its input."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def close_input(self) -> None:
        """End its input."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def wait_for(self, text: str, timeout: float = 30) -> str:
        """Wait for a line with this text among those that were not waited for yet, and return it."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                raise AssertionError(f"{self.command} did not say {text!r}:\n{self.output[-8000:]}")
            if text in line:
                return line

    def wait(self, timeout: float = 60) -> int:
        """Wait for its end and return its exit status."""
        status = self._process.wait(timeout)
        self._reader.join()
        return status

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to it and its children; SIGKILL also to those that have left its group, as Airflow's tasks do."""
        if number is signal.SIGKILL and self._process.poll() is None:
            for child in psutil.Process(self._process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
        if self._process.poll() is None or number is signal.SIGKILL:
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                return

    def end(self, grace: float = 10) -> None:
        """Ask it to end; make it, where it does not."""
        self.kill(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace)
        self.kill(signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
