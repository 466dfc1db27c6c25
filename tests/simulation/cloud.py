"""VOD as the simulation sees it: the emulator's own queue behind a network that loses, delays and refuses.

Invariant: whatever the network does, the queue itself keeps VOD's rules, because it is the emulator's.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from airflow_vod.emulator.options import EmulatorOptions
from airflow_vod.emulator.queue import Delivery, EventQueue
from airflow_vod.emulator.schedule import Schedule
from airflow_vod.exceptions import VodAuthenticationError, VodThrottledError, VodTransientError
from tests.simulation.world import BrokenError, Process, World

TIMEOUT = 10.0  # seconds after which a client gives an answer up
LIMIT = 100  # requests of an action in any one second


@dataclass
class Weather:
    """How often things fail. All are probabilities of one request, but for the times."""

    request_lost: float = 0.0
    answer_lost: float = 0.0
    answer_late: float = 0.0
    throttled: float = 0.0
    refused: float = 0.0
    before_commit: float = 0.0
    after_commit: float = 0.0
    rtt: float = 0.02  # seconds on average
    slow: float = 0.0  # a call to the database takes seconds


CALM = Weather()


class Cloud:
    """One application's queue.

    :param world: in which it is.
    :param weather: of its network.
    """

    def __init__(self, world: World, weather: Weather) -> None:
        self.world = world
        self.weather = weather
        self.published: list[str] = []
        self.is_committed: Callable[[str], bool] = lambda _: True
        self.requests: dict[str, deque[float]] = {}
        self._bodies: dict[str, str] = {}  # handle -> VOD task id
        schedule = Schedule(SimpleNamespace(now=world.time), on_earlier=self._look_ahead)
        self._schedule = schedule
        self.queue = EventQueue(schedule, EmulatorOptions(seed=world.seed))

    def _look_ahead(self) -> None:
        due_at = self._schedule.next_due()
        if due_at is not None:
            self.world.after(due_at - self.world.time(), self._tick)

    def _tick(self) -> None:
        self._schedule.run()
        self._look_ahead()

    def publish(self) -> str:
        """Let a splice end."""
        vod_task_id = f"1500012345-EditMedia-{len(self.published):032d}"
        self.published.append(vod_task_id)
        self.world.note(f"VOD publishes {vod_task_id[-4:]}")
        output = {"FileType": "mp4", "FileId": f"52{len(self.published):017d}", "FileUrl": "http://h/f0.mp4"}
        event = {"TaskId": vod_task_id, "Status": "FINISH", "ErrCode": 0, "Message": "", "Output": output}
        body = {"EventType": "EditMediaComplete", "EditMediaCompleteEvent": event}
        self.queue.publish(json.dumps(body).encode())
        return vod_task_id

    def arrive(self, action: str) -> None:
        """Count a request; VOD's rate limit is the product's to keep."""
        times = self.requests.setdefault(action, deque())
        now = self.world.now
        while times and times[0] <= now - 1.0:
            times.popleft()
        times.append(now)
        if len(times) > LIMIT:
            raise BrokenError(f"{len(times)} requests {action} within a second")

    def deliver(self, deliveries: Sequence[Delivery]) -> list[dict[str, Any]]:
        """Make what a pull answers."""
        items = []
        for each in deliveries:
            item = json.loads(each.body)
            self._bodies[each.handle] = item["EditMediaCompleteEvent"]["TaskId"]
            items.append({"EventHandle": each.handle, **item})
        return items

    def confirm(self, handles: Sequence[str]) -> None:
        """Confirm; nothing may be confirmed that is not in the inbox."""
        for handle in handles:
            vod_task_id = self._bodies[handle]
            if not self.is_committed(vod_task_id):
                raise BrokenError(f"{vod_task_id} is confirmed before it is committed")
        self.queue.confirm(handles)


class Client:
    """What a relay calls, in one process; as `airflow_vod.tencent.client.VodClient`.

    :param process: in which it is.
    :param cloud: which it calls.
    :param settings: of the connection.
    :param may_pull: raises where a pull breaks a promise.
    """

    def __init__(self, process: Process, cloud: Cloud, settings: Any, may_pull: Callable[[], None]) -> None:
        self.settings = settings
        self._process = process
        self._world = process.world
        self._cloud = cloud
        self._may_pull = may_pull

    def pull_events(self) -> list[dict[str, Any]]:
        """Pull once; VOD holds an empty one for 5 s."""
        self._may_pull()
        self._depart("PullEvents")
        came = self._process.mailbox()
        self._cloud.queue.pull(came.put)
        deliveries: Sequence[Delivery] = came.get()
        items = self._cloud.deliver(deliveries)
        self._return("PullEvents")
        self._world.note(f"{self._process.name} pulled {len(items)}")
        return items

    def confirm_events(self, handles: Sequence[str]) -> None:
        """Confirm deliveries."""
        self._depart("ConfirmEvents")
        self._cloud.confirm(handles)
        self._return("ConfirmEvents")
        self._world.note(f"{self._process.name} confirmed {len(handles)}")

    def describe_event_config(self) -> dict[str, Any]:
        """Tell how the application announces its events."""
        self._depart("DescribeEventConfig")
        self._return("DescribeEventConfig")
        return {"Mode": "PULL"}

    def describe_events_state(self, *, tries: int = 1) -> int:
        """Tell how much is in the queue."""
        self._depart("DescribeEventsState")
        self._return("DescribeEventsState")
        return self._cloud.queue.counts().visible

    def close(self) -> None:
        """Nothing to close."""

    def _depart(self, action: str) -> None:
        rng, weather = self._world.rng, self._cloud.weather
        self._cloud.arrive(action)
        self._world.sleep(rng.uniform(0, weather.rtt))
        if rng.random() < weather.request_lost:
            self._lose(action)
        if rng.random() < weather.throttled:
            raise VodThrottledError(action, "RequestLimitExceeded", "too many")
        if rng.random() < weather.refused:
            raise VodAuthenticationError(action, "AuthFailure.SignatureFailure", "refused")

    def _return(self, action: str) -> None:
        rng, weather = self._world.rng, self._cloud.weather
        if rng.random() < weather.answer_lost:
            self._lose(action)
        late = rng.uniform(0, TIMEOUT) if rng.random() < weather.answer_late else 0.0
        self._world.sleep(rng.uniform(0, weather.rtt) + late)

    def _lose(self, action: str) -> None:
        self._world.note(f"{self._process.name} loses a {action}")
        self._world.sleep(TIMEOUT)
        raise VodTransientError(action, "ClientNetworkError", "no answer")
