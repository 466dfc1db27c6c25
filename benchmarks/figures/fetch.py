"""How fast files come from VOD to a folder, beside curl on the same files.

Invariants: server, operator and curl are three processes; both clients get the same files from the same server and write them to
the same disk, in turn, and the medians are compared.
"""

from __future__ import annotations

import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, Self

from airflow_vod.emulator import Emulator
from benchmarks.bench import CONNECTION, Bench
from benchmarks.children import Child
from benchmarks.readings import Reading, Target

_MIB = 1024 * 1024
_BUFFER = 8.0  # MiB per file
_SHARE = 0.8  # of curl's throughput


class Origin:
    """A server of media files, for `Child`."""

    def __init__(self) -> None:
        self._emulator = Emulator()

    def __enter__(self) -> Self:
        self._emulator.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._emulator.stop()

    def files(self, number: int, size: int) -> list[str]:
        """:return: URLs of new files of so many bytes."""
        return [self._emulator.add_media(size=size).url for _ in range(number)]

    def connection(self) -> str:
        """:return: an Airflow connection to it."""
        return self._emulator.airflow_connection()


class Copier:
    """The operator, in a process of its own.

    :param connection: to the application.
    """

    def __init__(self, connection: str) -> None:
        import os

        os.environ[CONNECTION] = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def copy(self, urls: list[str], folder: str) -> tuple[float, int]:
        """:return: seconds, and bytes of memory that this process has had at most."""
        from airflow_vod.operators.storage import VodToObjectStorageOperator

        operator = VodToObjectStorageOperator(
            task_id="fetch", urls=urls, destination=f"file://{folder}", allow_private_addresses=True
        )
        context: Any = {"ti": SimpleNamespace(xcom_push=lambda key, value: None)}
        began = time.monotonic()
        operator.execute(context)
        return time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(bench: Bench) -> Iterator[Reading]:
    """Measure one large file, and several at once."""
    size = bench.pick(512, 256, 1) * _MIB
    if shutil.which("curl") is None:
        raise RuntimeError("the baseline is the command curl, which this machine does not have")
    with (
        Child(Origin) as origin,
        Child(Copier, origin.call("connection")) as copier,
        tempfile.TemporaryDirectory(prefix="vod-bench-fetch-") as folder,
    ):
        for number in (1, 4):
            urls = origin.call("files", number, size // number)
            # Imports are not measured here.
            _, before = copier.call("copy", origin.call("files", 1, _MIB), folder)
            peaks: list[int] = []

            def ours(place: str, urls: list[str] = urls, peaks: list[int] = peaks) -> float:
                seconds, peak = copier.call("copy", urls, place)
                peaks.append(peak)
                return float(seconds)

            def curl(place: str, urls: list[str] = urls) -> float:
                return _curl(urls, place)

            rate, baseline = _in_turn(bench, size, ours, curl)
            what = f"{number} file{'s' if number > 1 else ''} of {size // number // _MIB} MiB"
            target = Target(_SHARE * baseline, at_least=True)
            yield Reading(what, rate, "MiB/s", baseline, "curl, to the same folder", target)
            growth = (peaks[-1] - before) / _MIB
            yield Reading(f"{what}, memory for it", growth, "MiB", target=Target(_BUFFER * number))


def _in_turn(
    bench: Bench, size: int, ours: Callable[[str], float], curl: Callable[[str], float]
) -> tuple[float, float]:
    """:return: MiB/s of both."""
    times: dict[Callable[[str], float], list[float]] = {ours: [], curl: []}
    for _ in range(bench.pick(7, 5, 1)):
        for run, seconds in times.items():
            with tempfile.TemporaryDirectory(prefix="vod-bench-fetch-") as folder:
                seconds.append(run(folder))
                written = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
                if written != size:
                    raise RuntimeError(f"{written} bytes were written, not {size}")
    mine, theirs = (size / _MIB / statistics.median(seconds) for seconds in times.values())
    return mine, theirs


def _curl(urls: list[str], folder: str) -> float:
    command = ["curl", "--no-progress-meter", "--fail", *(["--parallel"] if len(urls) > 1 else [])]
    for number, url in enumerate(urls):
        command += ["--output", f"{folder}/{number}.mp4", url]
    began = time.monotonic()
    subprocess.run(command, check=True)
    return time.monotonic() - began
