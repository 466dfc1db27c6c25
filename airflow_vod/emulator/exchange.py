"""One call, from its request to its answer.

Invariant: the reply is made exactly once, and logged once, whatever faults, refusals and holds lie between.
The order of checks: fault, action and version, signature, token, rate limit, permission, parameters, SubAppId.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_vod.emulator.actions import ACTIONS
from airflow_vod.emulator.calls import Call
from airflow_vod.emulator.errors import ApiError, missing
from airflow_vod.emulator.parameters import read
from airflow_vod.emulator.request import Answer, refusal, success
from airflow_vod.emulator.signature import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_vod.emulator.actions import Action
    from airflow_vod.emulator.api import VodApi
    from airflow_vod.emulator.faults import Fault
    from airflow_vod.emulator.queue import Delivery, EventQueue, Poll
    from airflow_vod.emulator.request import Request

VERSION = "2018-07-17"


class Exchange:
    """One call. Not thread-safe: whoever owns the API's state holds its lock.

    :param api: whose call it is.
    :param request: as it arrived.
    :param reply: called exactly once with the answer, at once or later.
    """

    def __init__(self, api: VodApi, request: Request, reply: Callable[[Answer], None]) -> None:
        self.action = request.headers.get("x-tc-action", "")
        self.events = 0
        self._api = api
        self._request = request
        self._reply: Callable[[Answer], None] | None = reply
        self._arrived = api.schedule.now()
        self._secret_id: str | None = None
        self._sub_app_id: int | None = None
        self._fault: Fault | None = None
        self._waits_in: tuple[EventQueue, Poll] | None = None
        self._disconnected = False

    @property
    def open(self) -> bool:
        """Whether the reply is still to come."""
        return self._reply is not None

    def begin(self) -> None:
        """Carry the call out, or start to wait."""
        if self.action:
            self._fault = self._api.faults.take(self.action, self._arrived)
        instead = self._fault.instead() if self._fault else None
        if instead is not None:
            self._send(instead, "")
            return
        try:
            self._run()
        except ApiError as error:
            self.refuse(error)

    def wait_in(self, queue: EventQueue, answer: Callable[[Sequence[Delivery]], None]) -> None:
        """Pull from a queue; the exchange can be abandoned while it waits."""
        poll = queue.pull(answer)
        if self.open:
            self._waits_in = (queue, poll)

    def deliver(self, queue: EventQueue, handles: list[str]) -> None:
        """Note what is handed out, in case that a fault lets the handles die."""
        if self._fault is not None and self._fault.name == "expire_handles":
            queue.expire_handles(handles)

    def succeed(self, members: bytes, events: int = 0) -> None:
        """End the call well.

        :param members: of ``Response``, without braces.
        :param events: how many were delivered or confirmed.
        """
        self.events = events
        self._send(success(members), "ok")

    def refuse(self, error: ApiError) -> None:
        """End the call with an error."""
        self._send(refusal(error), error.code)

    def disconnect(self) -> None:
        """The client has gone; what a held pull does then is an option."""
        if not self.open:
            return
        self._disconnected = True
        if self._api.options.abandoned_pull == "leaves":
            self.abandon()

    def abandon(self) -> None:
        """Never answer, and take no event any more."""
        if self.open and self._waits_in is not None and self._waits_in[0].abandon(self._waits_in[1]):
            self._log("abandoned")
            self._reply = None

    def _run(self) -> None:
        action = self._admit()
        params = read(self._request, action.parameters, action.required)
        self._sub_app_id = params.get("SubAppId", 0)
        app = self._api.application_of_call(self._sub_app_id, lists_error=action.lists_sub_app_error)
        if self._fault is not None and self._fault.name == "expire_handles" and self.action != "PullEvents":
            app.queue.expire_handles()
        action.run(app, params, self)

    def _admit(self) -> Action:
        options, headers = self._api.options, self._request.headers
        if not self.action:
            raise missing("Action")
        if "x-tc-version" not in headers:
            raise missing("Version")
        if headers["x-tc-version"] != VERSION:
            raise ApiError(
                "NoSuchVersion", f"The version {headers['x-tc-version']!r} does not exist; there is {VERSION}."
            )
        if self.action not in ACTIONS:
            raise ApiError("InvalidAction", f"The action {self.action!r} does not exist in this emulator.")
        self._secret_id = verify(self._request, self._api.accounts, self._api.wall_clock(), skew=options.clock_skew)
        if headers.get("x-tc-token") != options.tokens.get(self._secret_id):
            raise ApiError("AuthFailure.TokenFailure", "The token does not belong to the SecretId.")
        self._api.limit(self._secret_id, self.action)
        if self.action in options.unauthorized_actions:
            raise ApiError("UnauthorizedOperation", f"You are not authorized to perform `vod:{self.action}`.")
        if options.invalid_vod_user:
            raise ApiError("FailedOperation.InvalidVodUser", "invalid vod user")
        return ACTIONS[self.action]

    def _send(self, answer: Answer, outcome: str) -> None:
        if self._reply is None:
            return
        if self._fault is not None:
            answer = self._fault.spoil(answer)
            outcome = f"fault:{self._fault.text}"
        self._log(outcome)
        reply, self._reply = self._reply, None
        reply(answer)

    def _log(self, outcome: str) -> None:
        if not self.action:
            return
        seconds = self._api.schedule.now() - self._arrived
        self._api.calls.add(
            Call(
                self.action,
                self._sub_app_id,
                self._secret_id,
                self._arrived,
                seconds,
                outcome,
                self.events,
                self._disconnected,
            )
        )
