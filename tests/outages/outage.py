"""What goes out, and the figures of a run.

Invariant: an outage ends by itself; the figures come from what was published, the rows of the inbox and the ends of triggers.
"""

from __future__ import annotations

import bisect
import itertools
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

WINDOW = 5.0  # seconds over which a throughput is taken
BEFORE = 10.0  # seconds before the outage whose throughput is compared with
ENOUGH = 0.98
ON_TIME = 1.0  # seconds from publish to commit, at most, of an event that is not late


@dataclass(frozen=True, slots=True)
class Stage:
    """What an outage may touch.

    :param kill_holder: kills the process that pulls; another one stands by, and a third is started.
    :param restart: ends the database server as its own tool does, and starts it again.
    :param cut: ends all sessions of the database.
    :param freeze: stops all processes of the server for so many seconds.
    """

    kill_holder: Callable[[], None]
    restart: Callable[[], None]
    cut: Callable[[], object]
    freeze: Callable[[float], None]


def _every(seconds: float, times: int, do: Callable[[], object]) -> None:
    for _ in range(times):
        began = time.monotonic()
        do()
        time.sleep(max(0.0, seconds - (time.monotonic() - began)))


OUTAGES: Mapping[str, Callable[[Stage], None]] = {
    "server restarted": lambda stage: stage.restart(),
    "sessions cut every 2 s for 30 s": lambda stage: _every(2.0, 15, stage.cut),
    "holder killed": lambda stage: stage.kill_holder(),
    "holder killed every 5 s for 30 s": lambda stage: _every(5.0, 6, stage.kill_holder),
    "server frozen for 15 s": lambda stage: stage.freeze(15.0),
}


@dataclass(frozen=True, slots=True)
class Figures:
    """One outage. Times are in seconds, after its beginning unless said otherwise.

    :param before: events committed per second before it.
    :param gap: longest time in which nothing was committed.
    :param back: from when on `ENOUGH` of the throughput before is there, in the next `WINDOW` seconds and in all the time
        after, and no second is without any; after its end. None where that never came.
    :param caught_up: from when on no event was late; after its end.
    :param longest: longest time from publish until a trigger had its event.
    :param lost: events that are not in the inbox, and waits that did not end with theirs.
    :param twice: events that are in the inbox twice, and waits that ended twice.
    """

    name: str
    lasted: float
    events: int
    waits: int
    before: float
    gap: float
    back: float | None
    caught_up: float
    longest: float
    lost: int
    twice: int

    @property
    def good(self) -> bool:
        """Whether nothing is lost or doubled, and the throughput is back within a minute."""
        return not self.lost and not self.twice and self.back is not None and self.back <= 60.0


def figures_of(
    name: str,
    outage: tuple[float, float],
    published: Mapping[str, float],
    stored: Sequence[tuple[str, float]],
    waited: Sequence[str],
    ends: Sequence[tuple[str, float, str]],
) -> Figures:
    """Draw up the figures. All times are Unix seconds of one machine.

    :param outage: when it began and ended.
    :param published: VOD task id to when its event was published.
    :param stored: VOD task id of each row of the inbox, and when it was committed.
    :param waited: VOD task ids that triggers wait for.
    :param ends: what the triggers told.
    """
    began, over = outage
    times = sorted(at for _, at in stored)
    rate = _stored(times, began - BEFORE, began) / BEFORE
    rows, woken = Counter(vod_task_id for vod_task_id, _ in stored), Counter(each for each, *_ in ends)
    right = {vod_task_id for vod_task_id, _, status in ends if status == "found"}
    late = [at - over for vod_task_id, at in stored if at > over and at - published[vod_task_id] > ON_TIME]
    return Figures(
        name=name,
        lasted=over - began,
        events=len(published),
        waits=len(waited),
        before=rate,
        gap=_gap(times, began),
        back=_back(times, over, max(published.values()), rate),
        caught_up=max(late, default=0.0),
        longest=max((at - published[vod_task_id] for vod_task_id, at, _ in ends), default=0.0),
        lost=len(published.keys() - rows.keys()) + len(set(waited) - right),
        twice=sum(number - 1 for each in (rows, woken) for number in each.values()),
    )


def _stored(times: Sequence[float], start: float, end: float) -> int:
    return bisect.bisect_left(times, end) - bisect.bisect_left(times, start)


def _gap(times: Sequence[float], began: float) -> float:
    after = times[max(0, bisect.bisect_left(times, began) - 1) :]
    return max((later - earlier for earlier, later in itertools.pairwise(after)), default=0.0)


def _back(times: Sequence[float], over: float, until: float, rate: float) -> float | None:
    """Look for the first window that has enough, with enough in all the time after it, and no second without any."""
    stalls = [later - over for earlier, later in itertools.pairwise(times) if later - earlier > 1.0]
    start = over
    while start + WINDOW <= until:
        if all(_stored(times, start, end) >= ENOUGH * rate * (end - start) for end in (start + WINDOW, until)):
            return max([start - over, *stalls])
        start += 0.25
    return None
