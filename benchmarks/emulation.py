"""The VOD API of the benchmarks: an emulator in a process of its own, with somebody who lets events happen.

Invariant: events are published inside the emulator, so that publishing costs no call and shifts no time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

from airflow_vod.emulator import Emulator, EmulatorOptions

SUB_APP_ID = 1500012345
_STEP = 0.002  # seconds between two looks at what is due


class Emulation:
    """An emulator, for `Child`.

    :param options: of `EmulatorOptions`.
    """

    def __init__(self, **options: Any) -> None:
        self._emulator = Emulator(options=EmulatorOptions(calls_kept=100_000, event_switches="ON", **options))

    def __enter__(self) -> Self:
        self._emulator.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._emulator.stop()

    def connection(self, sub_app_id: int = SUB_APP_ID) -> str:
        """:return: an Airflow connection to the application."""
        return self._emulator.airflow_connection(sub_app_id)

    def endpoint(self) -> tuple[str, str, str]:
        """:return: endpoint, SecretId and secret key."""
        return self._emulator.endpoint, self._emulator.secret_id, self._emulator.secret_key

    def publish(self, vod_task_ids: Sequence[str]) -> float:
        """Let splices end, all at once.

        :return: when, by the clock that all processes share.
        """
        now = time.monotonic()
        for vod_task_id in vod_task_ids:
            self._publish(vod_task_id)
        return now

    def offer(self, vod_task_ids: Sequence[str], rate: float, sub_app_ids: Sequence[int] | None = None) -> list[float]:
        """Let splices end one after the other.

        :param rate: events per second.
        :param sub_app_ids: the application of each, if they are not all of one.
        :return: when each did, by the clock that all processes share.
        """
        began, times = time.monotonic(), []
        for number, vod_task_id in enumerate(vod_task_ids):
            while time.monotonic() < began + number / rate:
                time.sleep(_STEP)
            times.append(time.monotonic())
            self._publish(vod_task_id, sub_app_ids[number] if sub_app_ids else SUB_APP_ID)
        return times

    def let_pass(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Let any events happen, all at once, and wait until each is confirmed."""
        for event in events:
            self._emulator.publish(event, SUB_APP_ID)
        self.empty()

    def empty(self, patience: float = 60.0) -> None:
        """Wait until every event is confirmed.

        :param patience: seconds.
        """

        def confirmed() -> bool:
            counts = self._emulator.queue(SUB_APP_ID)
            return counts.visible == counts.hidden == 0

        self._emulator.wait_until(confirmed, patience)

    def calls(self) -> list[tuple[str, float]]:
        """:return: action and time of arrival of each call so far."""
        return [(call.action, call.arrived_at) for call in self._emulator.calls]

    def _publish(self, vod_task_id: str, sub_app_id: int = SUB_APP_ID) -> None:
        url = f"http://example.com/{vod_task_id}"
        self._emulator.publish_concat(vod_task_id, [f"{url}.m3u8", f"{url}.mp4"], sub_app_id)


def splices(number: int, name: str = "Concat") -> list[str]:
    """:return: VOD task ids."""
    return [f"{name}-{index:032d}" for index in range(number)]
