"""The command: ``python -m benchmarks [--quick] [--only NAME] [--json PATH] [--before PATH]``.

Invariant: the exit status is 0 unless something broke.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path

from benchmarks.readings import Reading

FIGURES = {
    "drain": "Events drained from a queue; the API's ceiling is 1,600/s",
    "latency": "From publish to trigger event, 1,200 events/s offered, round trip 20 ms",
    "sensors": "N sensors on one queue, each waiting for one of N events published at once",
    "modes": "20 sensors on workers and in a triggerer: what each mode of waiting takes and leaves behind",
    "submit": "N VOD tasks, started once each and waited for",
    "calls": "API calls while N tasks wait, in the minutes before VOD is asked about them one by one",
    "idle": "What 10,000 waiting triggers cost",
    "events": "10,000 triggers that wait for what an event says, beside as many that wait for tasks",
    "fetch": "Files from VOD to a folder, on this machine",
    "unannounced": "Tasks of 20 s to 1 h that VOD does not announce: from their end until they are noticed",
    "imports": "Imports, on top of airflow.sdk",
    "inbox": "The inbox as it grows",
}
"""Name to title; each is a module of `benchmarks.figures` with a function ``measure``."""


def main(argv: list[str] | None = None) -> int:
    """Measure.

    :param argv: arguments without the command's name.
    :return: exit status.
    """
    given = _parser().parse_args(argv)
    from benchmarks.bench import Bench, airflow_home
    from benchmarks.databases import Databases
    from benchmarks.report import Report

    report = Report(given.json, quick=given.quick or given.least)
    broken = False
    with airflow_home(), Databases() as databases:
        bench = Bench(databases, quick=given.quick, least=given.least, before=given.before)
        for name in given.only or FIGURES:
            readings: list[Reading] = []
            began, error = time.monotonic(), None
            try:
                readings.extend(import_module(f"benchmarks.figures.{name}").measure(bench))
            except Exception:
                error, broken = traceback.format_exc(), True
            report.add(name, FIGURES[name], readings, time.monotonic() - began, error)
    report.close()
    return int(broken)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure, beside baselines and targets.")
    parser.add_argument("--quick", action="store_true", help="fewer cases and shorter times")
    parser.add_argument("--least", action="store_true", help="everything once, for tests; the values mean nothing")
    parser.add_argument("--only", action="append", choices=FIGURES, help="this figure; may be given several times")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="file to write")
    parser.add_argument(
        "--before", type=Path, help="an earlier checkout, measured as baseline where a figure can do so"
    )
    return parser


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # clean up all the same
    sys.exit(main())
