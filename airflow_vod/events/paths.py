"""Paths into payloads, as the table of event types writes them.

Invariant: a path leads to what is there and raises nothing, whatever the payload holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple


def values_at(value: Any, path: str) -> list[Any]:
    """Find the values at a path of the table.

    :param value: the payload or a part of it.
    :param path: see :class:`airflow_vod.events.types.EventType`.
    :return: the values in order; none where the structure differs from the path.
    """
    values = [value]
    for step in _steps(path):
        found: list[Any] = []
        for each in values:
            if isinstance(each, (dict, Mapping)):
                found += step.of(each)
        values = found
    return values


class _Step(NamedTuple):
    name: str
    many: bool

    def of(self, value: Mapping[str, Any]) -> Iterable[Any]:
        if self.name == "*":
            return [child for child in value.values() if isinstance(child, Mapping)]
        found = value.get(self.name)
        if self.many:
            return found if isinstance(found, list) else ()
        return (found,) if self.name in value else ()


@cache  # the paths of the table, and no others
def _steps(path: str) -> tuple[_Step, ...]:
    return tuple(_Step(step.removesuffix("[]"), step.endswith("[]")) for step in path.split(".") if step)
