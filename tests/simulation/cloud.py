"""VOD as the simulation sees it: the emulator's own application behind a network that loses, delays, doubles and refuses.

Invariant: whatever the network does, queue, tasks and SessionIds keep VOD's rules, because they are the emulator's; and what
calls them is the product's own client, from its retries to the reading of answers.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from airflow_vod.emulator.actions import ACTIONS
from airflow_vod.emulator.application import Application
from airflow_vod.emulator.errors import ApiError
from airflow_vod.emulator.options import EmulatorOptions
from airflow_vod.emulator.queue import Delivery, EventQueue
from airflow_vod.emulator.request import refusal, success
from airflow_vod.emulator.schedule import Schedule
from airflow_vod.emulator.starters import STARTERS
from airflow_vod.exceptions import VodAuthenticationError, VodThrottledError, VodTransientError
from airflow_vod.tencent.client import VodClient
from airflow_vod.tencent.errors import NotSentError
from tests.simulation.world import BrokenError, Mailbox, Process, World

TIMEOUT = 10.0  # seconds after which a client gives an answer up
LIMIT = 100  # requests of an action in any one second
SUB_APP_ID = 1500012345


@dataclass
class Weather:
    """How often things fail. All are probabilities of one request, but for the times."""

    request_lost: float = 0.0
    request_late: float = 0.0  # carried out after its client has given it up
    doubled: float = 0.0  # carried out twice
    not_sent: float = 0.0
    answer_lost: float = 0.0
    answer_late: float = 0.0
    throttled: float = 0.0
    refused: float = 0.0
    before_commit: float = 0.0
    after_commit: float = 0.0
    rtt: float = 0.02  # seconds on average
    slow: float = 0.0  # a call to the database takes seconds


CALM = Weather()


def task_in(event: Mapping[str, Any]) -> str:
    """Answer the task that an event is about."""
    return next(str(part["TaskId"]) for part in event.values() if isinstance(part, dict))


class Cloud:
    """One application.

    :param world: in which it is.
    :param weather: of its network.
    :param options: of the emulator, besides its seed.
    """

    def __init__(self, world: World, weather: Weather, **options: Any) -> None:
        self.world = world
        self.weather = weather
        self.published: list[str] = []
        self.file_types: dict[str, str] = {}  # of what splices have made, by VOD task
        self.is_committed: Callable[[str], bool] = lambda _: True
        self.may_confirm: Callable[[str], bool] = lambda _: True
        self.may_pull: Callable[[Process], None] = lambda _: None
        self.on_push: Callable[[Mapping[str, Any]], None] = lambda _: None
        self.requests: dict[str, deque[float]] = {}
        self.revoked: set[str] = set()  # secret ids
        self._of_handle: dict[str, str] = {}  # VOD task id
        self.schedule = Schedule(SimpleNamespace(now=world.time), on_earlier=self._look_ahead)  # type: ignore[arg-type]
        self.options = EmulatorOptions(**{"seed": world.seed, "null_fields": False, **options})
        self.app = Application(SUB_APP_ID, self.schedule, self.options, lambda _, event: self.on_push(event))
        self.app.publish = self._publish_of_task(self.app.publish)  # type: ignore[method-assign]
        self.app.runner._publish = self.app.publish

    @property
    def queue(self) -> EventQueue:
        """The queue of the application."""
        return self.app.queue

    def _look_ahead(self) -> None:
        due_at = self.schedule.next_due()
        if due_at is not None:
            self.world.after(due_at - self.world.time(), self._tick)

    def _tick(self) -> None:
        self.schedule.run()
        self._look_ahead()

    def _publish_of_task(self, publish: Callable[[Mapping[str, Any]], Any]) -> Callable[[Mapping[str, Any]], Any]:
        def noted(event: Mapping[str, Any]) -> Any:
            vod_task_id = task_in(event)
            self.published.append(vod_task_id)
            self.world.note(f"VOD publishes {vod_task_id[-4:]} by {self.app.config.mode}")
            return publish(event)

        return noted

    def new_id(self) -> str:
        """Make the id of a splice that has not ended."""
        return f"{SUB_APP_ID}-EditMedia-{self.world.names.getrandbits(128):032x}"

    def publish(self, vod_task_id: str = "", file_type: str = "mp4") -> str:
        """Let a splice end."""
        vod_task_id = vod_task_id or self.new_id()
        self.file_types[vod_task_id] = file_type
        self.app.publish(self.event_of(vod_task_id, file_type))
        return vod_task_id

    @staticmethod
    def event_of(vod_task_id: str, file_type: str = "mp4") -> dict[str, Any]:
        """Make the event with which a splice ends."""
        output = {"FileType": file_type, "FileId": str(int(vod_task_id[-8:], 16)), "FileUrl": "http://h/f0.mp4"}
        event = {"TaskId": vod_task_id, "Status": "FINISH", "ErrCode": 0, "Message": "", "Output": output}
        return {"EventType": "EditMediaComplete", "EditMediaCompleteEvent": event}

    def request(self, process: Process, action: str, body: Mapping[str, Any]) -> bytes:
        """Carry a request there and its answer back, in a thread of a process.

        :return: the body of the answer.
        :raises VodApiError: what the network, or VOD's gate, made of it.
        """
        rng, weather, world = self.world.rng, self.weather, self.world
        if action == "PullEvents":
            self.may_pull(process)
        if rng.random() < weather.not_sent:
            world.sleep(rng.uniform(0, 3))
            raise NotSentError(action, "ClientNetworkError", "no connection")
        self._arrive(action)
        world.sleep(rng.uniform(0, weather.rtt))
        if rng.random() < weather.request_lost:
            self._lose(process, action)
        if rng.random() < weather.throttled:
            raise VodThrottledError(action, "RequestLimitExceeded", "too many")
        if rng.random() < weather.refused:
            raise VodAuthenticationError(action, "AuthFailure.SignatureFailure", "refused")
        if rng.random() < weather.request_late:
            world.after(rng.uniform(0, 1.5 * TIMEOUT), lambda: self._carry_out(action, body, Mailbox(world)))
            self._lose(process, action)
        came = Mailbox(world)
        if rng.random() < weather.doubled and (action not in STARTERS or "SessionId" in body):
            world.note(f"{action} of {process.name} arrives twice")
            self._carry_out(action, body, Mailbox(world))
        self._carry_out(action, body, came)
        answer: bytes = came.get()
        if rng.random() < weather.answer_lost:
            self._lose(process, action)
        late = rng.uniform(0, TIMEOUT) if rng.random() < weather.answer_late else 0.0
        world.sleep(rng.uniform(0, weather.rtt) + late)
        world.note(f"{process.name} has an answer to {action}")
        return answer

    def _arrive(self, action: str) -> None:
        """Count a request; VOD's rate limit is the product's to keep."""
        times = self.requests.setdefault(action, deque())
        now = self.world.now
        while times and times[0] <= now - 1.0:
            times.popleft()
        times.append(now)
        if len(times) > LIMIT:
            raise BrokenError(f"{len(times)} requests {action} within a second")

    def _lose(self, process: Process, action: str) -> None:
        self.world.note(f"{process.name} has no answer to {action}")
        self.world.sleep(TIMEOUT)
        raise VodTransientError(action, "ClientNetworkError", "no answer")

    def _carry_out(self, action: str, body: Mapping[str, Any], came: Mailbox) -> None:
        row = ACTIONS[action]
        if action == "ConfirmEvents":
            self._check_confirm(body["EventHandles"])
        reply = Reply(came, self._note_deliveries)
        try:
            row.run(self.app, row.parameters.model_validate(dict(body), context="POST"), reply)  # type: ignore[arg-type]
        except ApiError as error:
            reply.refuse(error)

    def _note_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        for each in deliveries:
            self._of_handle[each.handle] = task_in(json.loads(each.body))

    def _check_confirm(self, handles: Sequence[str]) -> None:
        for handle in handles:
            vod_task_id = self._of_handle[handle]
            if not self.is_committed(vod_task_id):
                raise BrokenError(f"{vod_task_id} is confirmed before it is committed")
            if not self.may_confirm(vod_task_id):
                raise BrokenError(f"{vod_task_id} is confirmed, although nobody here waits for it")


class Reply:
    """Takes the answer of an action; as `airflow_vod.emulator.exchange.Exchange`.

    :param came: where the answer goes.
    :param note: is told what a pull delivers.
    """

    def __init__(self, came: Mailbox, note: Callable[[Sequence[Delivery]], None]) -> None:
        self.events = 0
        self._came = came
        self._note = note

    def wait_in(self, queue: EventQueue, answer: Callable[[Sequence[Delivery]], None]) -> None:
        """See `Exchange.wait_in`."""

        def noted(deliveries: Sequence[Delivery]) -> None:
            self._note(deliveries)
            answer(deliveries)

        queue.pull(noted)

    def deliver(self, queue: EventQueue, handles: list[str]) -> None:
        """See `Exchange.deliver`."""

    def succeed(self, members: bytes, events: int = 0) -> None:
        """See `Exchange.succeed`."""
        self._came.put(success(members).body)

    def refuse(self, error: ApiError) -> None:
        """See `Exchange.refuse`."""
        self._came.put(refusal(error).body)


class Client(VodClient):
    """The product's client in one process, on the world's network.

    :param process: in which it is.
    :param cloud: which it calls.
    :param settings: of the connection.
    """

    def __init__(self, process: Process, cloud: Cloud, settings: Any) -> None:
        self.settings = settings
        self._process, self._cloud = process, cloud
        self._sdk = SimpleNamespace(call=self._send)  # type: ignore[assignment]

    def _send(self, action: str, body: Mapping[str, Any], headers: Any) -> bytes:
        if self.settings.secret_id in self._cloud.revoked:
            self._cloud.world.sleep(0.01)
            raise VodAuthenticationError(action, "AuthFailure.SecretIdNotFound", "no such key")
        return self._cloud.request(self._process, action, body)

    def close(self) -> None:
        """Nothing to close."""
