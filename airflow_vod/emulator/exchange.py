"""One call, from its request to its answer.

Invariant: the reply is sent exactly once and logged once, whatever faults, errors and holds come in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_vod.emulator.calls import Call
from airflow_vod.emulator.errors import ApiError
from airflow_vod.emulator.request import refusal, success

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_vod.emulator.calls import Calls
    from airflow_vod.emulator.faults import Fault
    from airflow_vod.emulator.options import EmulatorOptions
    from airflow_vod.emulator.queue import Delivery, EventQueue, Poll
    from airflow_vod.emulator.request import Answer, Request
    from airflow_vod.emulator.schedule import Schedule


class Exchange:
    """One call. Not thread-safe: the owner of the API's state holds its lock.

    :param request: as received.
    :param reply: called exactly once with the answer, now or later.
    :param fault: the fault that hits this call, if any.
    :param schedule: the emulator's time.
    :param calls: where the call is logged.
    :param options: of the emulator.
    """

    def __init__(
        self,
        request: Request,
        reply: Callable[[Answer], None],
        *,
        fault: Fault | None,
        schedule: Schedule,
        calls: Calls,
        options: EmulatorOptions,
    ) -> None:
        self.request = request
        self.fault = fault
        self.secret_id: str | None = None
        """Set once the caller is authenticated; for the log."""
        self.sub_app_id: int | None = None
        """Set once the parameters are read; for the log."""
        self.events = 0
        """Events delivered, or handles to confirm; for the log."""
        self.refused = ""
        """The error code, once the call has been refused."""
        self._reply: Callable[[Answer], None] | None = reply
        self._schedule = schedule
        self._calls = calls
        self._options = options
        self._arrived_at = schedule.now()
        self._waits_in: tuple[EventQueue, Poll] | None = None
        self._disconnected = False

    @property
    def open(self) -> bool:
        """Whether the reply is still to come."""
        return self._reply is not None

    def begin(self, carry_out: Callable[[Exchange], None]) -> None:
        """Start the call; a fault may answer in place of the action.

        :param carry_out: answers this exchange, now or later; an `ApiError` that it raises becomes the answer.
        """
        replacement = self.fault.replacement() if self.fault else None
        if self.fault is not None and replacement is not None:
            error = self.fault.refusal()
            self.refused = error.code if error else ""
            self._send(replacement, "")
            return
        try:
            carry_out(self)
        except ApiError as error:
            self.refuse(error)

    def wait_in(self, queue: EventQueue, answer: Callable[[Sequence[Delivery]], None]) -> None:
        """Pull from a queue; while the pull is held, the exchange can be abandoned.

        :param queue: to pull from.
        :param answer: called once with the deliveries, unless the exchange is abandoned.
        """
        poll = queue.pull(answer)
        if self.open:
            self._waits_in = (queue, poll)

    def deliver(self, queue: EventQueue, handles: list[str]) -> None:
        """Report the handles that are about to be sent, so that the fault ``expire_handles`` can invalidate them.

        :param queue: that they are from.
        :param handles: of this delivery.
        """
        if self.fault is not None and self.fault.name == "expire_handles":
            queue.expire_handles(handles)

    def succeed(self, members: bytes, events: int = 0) -> None:
        """Answer with a result.

        :param members: of ``Response``, without braces.
        :param events: number of events delivered or confirmed.
        """
        self.events = events
        self._send(success(members), "ok")

    def refuse(self, error: ApiError) -> None:
        """Answer with an error.

        :param error: code and message.
        """
        self.refused = error.code
        self._send(refusal(error), error.code)

    def disconnect(self) -> None:
        """Handle the client's disconnect; what a held pull does then is an option."""
        if not self.open:
            return
        self._disconnected = True
        if self._options.abandoned_pull == "leaves":
            self.abandon()

    def abandon(self) -> None:
        """Give up a held pull: it takes no more events and is never answered."""
        if self.open and self._waits_in is not None and self._waits_in[0].abandon(self._waits_in[1]):
            self._log("abandoned")
            self._reply = None

    def _send(self, answer: Answer, outcome: str) -> None:
        if self._reply is None:
            return
        if self.fault is not None:
            answer = self.fault.spoil(answer)
            outcome = f"fault:{self.fault.text}"
        self._log(outcome)
        reply, self._reply = self._reply, None
        reply(answer)

    def _log(self, outcome: str) -> None:
        if not self.request.action:
            return
        call = Call(
            self.request.action,
            self.sub_app_id,
            self.secret_id,
            self._arrived_at,
            self._schedule.now() - self._arrived_at,
            outcome,
            self.events,
            self._disconnected,
        )
        self._calls.add(call)
