"""SessionIds: how the service recognizes a request that it has had before.

Invariant: of two requests with the same SessionId within the window, the second one is refused.

Source: VOD API 2018-07-17: the request pages say three days, seven for ProcessMediaByProcedure and RemoveWatermark; most result
structures say seven days, and one error code's description says one day.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from airflow_vod.emulator.schedule import Schedule


@dataclass(slots=True)
class Sessions:
    """The SessionIds of one scope. Not thread-safe: its owner holds a lock."""

    schedule: Schedule
    _used_at: dict[Hashable, float] = field(default_factory=dict)

    def used(self, key: Hashable, window: float) -> bool:
        """:param key: the SessionId, and whatever else tells two requests apart.
        :param window: in seconds.
        :return: whether it was used within the window.
        """
        return self.schedule.now() - self._used_at.get(key, float("-inf")) < window

    def remember(self, key: Hashable) -> None:
        """:param key: is used now."""
        self._used_at[key] = self.schedule.now()
