"""What triggers that wait for a sensor have in common: what disturbs a wait, what ends it, and that it says so.

Invariants: a trigger carries ids only, never a secret or a setting; it ends right after its one event; its deadline is a
point in time, so a restart of the triggerer does not prolong the wait; the inbox is looked into before a wait times out.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_vod.exceptions import (
    InboxUnavailableError,
    VodAuthenticationError,
    VodConnectionError,
    VodError,
    error_to_dict,
)
from airflow_vod.hooks.inbox_file import inbox_file_problem
from airflow_vod.inbox.lookup import task_name
from airflow_vod.triggers.arguments import note_unknown

if TYPE_CHECKING:
    from airflow_vod.tencent.settings import VodSettings
    from airflow_vod.waiting.waiter import Waiter
    from airflow_vod.waiting.watch import Watch

_FIRST_REPORT = 300.0  # seconds until the first line about a wait that goes on; then ever more rarely
_REPORT_LIMIT = 3600.0  # seconds
_RETRY_PAUSE = 5.0  # seconds
_SILENT_PAUSE = 15.0  # seconds, after an error that ends the wait unless it is to go on all the same
_UNKNOWN_TRIES = 4  # to read a connection that Airflow does not know, or cannot read now
_REFUSAL_WINDOW = 300.0  # seconds within which a second refusal of the credentials ends the wait
_LAST_LOOK = 5.0  # seconds from its start that a wait has for its first look into the inbox, also after its deadline


class VodWaitTrigger(BaseTrigger):
    """What triggers that wait for a sensor have in common. A sensor on a worker runs the same trigger in its own process.

    :param vod_conn_id: Airflow connection id.
    :param sub_app_id: another application than the connection's.
    :param deadline: Unix seconds at which the wait ends without result; None for no end.
    :param waiter: who waits, ``dag/run/task``; for people on call. None takes it from the task instance.
    :param silent_fail: whether an error that would end the wait is only logged, as Airflow's sensors do.
    :param unknown: what another version of this package has stored.
    """

    def __init__(
        self,
        *,
        vod_conn_id: str,
        sub_app_id: int | str | None = None,
        deadline: float | None = None,
        waiter: str | None = None,
        silent_fail: bool = False,
        **unknown: Any,
    ) -> None:
        super().__init__()
        self._unknown = note_unknown(type(self), unknown)
        self.vod_conn_id = vod_conn_id
        self.sub_app_id = sub_app_id
        self.deadline = deadline
        self.waiter = waiter
        self.silent_fail = silent_fail
        # These are for who runs the trigger on a worker, see `airflow_vod.waiting.staying`.
        self.read_settings: Callable[[], Awaitable[VodSettings]] | None = None
        self.watch: Watch | None = None
        self.goes_on = False
        self._current: Waiter | None = None
        self._trouble = ""  # the last that this wait met

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Write this trigger as Airflow stores it."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                **self._arguments(),
                "vod_conn_id": self.vod_conn_id,
                "sub_app_id": self.sub_app_id,
                "deadline": self.deadline,
                "waiter": self.waiter,
                "silent_fail": self.silent_fail,
            },
        )

    # What each kind of trigger says for itself

    def _arguments(self) -> dict[str, Any]:
        """Answer the arguments of its constructor besides those of this class, in plain JSON."""
        raise NotImplementedError

    def _make_waiter(self) -> Waiter:
        """Make what waits.

        :raises VodError: what is waited for cannot be.
        """
        raise NotImplementedError

    async def _ended(self, watch: Watch, waiter: Any, news: Any) -> TriggerEvent | None:
        """Answer the event with which the wait ends, if it does.

        :param news: what `waiter` has just been handed.
        """
        raise NotImplementedError

    def _has_something(self, waiter: Any) -> bool:
        """Say whether a waiter has been handed anything."""
        raise NotImplementedError

    def _timed_out(self, waiter: Any) -> TriggerEvent:
        """Make the event of a wait whose time is over.

        :param waiter: None where it never began.
        """
        return self._timeout()

    def _timeout(self, **known: Any) -> TriggerEvent:
        """Make that event, of what is known besides the last trouble."""
        return TriggerEvent({"status": "timeout", **known, **({"trouble": self._trouble} if self._trouble else {})})

    def _wanted(self, waiter: Any) -> str:
        """Name what is waited for, for the log."""
        raise NotImplementedError

    def _known(self, waiter: Any) -> str:
        """Say what is known of what is waited for, for the log; empty where nothing is."""
        return ""

    # The wait

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the one event."""
        yield await self._last_event()

    async def _last_event(self) -> TriggerEvent:
        """Wait for as long as it may help."""
        from airflow_vod.waiting.waiter import WatchRetiredError

        if self._unknown:
            self.log.warning("%s", self._unknown)
        if not self.waiter and (problem := await asyncio.to_thread(inbox_file_problem)):  # no worker has said so
            self.log.warning("%s", problem)
        patience = _Patience()
        look_by = time.time() + _LAST_LOOK
        while True:
            pause = _RETRY_PAUSE
            try:
                return await self._wait(look_by)
            except WatchRetiredError:
                pause = 0.0
            except InboxUnavailableError as error:
                look_by = 0.0  # there is nothing to be seen in it
                self._trouble = f"The inbox does not answer: {error}"
                self.log.warning("The inbox does not answer, trying again: %s", error)
            except VodError as error:
                self._trouble = str(error)
                if patience.ends_with(error):
                    if not self.silent_fail:
                        return TriggerEvent({"status": "error", "error": error_to_dict(error)})
                    self.log.error("The wait goes on although it failed, for silent_fail is set: %s", error)
                    pause = _SILENT_PAUSE
                elif isinstance(error, VodAuthenticationError):
                    pause = 0.0
            except Exception as error:
                if not self.silent_fail:
                    raise
                self._trouble = (
                    f"The trigger broke ({type(error).__name__}); its log says where."  # no text of strangers
                )
                self.log.exception("The wait goes on although it broke, for silent_fail is set")
                pause = _SILENT_PAUSE
            await asyncio.sleep(min(pause, self._remaining()))
            if self._remaining() <= 0:  # as in the other modes, the end of the time counts and not the last trouble
                return self._timed_out(self._current)

    async def _wait(self, look_by: float) -> TriggerEvent:
        """Wait with one watch, until what is waited for is there or the time is over.

        :param look_by: Unix seconds until which a look into the inbox is waited for, even if that is after the deadline.
        """
        waiter, before = self._make_waiter(), self._current
        if before is not None:
            waiter.go_on_from(before)
        self._current = waiter
        watch = await self._join(waiter, look_by)
        if watch is None:
            return self._timed_out(waiter)
        report, news = Report(self.log, watch), None
        try:
            while (event := await self._ended(watch, waiter, news)) is None:
                pause = self._remaining()
                if pause <= 0 and not waiter.looked_up:
                    pause = look_by - time.time()
                if pause <= 0:
                    return self._timed_out(waiter)
                report.write(self._wanted(waiter), self._known(waiter))
                pause = min(pause, report.pause())
                if watch.trouble:
                    pause = min(pause, await self._follow_connection(pause))
                news = await waiter.next(pause)  # type: ignore[attr-defined]
        finally:
            waiter.listed_on = self.goes_on
            watch.discard(waiter)
        return event

    async def _join(self, waiter: Waiter, look_by: float) -> Watch | None:
        """Find the watch of the queue and wait with it; the caller discards the waiter.

        :return: None where the time is over before there is one.
        """
        while True:
            watch = await self._find_watch(max(self._remaining(), look_by - time.time()))
            if watch is None:
                return None
            self.watch = watch
            if watch.add(waiter):
                return watch

    async def _find_watch(self, patience: float) -> Watch | None:
        """Find the watch for what the connection says now.

        :param patience: seconds.
        :return: None where there is none by then.
        """
        from airflow_vod.waiting.watches import watch_of

        finding = asyncio.ensure_future(watch_of(self.vod_conn_id, self.sub_app_id, self.read_settings))
        try:
            # Not `wait_for`: that of Python 3.11 may swallow a cancellation.
            done, _ = await asyncio.wait({finding}, timeout=None if patience == float("inf") else patience)
        finally:
            if not finding.done():
                finding.cancel()
        return finding.result() if done else None

    async def _follow_connection(self, patience: float) -> float:
        """Look whether somebody has mended the connection: where it was edited, its watch retires, and whoever waits joins anew.

        :param patience: seconds.
        :return: the seconds after which to look again.
        """
        from airflow_vod.waiting.watches import SETTINGS_AGE

        with suppress(VodError):  # a connection that cannot be read now says nothing against the one that was read
            await self._find_watch(patience)
        return SETTINGS_AGE

    @property
    def idle(self) -> bool:
        """Whether there is nothing for this wait in VOD's queue and in the inbox, as far as this process can know."""
        waiter, watch = self._current, self.watch
        return bool(waiter and waiter.looked_up and watch and watch.caught_up and not self._has_something(waiter))

    def _name(self) -> str:
        ti = self.task_instance
        return self.waiter or (task_name(ti) if ti else "")

    def _ends_at(self) -> float | None:
        """Answer when the wait ends. A trigger that no worker made knows only when Airflow is going to end it."""
        airflows: datetime | None = getattr(self, "timeout_after", None)  # the triggerer sets it
        if self.deadline is not None or airflows is None:
            return self.deadline
        return airflows.replace(tzinfo=airflows.tzinfo or UTC).timestamp()

    def _remaining(self) -> float:
        ends_at = self._ends_at()
        return float("inf") if ends_at is None else max(ends_at - time.time(), 0.0)


