"""Events generated from the vendor's own description of its data, and small changes to them. All of it follows from a seed."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from random import Random
from typing import Any

from airflow_vod.events.types import EVENT_TYPES, EventType
from tests.unit import vendor

ODD: tuple[Any, ...] = (
    *(None, "", [], {}, [""], [[]], [None], [{}], {"a": ""}, {"a": []}, float("nan")),
    *(0, 1, -1, 0.0, 1.0, 2**70, True, False, "0", "1", "x", "\0", "\ud800"),
    *("FAIL", "FAILED", "RUN", "SUCCESS", "FINISH", "PROCESSING", "ABORTED", 30010, "InternalError.Some"),
    *("block", "pass", "http://example.com/other.mp4", "http://example.com/other.mp4?sign=1"),
)
"""What a field may hold that VOD does not send, or sends of another event."""

_STRUCTURES: dict[str, dict[str, Any]] = {}


def payload_of(random: Random, row: EventType) -> dict[str, Any]:
    """Generate a payload: the vendor's structure in full, with most of it taken out."""
    if row.name not in _STRUCTURES:
        structure = vendor.detail_fields()[row.detail] if row.detail else vendor.payload_fields()[row.field]
        _STRUCTURES[row.name] = vendor.example(structure)
    payload: dict[str, Any] = _thinned(random, _STRUCTURES[row.name])
    if row.ends_task and "TaskId" in _STRUCTURES[row.name]:
        payload["TaskId"] = "task-1"
    return payload


def _thinned(random: Random, value: Any) -> Any:
    if isinstance(value, dict):
        keep = 0.25 if len(value) > 12 else 0.7
        important = ("Status", "ErrCode", "Output", "Type")
        return {
            name: _thinned(random, item)
            for name, item in value.items()
            if random.random() < keep or (name in important and random.random() < 0.8)
        }
    if isinstance(value, list):
        return [_thinned(random, item) for item in value for _ in range(random.choice((1, 1, 2)))]
    return copy.copy(value)


def changed(random: Random, payload: dict[str, Any]) -> dict[str, Any]:
    """Change a payload in one to three places."""
    other: dict[str, Any] = copy.deepcopy(payload)
    for _ in range(random.choice((1, 1, 2, 3))):
        holder, place = random.choice(list(_places(other)) or [(other, "Status")])
        match random.randrange(6):
            case 0:
                holder.pop(place) if isinstance(holder, list) else holder.pop(place, None)
            case 1 if isinstance(holder, list):
                holder.insert(random.randrange(len(holder) + 1), copy.deepcopy(random.choice(ODD)))
            case 2 if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[place]))
            case 3 if isinstance(holder, dict):
                name = random.choice(
                    ("Status", "ErrCode", "ErrCodeExt", "Message", "FileId", "Url", "Definition", "Input")
                )
                holder[name] = copy.deepcopy(random.choice(ODD))
            case _:
                holder[place] = copy.deepcopy(random.choice(ODD))
    return other


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for place, item in items:
        yield value, place
        yield from _places(item)


def with_noise(random: Random, value: Any) -> Any:
    """Write a value as another road would: in another order, with fields that hold nothing."""
    if isinstance(value, list):
        return [with_noise(random, item) for item in value]
    if not isinstance(value, dict):
        return value
    items = [(name, with_noise(random, item)) for name, item in value.items()]
    items += [
        (f"Nothing{number}", copy.deepcopy(random.choice((None, "", [], {})))) for number in range(random.randrange(3))
    ]
    random.shuffle(items)
    return dict(items)


def pairs(seed: int, count: int) -> Iterator[tuple[EventType, dict[str, Any], dict[str, Any]]]:
    """Generate pairs of payloads of one type, the second a changed first one."""
    random = Random(seed)
    rows = [*EVENT_TYPES.values(), EventType("NewComplete", "NewCompleteEvent", "EditMediaTask")]
    for _ in range(count):
        row = random.choice(rows)
        payload = payload_of(random, row)
        if random.random() < 0.2:
            payload = changed(random, payload)
        yield row, payload, changed(random, payload)
