"""What it is like to wait on a worker, beside waiting in a triggerer.

Invariants: a sensor on a worker has a process of its own, and one that is rescheduled a new one each time; the time runs from
the emulator's publishing until `execute` has returned, in a triggerer until the trigger's event is in hand. An earlier version
is measured in the same run with the same program, in its own processes and with an inbox of its own.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench
from benchmarks.children import Child
from benchmarks.emulation import SUB_APP_ID, Emulation, splices
from benchmarks.readings import Reading, Target
from benchmarks.waiting import Waiting
from benchmarks.workers import HERE, Workers

HOLD = 5.0  # seconds, as VOD's
NOTHING = 60.0  # seconds for which a sensor waits for what does not come
_AGAINST = "the earlier version"
_TIMEOUT = 600.0  # seconds


@dataclass(frozen=True, slots=True)
class Case:
    """A way of waiting.

    :param name: for people.
    :param sensor: arguments of the sensor that say so.
    :param spacing: seconds between two events.
    :param apart: whether each sensor has an application, and so a queue, of its own.
    :param limit: seconds from publish to success that 95 of 100 should keep; None for no target.
    """

    name: str
    sensor: Mapping[str, Any]
    spacing: float
    apart: bool = False
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """What became of one wait, in seconds: from publish to success and to the end of its process, and between these two."""

    success: float
    gone: float
    exit: float
    threads: int


@dataclass(frozen=True, slots=True)
class Result:
    """What became of all: their waits, and calls of the API per minute meanwhile."""

    waits: list[Wait]
    calls: float


@dataclass(frozen=True, slots=True)
class Idleness:
    """What a worker takes that waits in vain: seconds of CPU, and bytes."""

    cpu: float
    memory: int


def measure(bench: Bench) -> Iterator[Reading]:
    """Measure each mode, and what a worker takes that waits in vain."""
    interval = bench.pick(15.0, 5.0, 0.2)
    spacing = bench.pick(1.0, 0.5, 0.05)
    rescheduled = {"mode": "reschedule", "poke_interval": interval}
    cases = (
        Case("poke, each on a queue of its own", {"mode": "poke"}, spacing, apart=True, limit=0.5),
        Case("poke, all on one queue", {"mode": "poke"}, spacing, limit=0.5),
        Case(f"reschedule every {interval:g} s, all on one queue", rescheduled, 1.5 * spacing),
    )
    for case in bench.pick(cases, cases, cases[-1:]):
        ours = _on_workers(bench, case, HERE)
        yield from _compare(case, ours, _on_workers(bench, case, bench.before) if bench.before else None)
    case = Case("deferrable, all on one queue", {}, spacing, limit=0.5)
    yield from _delays(case, _in_triggerer(bench, case), None)
    yield from _idle(bench)


def _compare(case: Case, ours: Result, before: Result | None) -> Iterator[Reading]:
    yield from _delays(case, ours, before)
    exits = [_p95(wait.exit for wait in each.waits) if each else None for each in (ours, before)]
    yield _reading("  from the return of execute to the end of the process, p95", exits, "s", Target(1))
    gone = [_p95(wait.gone for wait in each.waits) if each else None for each in (ours, before)]
    yield _reading("  from publish to the end of the process, p95", gone, "s")
    threads = [float(max(wait.threads for wait in each.waits)) if each else None for each in (ours, before)]
    yield _reading("  threads left, at most", threads, "", Target(0))


def _delays(case: Case, ours: Result, before: Result | None) -> Iterator[Reading]:
    both = (ours, before)
    p50 = [statistics.median(wait.success for wait in each.waits) if each else None for each in both]
    yield _reading(f"{case.name}: publish to success, p50", p50, "s")
    p95 = [_p95(wait.success for wait in each.waits) if each else None for each in both]
    yield _reading("  p95", p95, "s", None if case.limit is None else Target(case.limit))
    yield _reading("  API calls a minute meanwhile, of all", [each.calls if each else None for each in both], "")


def _reading(case: str, values: list[float | None], unit: str, target: Target | None = None) -> Reading:
    ours, before = values
    if ours is None:
        raise ValueError(f"{case} was not measured")
    return Reading(case, ours, unit, before, "" if before is None else _AGAINST, target)


def _p95(values: Iterable[float]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[18]


def _on_workers(bench: Bench, case: Case, version: Path) -> Result:
    ids = splices(bench.pick(20, 10, 2))
    sub_app_ids = [SUB_APP_ID + number * case.apart for number in range(len(ids))]
    with ExitStack() as stack:
        vod = stack.enter_context(Child(Emulation, hold=bench.pick(HOLD, HOLD, 0.2)))
        orders = [
            {
                "number": number,
                "sensor": {"vod_task_id": vod_task_id, "timeout": _TIMEOUT, **case.sensor},
                "connection": vod.call("connection", sub_app_id),
            }
            for number, (vod_task_id, sub_app_id) in enumerate(zip(ids, sub_app_ids, strict=True))
        ]
        workers = stack.enter_context(Workers(version, bench.databases.empty("sqlite"), orders))
        workers.begun()
        time.sleep(bench.pick(10.0, 4.0, 0.5))  # until all wait
        before, began = len(vod.call("calls")), time.monotonic()
        published = vod.call("offer", ids, 1 / case.spacing, sub_app_ids)
        reports = workers.reports()
        calls = (len(vod.call("calls")) - before) / (max(each["ended_at"] for each in reports.values()) - began)
    if errors := [each["error"] for each in reports.values() if each["error"]]:
        raise RuntimeError(f"{len(errors)} sensors failed: {errors[0]}")
    return Result([_wait(at, reports[number]) for number, at in enumerate(published)], 60 * calls)


def _wait(published: float, report: Mapping[str, Any]) -> Wait:
    ended, gone = report["ended_at"], report["gone_at"]
    return Wait(ended - published, gone - published, gone - ended, report["threads"])


def _in_triggerer(bench: Bench, case: Case) -> Result:
    ids = splices(bench.pick(20, 10, 2))
    with (
        Child(Emulation, hold=bench.pick(HOLD, HOLD, 0.2)) as vod,
        Child(Waiting, vod.call("connection"), bench.databases.empty("sqlite")) as waiting,
    ):
        waiting.call("start", ids)
        waiting.call("settle", len(ids))
        before, began = len(vod.call("calls")), time.monotonic()
        published = vod.call("offer", ids, 1 / case.spacing)
        ended = waiting.call("ends", len(ids))
        calls = (len(vod.call("calls")) - before) / (max(ended.values()) - began)
    waits = [Wait(ended[each] - at, 0.0, 0.0, 0) for each, at in zip(ids, published, strict=True)]
    return Result(waits, 60 * calls)


def _idle(bench: Bench) -> Iterator[Reading]:
    seconds = bench.pick(NOTHING, 20.0, 1.0)
    ours = _in_vain(bench, HERE, seconds)
    before = _in_vain(bench, bench.before, seconds) if bench.before else None
    both = (ours, before)
    yield _reading(f"poke, {seconds:g} s in vain: CPU", [each.cpu if each else None for each in both], "s")
    memory = [each.memory / 1e6 if each else None for each in both]
    yield _reading("  memory, on top of the sensor's import", memory, "MB")


def _in_vain(bench: Bench, version: Path, seconds: float) -> Idleness:
    with ExitStack() as stack:
        vod = stack.enter_context(Child(Emulation, hold=bench.pick(HOLD, HOLD, 0.2)))
        sensor = {"vod_task_id": splices(1)[0], "mode": "poke", "timeout": seconds}
        order = {"number": 0, "sensor": sensor, "connection": vod.call("connection")}
        worker = stack.enter_context(Workers(version, bench.databases.empty("sqlite"), [order]))
        worker.begun()
        time.sleep(0.8 * seconds)
        memory = worker.memory()
        [report] = worker.reports().values()
    if "AirflowSensorTimeout" not in (report["error"] or ""):
        raise RuntimeError(f"the sensor ended with {report['error']} and not by timeout")
    return Idleness(report["cpu"], memory)