class _Patience:
    """Says which errors end a wait: the one place that does, for every way of waiting."""

    def __init__(self) -> None:
        self._refused_at = float("-inf")  # by the monotonic clock
        self._unknown = 0

    def ends_with(self, error: VodError) -> bool:
        """Say whether a wait ends with an error, or is worth another try."""
        if isinstance(error, VodAuthenticationError):
            # The key may have been replaced while this waited: the connection is read again, once.
            before, self._refused_at = self._refused_at, time.monotonic()
            return self._refused_at - before < _REFUSAL_WINDOW
        if isinstance(error, VodConnectionError):
            # Airflow says the same of one that is not there and of one that it cannot read now.
            self._unknown += 1
            return self._unknown >= _UNKNOWN_TRIES
        return True


class Report:
    """Says of a wait that it goes on: when trouble begins and ends, after minutes, and then ever more rarely.

    :param log: the trigger's.
    :param watch: counts what comes by.
    """

    def __init__(self, log: Any, watch: Watch) -> None:
        self._log = log
        self._watch = watch
        self._first_position, self._started, self._after = watch.position, time.monotonic(), _FIRST_REPORT
        self._troubled = False

    def pause(self) -> float:
        """Answer for how many seconds there is nothing to say."""
        return max(self._started + self._after - time.monotonic(), 0.01)

    def write(self, wanted: str, known: str) -> None:
        """Say it, if it is time to: as a warning while something is wrong, with what it is.

        :param wanted: what is waited for.
        :param known: what is known of it; may be empty.
        """
        if self._first_position is None:  # the watch had not yet looked
            self._first_position = self._watch.position
        waited, trouble = time.monotonic() - self._started, self._watch.trouble
        is_time, changed = waited >= self._after, bool(trouble) != self._troubled
        if not (is_time or changed):
            return
        self._troubled = bool(trouble)
        if is_time:
            self._after += min(self._after, _REPORT_LIMIT)
        events = (self._watch.position or 0) - (self._first_position or 0)
        said = [f"Waiting for {wanted} for {waited / 60:.0f} minutes; {events} events of the queue came by", known]
        said.append(trouble or ("What kept events from coming is over" if changed else ""))
        self._log.log(logging.WARNING if trouble else logging.INFO, "%s", ". ".join(filter(None, said)))
