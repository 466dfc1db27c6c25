"""Notices that something else pulls the queue and keeps what it gets out of this inbox: a rival.

VOD has no consumer groups and tells nobody who pulls. What can be seen is a task that VOD says has ended, whose event never
comes, although events of the same type, that ended before it and after it, do come. One such hole proves little: event types
are switched off and on again, applications go to PUSH and back, inboxes move. A rival makes holes again and again.

Invariant: nothing is said unless each of several holes has its own events around it; whatever else explains a missing event
(it lies in the queue still, came and could not be read, was not to be announced, came late) makes no hole.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_vod.exceptions import InboxError
from airflow_vod.inbox.leases import lease_beside, new_holder
from airflow_vod.relay.health import utc
from airflow_vod.relay.reconcile import FINISH_TIME

if TYPE_CHECKING:
    from airflow_vod.inbox import InboxStore
    from airflow_vod.inbox.arrivals import Asked
    from airflow_vod.relay.health import RelayHealth

log = logging.getLogger(__name__)

LOOK_EVERY = 600.0  # seconds
HOLES = 3  # that must be there before anything is said
GRACE = 600.0  # seconds for which an event may still come, while the queue is seen empty
FOUND_WITHIN = (
    2 * 3600.0
)  # seconds from the end of a task; one that is found later may have ended before anybody waited
REMEMBERED_FOR = 3 * 86400.0  # seconds
SAID_FOR = 86400.0  # seconds after the latest hole
_LIMIT = 24  # tasks remembered; with the longest ids they fit into the info of a lease
_LOOK_TTL = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class MissedTask:
    """A task that VOD says has ended, and whose event has not come. Times are Unix seconds.

    :param ended_at: when it ended, by VOD's clock.
    :param found_at: when VOD said so.
    """

    vod_task_id: str
    event_type: str
    ended_at: float
    found_at: float


@dataclass(slots=True)
class RivalRecord:
    """What was seen of rivals of a queue. Times are Unix seconds, None for never.

    :param position: in the inbox, up to which was looked.
    :param looked_at: when this was written.
    :param missed: tasks whose events have not come so far.
    :param holes: how many holes there are; 0 unless there are enough to say so.
    :param first_at: when the first task in them ended.
    :param last_at: when the last did.
    :param example: the last task.
    :param event_type: its event type.
    """

    position: int | None = None
    looked_at: float | None = None
    missed: list[MissedTask] = field(default_factory=list)
    holes: int = 0
    first_at: float | None = None
    last_at: float | None = None
    example: str = ""
    event_type: str = ""

    @classmethod
    def from_dict(cls, info: Mapping[str, Any]) -> RivalRecord:
        """Read a record; one that another version wrote in another way counts as none."""
        try:
            return cls(**{**info, "missed": [MissedTask(**each) for each in info.get("missed", [])]})
        except (TypeError, AttributeError):
            return cls()


class Rivals:
    """Looks for rivals, for the relay that holds the lease of a queue.

    :param store: the inbox.
    :param queue: its name.
    :param health: what the relay says of itself; only what it says of rivals is written here.
    :param wall_clock: Unix seconds.
    """

    def __init__(
        self, store: InboxStore, queue: str, health: RelayHealth, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._queue = queue
        self._health = health
        self._clock = wall_clock
        self._holder = new_holder()

    def look(self) -> None:
        """Look, unless some process has lately, and write down what was seen; raises nothing."""
        try:
            name = lease_beside(self._queue, "rivals")
            lease = self._store.leases.read(name)
            before = RivalRecord.from_dict(lease.info if lease else {})
            now = self._clock()
            self._tell(before)
            if self._health.by_callback or 0 <= now - (before.looked_at or 0.0) < LOOK_EVERY * 0.9:
                return
            if self._store.leases.acquire(name, self._holder, _LOOK_TTL, info=asdict(before)):
                after = self._judged(self._remembered(before, now), now)
                self._store.leases.release(name, self._holder, info=asdict(after))
                self._tell(after)
                self._log(before, after)
        except InboxError as error:
            log.info("Cannot look for others who pull queue %s now: %s", self._queue, error)

    def _remembered(self, before: RivalRecord, now: float) -> RivalRecord:
        """Add the tasks that were found since, and forget those that are old or whose events have come after all."""
        up_to = self._store.position(self._queue)
        after = up_to if before.position is None else min(before.position, up_to)
        found = [_missed(each) for each in self._store.arrivals.asked(self._queue, after, up_to, _LIMIT)]
        known = {each.vod_task_id: each for each in (*before.missed, *filter(None, found))}
        came = self._store.arrivals.came(self._queue, known)
        missed = [
            each for each in known.values() if each.vod_task_id not in came and each.ended_at > now - REMEMBERED_FOR
        ]
        missed.sort(key=lambda each: each.ended_at)
        return RivalRecord(position=up_to, looked_at=now, missed=missed[-_LIMIT:])

    def _judged(self, record: RivalRecord, now: float) -> RivalRecord:
        """Count the holes."""
        caught_up_at = self._health.caught_up_at or 0.0
        holes: dict[tuple[str, float], MissedTask] = {}
        for each in record.missed:
            if each.found_at + GRACE > caught_up_at:
                continue  # it may lie in the queue still
            around = self._store.arrivals.neighbours(self._queue, each.event_type, each.ended_at)
            if around is not None and not around.unparsed:
                holes[each.event_type, around.before] = each
        ended = sorted(each.ended_at for each in holes.values())
        if len(holes) >= HOLES and ended[-1] > now - SAID_FOR:
            last = max(holes.values(), key=lambda each: each.ended_at)
            record.holes, record.first_at, record.last_at = len(holes), ended[0], ended[-1]
            record.example, record.event_type = last.vod_task_id, last.event_type
        return record

    def _tell(self, record: RivalRecord) -> None:
        """Put it into what the relay says of itself, which all who look after the queue read."""
        self._health.rivals_until_at = (record.last_at or 0.0) + SAID_FOR if record.holes else None
        self._health.rivals = _sentence(self._queue, record) if record.holes else ""

    def _log(self, before: RivalRecord, after: RivalRecord) -> None:
        if after.holes and not before.holes:
            log.warning("%s", _sentence(self._queue, after))
        elif before.holes and not after.holes:
            log.info("Nothing else seems to pull queue %s any more", self._queue)


def _sentence(queue: str, record: RivalRecord) -> str:
    first, last = utc(record.first_at or 0.0), utc(record.last_at or 0.0)
    return (
        f"Something else seems to pull queue {queue} and keeps events from this inbox: {record.holes} times between {first} "
        f"and {last} a task ended whose event never came, while events of the same type came before and after it; the last "
        f"was {record.example} ({record.event_type}). Such waits end minutes late. Look for another Airflow, AIRFLOW_HOME or "
        "machine with an inbox of its own, a test environment or a script that pulls this application; give all of Airflow "
        "one [tencent_vod] inbox_sql_alchemy_conn, and others an application (SubAppId) of their own."
    )


def _missed(asked: Asked) -> MissedTask | None:
    """Judge one task by itself: whether its event should have come."""
    body = json.loads(asked.text)
    ended_at = _seconds(body.get(FINISH_TIME)) if isinstance(body, dict) else None
    if ended_at is None or asked.status == "ABORTED" or asked.received_at - ended_at > FOUND_WITHIN:
        return None  # nobody knows whether VOD announces what was aborted
    modes = [each.get("TasksNotifyMode") for each in body.values() if isinstance(each, dict)]
    return None if "None" in modes else MissedTask(asked.vod_task_id, asked.event_type, ended_at, asked.received_at)


def _seconds(text: object) -> float | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo and moment.year > 1 else None
