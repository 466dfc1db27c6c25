"""What waits in the triggerer for events by what they say: for a sensor the next one, for an asset watcher every one.

Invariants: a trigger carries no secret; what it serialises is the same for the same arguments in whatever order, so that
parsing a DAG does not make it anew; an asset watcher's cursor passes an event only after Airflow has stored it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_vod.events.matching import EventMatch
from airflow_vod.exceptions import VodSettingsError
from airflow_vod.hooks.vod import DEFAULT_CONN_ID
from airflow_vod.triggers.arguments import decoded, is_made_by_a_triggerer, note_unknown
from airflow_vod.triggers.base import VodWaitTrigger

if TYPE_CHECKING:
    from collections.abc import Hashable

    from airflow.triggers.shared_stream import SharedStreamProducer

    from airflow_vod.waiting.feed import Feed
    from airflow_vod.waiting.waiter import EventWaiter
    from airflow_vod.waiting.watch import Watch

_SETTLE = 10.0  # seconds after which Airflow before 3.3 has stored an event, or died
_NAME_LENGTH = 200
_LONG_PAUSE = 60.0  # seconds until a watcher that cannot work says so again


class VodNextEventTrigger(VodWaitTrigger):
    """Waits for the next event that matches. `airflow_vod.sensors.vod_event.VodEventSensor` defers to it.

    Its event is ``{"status": "found", "queue": …, "position": …}``, or as `VodTaskTrigger`'s.

    :param event_type: event type that counts, or several; None for any.
    :param match: as at the sensor.
    :param since: Unix seconds; events that came before count as past.
    :param kwargs: what `VodWaitTrigger` takes.
    """

    def __init__(
        self,
        *,
        event_type: str | Sequence[str] | None = None,
        match: Mapping[str, Any] | None = None,
        since: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.event_type = event_type
        self.match = decoded(match)
        self.since = since

    def _arguments(self) -> dict[str, Any]:
        return {**_plain(self.event_type, self.match), "since": self.since}

    def _make_waiter(self) -> EventWaiter:
        from airflow_vod.waiting.waiter import EventWaiter

        match = EventMatch.of(self.event_type, self.match)
        return EventWaiter(match, since=self.since, name=self._name(), deadline_at=self._ends_at())

    def _wanted(self, waiter: EventWaiter) -> str:
        return str(waiter.match)

    def _has_something(self, waiter: EventWaiter) -> bool:
        return waiter.found is not None

    async def _ended(self, watch: Watch, waiter: EventWaiter, news: None) -> TriggerEvent | None:
        if waiter.found is None:
            return None
        return TriggerEvent({"status": "found", "queue": waiter.found.queue, "position": waiter.found.position})


class VodEventTrigger(BaseEventTrigger):
    """Fires for every event of VOD that matches; for an `AssetWatcher`, whose asset then starts DAGs.

    Each VOD event becomes one asset event. Its payload has the keys ``key``, ``event_type``, ``vod_task_id``, ``file_id``,
    ``status``, ``queue``, ``position``, ``received_at`` (Unix seconds), ``payload`` and ``result``, see
    `airflow_vod.inbox.lookup.event_to_dict`; the latter two are None where they would make it larger than 8 KB.

    A new watcher begins with the events that reach the inbox after it first runs. Where it has got to is kept in the inbox,
    so nothing is missed while no triggerer runs. On Airflow 3.3 and newer an event is done with once Airflow has stored it;
    what Airflow stored in the last second or two before a triggerer died under load comes again (at most 100 events), and
    before 3.3 what came in the last ten. It has the same ``key`` then.

    :param event_type: event type that counts, or several; None for any.
    :param match: what the event must say, as at `airflow_vod.sensors.vod_event.VodEventSensor`; not templated.
    :param vod_conn_id: Airflow connection to the VOD application.
    :param sub_app_id: another application of the same account than the connection's.
    :param watcher: a name of your own, by which the place in the queue is kept even when the other arguments change; one
        watcher for each name. By default the arguments themselves are the name.
    :param unknown: what another version of this package has stored.
    :raises VodSettingsError: an argument cannot work; in a triggerer the watcher says so when it runs.
    """

    def __init__(
        self,
        *,
        event_type: str | Sequence[str] | None = None,
        match: Mapping[str, Any] | None = None,
        vod_conn_id: str = DEFAULT_CONN_ID,
        sub_app_id: int | str | None = None,
        watcher: str | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__()
        self.event_type = event_type
        self.match = decoded(match)
        self.vod_conn_id = vod_conn_id
        self.sub_app_id = sub_app_id
        self.watcher = watcher
        self._unknown = note_unknown(type(self), unknown)
        try:  # here, and not where it runs, so that a mistake is an error of the DAG's import and not only a line in a log
            self._check()
        except VodSettingsError:
            if not is_made_by_a_triggerer():
                raise

    def _check(self) -> None:
        EventMatch.of(self.event_type, self.match)
        watcher = self.watcher
        if watcher is not None and not (
            isinstance(watcher, str) and watcher.isprintable() and 0 < len(watcher) <= _NAME_LENGTH
        ):
            raise VodSettingsError(
                f"watcher must be a name of 1 to {_NAME_LENGTH} printable characters, not {watcher!r:.100}."
            )

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Write this trigger as Airflow stores it."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                **_plain(self.event_type, self.match),
                "vod_conn_id": self.vod_conn_id,
                "sub_app_id": self.sub_app_id,
                "watcher": self.watcher,
            },
        )

    def _feed(self, settle: float | None = None) -> Feed:
        from airflow_vod.waiting.feed import Feed

        match = EventMatch.of(self.event_type, self.match)
        name = self.watcher or f"of {match}"
        return Feed(self._name(), match, self.vod_conn_id, self.sub_app_id, name=name, settle=settle)

    def _name(self) -> str:
        return self.watcher or hashlib.sha256(self._identity().encode()).hexdigest()[:32]

    def _identity(self) -> str:
        return json.dumps(self.serialize()[1], sort_keys=True)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each that counts (Airflow before 3.3)."""
        await self._report()
        feed = self._feed(settle=_SETTLE)
        try:
            async for event, _ in feed.events():
                yield TriggerEvent(event)
        finally:
            await feed.aclose()

    async def _report(self) -> None:
        """Say what its constructor did not."""
        if self._unknown:
            self.log.warning("%s", self._unknown)
        try:
            self._check()
        except VodSettingsError as error:
            self.log.error("This watcher cannot work: %s", error)
            await asyncio.sleep(_LONG_PAUSE)  # Airflow starts a watcher that ends anew at once
            raise

    # Airflow 3.3 and newer run these instead of `run`, and say when an event is stored.

    def shared_stream_key(self) -> Hashable:
        """Name the stream of this watcher: each has its own, for each has its own cursor.

        :raises VodSettingsError: it cannot work; then Airflow calls `run`, which says so.
        """
        self._check()
        return ("airflow_vod", self._identity())

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> SharedStreamProducer:
        """Make what reads the events, and takes note of those that Airflow has stored."""
        from airflow_vod.waiting.producer import VodEventProducer

        return VodEventProducer(cls(**kwargs)._feed())

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each that the producer reads."""
        await self._report()
        async for handed in shared_stream:
            yield TriggerEvent(handed.event)
            handed.over = True


def _plain(event_type: str | Sequence[str] | None, match: Mapping[str, Any] | None) -> dict[str, Any]:
    checked = EventMatch.of(event_type, match)
    return {"event_type": list(checked.event_types) or None, "match": dict(checked.fields) or None}
