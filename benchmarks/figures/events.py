"""What it costs a triggerer that sensors wait for what an event says, and not for a task whose id leads to it.

Invariants: both kinds wait in a process of their own, and the same happens to both; no event that comes by is for one of
them. What exists once exists before anything is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.bench import Bench
from benchmarks.children import Child
from benchmarks.emulation import Emulation
from benchmarks.readings import Reading, Target
from benchmarks.waiting import Waiting, waits_for_task, waits_for_upload

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

_FEW = 100  # triggers: enough for everything that exists once to exist
_PASSING = 250  # events
_INTERVAL = 0.02  # seconds between two waiters that come and go
_HELD = 0.05  # seconds for which an event loop may be held
_AGAINST = "as many that wait for tasks"


@dataclass(frozen=True, slots=True)
class Cost:
    """What triggers take until all are on the list of who waits, and for how long the event loop is held then.

    :param cpu: seconds.
    :param start: seconds.
    :param held: what happens to seconds.
    """

    cpu: float
    start: float
    held: Mapping[str, float]


def measure(bench: Bench) -> Iterator[Reading]:
    """Measure both kinds."""
    number = bench.pick(10_000, 10_000, 200)
    ours, tasks = (_cost(bench, number, make) for make in (waits_for_upload, waits_for_task))
    name = f"{number:,} triggers"
    yield Reading(f"{name}, CPU until all are registered", ours.cpu, "s", tasks.cpu, _AGAINST, Target(1.5 * tasks.cpu))
    yield Reading("  time for that", ours.start, "s", tasks.start, _AGAINST)
    for what, held in ours.held.items():
        case = f"{name}, event loop held at most while {what}"
        yield Reading(case, 1000 * held, "ms", 1000 * tasks.held[what], _AGAINST, Target(1000 * _HELD))


def _cost(bench: Bench, number: int, make: Callable[[str], BaseTrigger]) -> Cost:
    names = [f"n{index}" for index in range(number)]
    with ExitStack() as stack:
        vod = stack.enter_context(Child(Emulation, hold=bench.pick(5.0, 5.0, 0.2)))
        waiting = stack.enter_context(Child(Waiting, vod.call("connection"), bench.databases.empty("sqlite"), make))
        waiting.call("start", names[:_FEW])
        waiting.call("settle", _FEW)
        before, began = waiting.call("usage"), time.monotonic()
        waiting.call("start", names[_FEW:])
        settled = waiting.call("settle", number)
        after = waiting.call("usage")
        waiting.call("tick")
        held = {}
        for what, work in _happenings(bench, vod, waiting).items():
            waiting.call("held")
            work()
            held[what] = waiting.call("held")
    return Cost(after.cpu - before.cpu, settled - began, held)


def _happenings(bench: Bench, vod: Child, waiting: Child) -> dict[str, Callable[[], None]]:
    """:return: what happens to those who wait, in turn."""
    pause = bench.pick(2.0, 1.0, 0.1)  # seconds for the news of the last events

    def let_pass(events: list[dict[str, Any]]) -> None:
        vod.call("let_pass", events)
        time.sleep(pause)

    return {
        "nothing happens": lambda: time.sleep(bench.pick(5.0, 2.0, 0.1)),
        f"{_PASSING} events of another type come": lambda: let_pass([_deleted(each) for each in range(_PASSING)]),
        f"{_PASSING} of the same type come": lambda: let_pass([_uploaded(each) for each in range(_PASSING)]),
        f"another waiter comes and goes every {1000 * _INTERVAL:.0f} ms": lambda: waiting.call(
            "come_and_go", bench.pick(10.0, 3.0, 0.2), _INTERVAL
        ),
    }


def _deleted(number: int) -> dict[str, Any]:
    return {"EventType": "FileDeleted", "FileDeleteEvent": {"FileIdSet": [f"5285890{number:012}"]}}


def _uploaded(number: int) -> dict[str, Any]:
    content = {"FileId": f"5285891{number:012}", "MediaBasicInfo": {"Name": f"other-{number}"}}
    return {"EventType": "NewFileUpload", "FileUploadEvent": content}
