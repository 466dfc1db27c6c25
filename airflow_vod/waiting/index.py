"""Who waits in a watch, found at once for any event.

Invariant: what an event costs depends on how many it is for, and on how many different fields are asked for, not on how
many wait.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from airflow_vod.events.matching import values_of
from airflow_vod.waiting.waiter import MatchWaiter, TaskWaiter, Waiter

if TYPE_CHECKING:
    from airflow_vod.events.matching import EventMatch
    from airflow_vod.events.parse import VodEvent
    from airflow_vod.inbox import EventHeader

_Key = tuple[str, str]  # a field and the value that must be there

_TYPE = "event_type"
_RARENESS = {
    name: number
    for number, name in enumerate(("vod_task_id", "file_id", "session_id", "session_context", "source_context"))
} | {"source": 99}
"""The order in which fields are taken to tell waiters apart; those of other names come between."""
_ANY: _Key = ("", "")


class WaiterIndex:
    """The waiters of a watch. Not safe for several threads: the watch holds its lock."""

    def __init__(self) -> None:
        self._waiters: dict[Waiter, None] = {}  # in the order in which they came, so that a run can be repeated
        self._by_task: dict[str, list[TaskWaiter]] = {}
        self._by_key: dict[_Key, dict[MatchWaiter, None]] = {}
        self._fields: Counter[str] = Counter()  # by which somebody is found in `_by_key`
        self._types: Counter[str | None] = Counter()  # of those whom a header alone does not rule out; None for any
        self._by_name: dict[tuple[str, str | None], dict[Waiter, None]] = {}
        self._loops: Counter[asyncio.AbstractEventLoop] = Counter()

    def __len__(self) -> int:
        return len(self._waiters)

    def __iter__(self) -> Iterator[Waiter]:
        return iter(self._waiters)

    def __contains__(self, waiter: Waiter) -> bool:
        return waiter in self._waiters

    def add(self, waiter: Waiter) -> None:
        """Take a waiter in."""
        self._waiters[waiter] = None
        self._loops[waiter.loop] += 1
        for vod_task_id in waiter.listed_for:
            self._by_name.setdefault((waiter.name, vod_task_id), {})[waiter] = None
        if isinstance(waiter, TaskWaiter):
            for vod_task_id in waiter.vod_task_ids:
                self._by_task.setdefault(vod_task_id, []).append(waiter)
        elif isinstance(waiter, MatchWaiter):
            self._count(waiter.match, 1)
            for key in _keys(waiter.match):
                self._by_key.setdefault(key, {})[waiter] = None

    def discard(self, waiter: Waiter) -> bool:
        """Let a waiter go.

        :return: whether it was there.
        """
        if waiter not in self._waiters:
            return False
        del self._waiters[waiter]
        _add(self._loops, waiter.loop, -1)
        for vod_task_id in waiter.listed_for:
            _remove(self._by_name, (waiter.name, vod_task_id), waiter)
        if isinstance(waiter, TaskWaiter):
            for vod_task_id in waiter.vod_task_ids:
                self._by_task[vod_task_id].remove(waiter)
                if not self._by_task[vod_task_id]:
                    del self._by_task[vod_task_id]
        elif isinstance(waiter, MatchWaiter):
            self._count(waiter.match, -1)
            for key in _keys(waiter.match):
                _remove(self._by_key, key, waiter)
        return True

    def _count(self, match: EventMatch, by: int) -> None:
        for field in {field for field, _ in _keys(match)}:
            _add(self._fields, field, by)
            if field != "vod_task_id":
                for event_type in match.event_types or (None,):
                    _add(self._types, event_type, by)

    def of_closed_loops(self) -> list[Waiter]:
        """Answer whose event loop was closed under them: they cannot leave by themselves."""
        closed = {loop for loop in tuple(self._loops) if loop.is_closed()}
        return [waiter for waiter in self._waiters if waiter.loop in closed] if closed else []

    def of_task(self, vod_task_id: str | None) -> Sequence[TaskWaiter]:
        """Answer who waits for the end of a VOD task."""
        return self._by_task.get(vod_task_id or "", ())

    def named(self, name: str, vod_task_id: str | None) -> Collection[Waiter]:
        """Answer who waits under a name, for a VOD task or None: more than one while a trigger changes hands."""
        return self._by_name.get((name, vod_task_id), ())

    def may_count(self, header: EventHeader) -> bool:
        """Say whether somebody may wait for an event by what it says, as far as its header tells."""
        if header.event_type is None:
            return False
        if ("vod_task_id", header.vod_task_id) in self._by_key:
            return True
        return bool(self._types[header.event_type] or self._types[None])

    @property
    def fields(self) -> Collection[str]:
        """The fields of an event by which somebody may be found, for `keys_of`."""
        return tuple(self._fields)

    def candidates(self, keys: Iterable[_Key]) -> list[MatchWaiter]:
        """Answer who may wait for an event with these keys; whether it counts, their own match tells."""
        return list({waiter: None for key in keys for waiter in self._by_key.get(key, ())})


def keys_of(event: VodEvent, fields: Collection[str]) -> list[_Key]:
    """Answer the keys under which an event is waited for.

    :param fields: `WaiterIndex.fields`.
    """
    keys = [_ANY, (_TYPE, event.event_type)]
    return keys + [(field, value) for field in fields if field not in ("", _TYPE) for value in values_of(event, field)]


def _keys(match: EventMatch) -> list[_Key]:
    """Choose where to file a match: under the field whose value the fewest share, else under its types."""
    if match.fields:
        return [min(match.fields, key=lambda field: _RARENESS.get(field[0], len(_RARENESS)))]
    return [(_TYPE, event_type) for event_type in match.event_types] or [_ANY]


def _add(counter: Counter[Any], key: Any, by: int) -> None:
    """Count up or down; what is down to nothing is not kept."""
    counter[key] += by
    if not counter[key]:
        del counter[key]


def _remove(index: dict[Any, dict[Any, None]], key: Any, value: Any) -> None:
    index[key].pop(value, None)
    if not index[key]:
        del index[key]
