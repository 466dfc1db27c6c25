"""What sensors that wait for events of VOD have in common: the one way of waiting, and what ends a wait.

Invariants: whichever way a sensor waits, it waits with the same trigger: in the triggerer (``deferrable``), on a worker until
its deadline (``poke``), or on a worker for a moment, again and again (``reschedule``). Then `execute_complete` takes over,
always. Outcome, timeout, ``soft_fail``, ``never_fail`` and ``silent_fail`` mean the same in every mode; nothing heavy is
imported while a DAG is parsed.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import tenacity
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_vod.exceptions import InboxError, InboxUnavailableError, VodError, error_from_dict
from airflow_vod.hooks import version_compat
from airflow_vod.hooks.inbox_file import inbox_file_problem
from airflow_vod.hooks.version_compat import AirflowRescheduleException, TaskDeferralError, TaskDeferralTimeout
from airflow_vod.hooks.vod import DEFAULT_CONN_ID, VodHook
from airflow_vod.inbox.lookup import task_name
from airflow_vod.links.vod import LINKS, push_links
from airflow_vod.sensors.endings import WAIT_TIMED_OUT, ends_as_airflow_says
from airflow_vod.sensors.words import doctor, queue_in_words, trouble_in_words, warn_at_the_dag

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_vod.inbox import InboxStore
    from airflow_vod.tencent.settings import VodSettings
    from airflow_vod.triggers.base import VodWaitTrigger
    from airflow_vod.waiting.staying import Stay

RESCHEDULE_MINIMUM = 15.0  # seconds; below it Airflow's scheduler fails rescheduled sensors by mistake
_BACKSTOP = 60.0  # seconds after its own deadline at which Airflow itself ends a trigger that did not
_TAKE_PATIENCE = 60.0  # seconds for which a wait that is over keeps retrying an unreachable inbox
_MOMENT = 6.0  # seconds for which a look on a worker waits: VOD holds a pull of an empty queue for five


class VodSensor(BaseSensorOperator):
    """What sensors that wait for events of VOD have in common.

    :param vod_conn_id: Airflow connection to the VOD application.
    :param sub_app_id: another application of the same account than the connection's.
    :param deferrable: wait in the triggerer instead of on a worker. ``[operators] default_deferrable`` sets the default.
    :param poke_interval: seconds between two looks in the mode ``reschedule``, at least 15. In every other mode an event is
        noticed at once; there it is only the pause before a wait that broke begins anew, with ``silent_fail``.
    """

    template_fields: Sequence[str] = ("vod_conn_id", "sub_app_id")
    operator_extra_links = LINKS
    ui_color = "#d6ebff"

    def __init__(
        self,
        *,
        vod_conn_id: str = DEFAULT_CONN_ID,
        sub_app_id: int | str | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: timedelta | float = RESCHEDULE_MINIMUM,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        self.vod_conn_id = vod_conn_id
        self.sub_app_id = sub_app_id
        self.deferrable = deferrable
        if self.mode == "reschedule" and not deferrable and self.poke_interval < RESCHEDULE_MINIMUM:
            warn_at_the_dag(
                f"Sensor {self.task_id!r} is rescheduled every {self.poke_interval:g} s. Airflow's scheduler fails such "
                f"sensors by mistake; give poke_interval={RESCHEDULE_MINIMUM:g} or more, or deferrable=True."
            )

    # What each kind of sensor says for itself

    def _look(self, context: Context) -> PokeReturnValue | None:
        """Look into the inbox.

        :return: what the sensor returns, if its wait is over.
        """
        raise NotImplementedError

    def _first_look(self, context: Context) -> PokeReturnValue | None:
        """Look before the wait, as far as it may find what the wait would not."""
        return self._look(context)

    def _last_look(self, context: Context) -> PokeReturnValue | None:
        """Look when the time is over, for nothing may have looked since shortly before."""
        return self._look(context)

    def _listed_for(self) -> Sequence[str | None]:
        """Answer the VOD tasks under which people see this sensor wait; None for whatever is no task."""
        raise NotImplementedError

    def _trigger(self, context: Context, deadline_at: float) -> VodWaitTrigger:
        """Make what waits.

        :param deadline_at: Unix seconds.
        """
        raise NotImplementedError

    def _take(self, context: Context, event: dict[str, Any]) -> PokeReturnValue | None:
        """Take from the inbox what the trigger found there."""
        return self._look(context)

    def _wanted(self) -> str:
        """Name what is waited for."""
        raise NotImplementedError

    def event_page_query(self) -> Mapping[str, str | list[str]]:
        """Answer what to look for on the page "VOD events", by the names of its fields."""
        raise NotImplementedError

    def _timeout_message(self, event: dict[str, Any]) -> str:
        """Say what did not come, and what is known of it."""
        raise NotImplementedError

    def _remedy(self) -> str:
        """Say what a person can do after a wait that ended without result."""
        return "clear this task to wait again"

    # Airflow calls these

    def execute(self, context: Context) -> Any:
        """Wait in the way that was chosen."""
        with ends_as_airflow_says(self, lambda: self._deadline_at(context)):
            deadline_at = self._deadline_at(context)
            if not self.deferrable:
                return self._execute_here(context)
            if result := self._look_before_waiting(context):
                return result.xcom_value
            self.log.info("Deferring the wait to the triggerer")
            self.defer(
                trigger=self._trigger(context, deadline_at),
                method_name="execute_complete",
                kwargs=version_compat.kwargs_of_try(context["ti"]),
                timeout=timedelta(seconds=max(deadline_at - time.time(), 0) + _BACKSTOP),
            )
        return None

    def poke(self, context: Context) -> PokeReturnValue | bool:
        """Look, and wait: for a moment, or until the deadline where Airflow executes this sensor in mode ``poke``."""
        if result := self._look_before_waiting(context):
            return result
        event = self._stay(context, None if self._stays_until_end else _MOMENT)
        if event is None and time.time() < self._deadline_at(context):
            if trouble := trouble_in_words(self._hook, self._queue):
                self.log.warning("Waiting for %s goes on. %s", self._wanted(), trouble)
            return False
        return PokeReturnValue(is_done=True, xcom_value=self.execute_complete(context, event or {"status": "timeout"}))

    def execute_complete(self, context: Context, event: Any, attempt: int | None = None) -> Any:
        """Take over from the trigger: read the result from the inbox."""
        # `dag.test()` calls this even for a task that its trigger has ended, with the state as event.
        match "found" if event == "success" else event["status"]:
            case "found":
                if result := self._patiently(lambda: self._take(context, {} if event == "success" else event)):
                    return result.xcom_value
                raise InboxError(
                    "The triggerer found the event, but the inbox of this worker does not have it. Either they use "
                    "different databases: set [tencent_vod] inbox_sql_alchemy_conn to one that both can reach. Or "
                    "the event was pruned meanwhile: raise [tencent_vod] inbox_retention_days."
                )
            case "timeout":
                return self._end_with_timeout(context, event)
            case "error":
                raise error_from_dict(event["error"])
            case status:
                raise ValueError(f"The trigger ended with the unknown status {status!r}.")

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Take over from the triggerer, also where Airflow itself has ended the wait there."""
        if version_compat.is_of_another_try(next_kwargs, context["ti"]):
            return self._begin_anew(context)
        with ends_as_airflow_says(self, lambda: self._deadline_at(context)):
            try:
                # Not as `BaseSensorOperator` does it: with `soft_fail` that skips whatever went wrong.
                return super(BaseSensorOperator, self).resume_execution(next_method, next_kwargs, context)
            except TaskDeferralTimeout:
                return self._end_with_timeout(context, {})
            except TaskDeferralError as error:  # the trigger crashed, or could not be made
                raise type(error)(f"{error}, as the log above says. {self.where()}") from error

    def _begin_anew(self, context: Context) -> Any:
        self._deadline = time.time() + self.timeout  # Airflow has kept the start of the try before
        return self.execute(context)

    _stay_here: Stay | None = None
    _killed = False

    def on_kill(self) -> None:
        """End the wait: Airflow is going to kill this process.

        VOD hides for 30 s what it hands to a process that is killed meanwhile, and its lease keeps others from pulling for 4 s.
        """
        self._killed = True
        self.silent_fail = self.never_fail = False  # it neither goes on in this process nor is skipped for that
        if self._stay_here is not None:
            self._stay_here.end()

    # The wait

    _stays_until_end = False

    def _execute_here(self, context: Context) -> Any:
        """Wait on this worker, in a loop that is Airflow's own."""
        self._stays_until_end, goes_on = not self.reschedule, False
        try:
            return super().execute(context)
        except AirflowRescheduleException:
            goes_on = True
            raise
        finally:
            if self.reschedule and not goes_on:
                self._take_off_the_list(context)

    def _take_off_the_list(self, context: Context) -> None:
        """Remove a wait that is over from the list of who waits, where an earlier process of this sensor has left it."""
        from airflow_vod.inbox import Waiter

        with contextlib.suppress(VodError):
            name = task_name(context["ti"])
            ids = [Waiter.of(name, vod_task_id).id for vod_task_id in self._listed_for()]
            self._inbox.waiters.remove(self._queue, ids, owner=None)

    def _stay(self, context: Context, seconds: float | None) -> Any:
        """Run the trigger here.

        :return: its event, or None where it was left after `seconds`.
        """
        from airflow_vod.waiting.staying import Stay

        trigger = self._trigger(context, self._deadline_at(context))
        trigger.read_settings = functools.partial(asyncio.to_thread, self._hook.get_settings)  # as a task does
        if seconds is None:
            push_links(self, context)  # else Airflow pushes them itself, when this process ends
        self._stay_here = Stay(trigger)
        try:
            event = None if self._killed else self._stay_here.run(seconds)
        finally:
            self._stay_here = None
        if event is None and self._killed:
            raise AirflowException("Airflow ended this task while it waited.")
        return event

    _deadline: float | None = None

    def _deadline_at(self, context: Context) -> float:
        """Answer when the wait ends, in Unix seconds: `timeout` after it began, in whatever process."""
        if self._deadline is None:
            ti = context["ti"]
            began = None
            if self.reschedule or (self.deferrable and self.silent_fail):
                began = ti.get_first_reschedule_date(context)
            if self.deferrable:
                began = began or ti.start_date
            self._deadline = (began.timestamp() if began else time.time()) + self.timeout
        return self._deadline

    def _look_before_waiting(self, context: Context) -> PokeReturnValue | None:
        if problem := inbox_file_problem():
            self.log.warning("%s", problem)
        try:
            return self._first_look(context)
        except InboxUnavailableError as error:
            self.log.warning("Cannot look into the inbox now, waiting all the same: %s", error)
            return None
        except (AirflowFailException, AirflowSensorTimeout, AirflowSkipException):
            raise
        except Exception as error:
            if not (self.deferrable and self.silent_fail):  # on a worker Airflow's own loop sees to it
                raise
            self.log.error("The wait begins although the look before it failed, for silent_fail is set: %s", error)
            return None

    def _end_with_timeout(self, context: Context, event: dict[str, Any]) -> Any:
        """Look once more, for nothing may have looked since the deadline was near; else say what was seen meanwhile."""
        with contextlib.suppress(InboxUnavailableError):  # the message says so
            if result := self._last_look(context):
                return result.xcom_value
        trouble = f"The last trouble of the wait: {event['trouble']}" if event.get("trouble") else ""
        said = self._timeout_message(event), queue_in_words(self._hook, self._queue), trouble, self.where()
        raise AirflowSensorTimeout(" ".join(filter(None, said)) + f" [{WAIT_TIMED_OUT}]")

    def _patiently(self, read: Callable[[], Any]) -> Any:
        """Read something from the inbox, retrying while that is unreachable: a finished wait must not be lost."""
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(InboxUnavailableError),
            stop=tenacity.stop_after_delay(_TAKE_PATIENCE),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=10),
            before_sleep=lambda state: self.log.warning(
                "Cannot read the result from the inbox now, trying again: %s",
                state.outcome and state.outcome.exception(),
            ),
            reraise=True,
        )
        return retrying(read)

    # What it takes

    @cached_property
    def _hook(self) -> VodHook:
        return VodHook(self.vod_conn_id, sub_app_id=self.sub_app_id)

    @cached_property
    def _inbox(self) -> InboxStore:
        return self._hook.get_inbox()

    @cached_property
    def vod_settings(self) -> VodSettings:
        """The settings of the application, as the connection has them."""
        return self._hook.get_settings()

    @cached_property
    def _queue(self) -> str:
        queue = self.vod_settings.queue
        self.log.info("Waiting for %s in queue %s (connection %s)", self._wanted(), queue, self.vod_conn_id)
        return queue

    # For who has to find out why nothing came

    def where(self, *, knows_connection: bool = True, next_step: str | None = None) -> str:
        """Name what was waited for, where, and what to do next.

        :param knows_connection: whether the connection can be read.
        :param next_step: what to do, where that is known better than in general.
        """
        try:
            wanted, where = self._wanted(), f" in queue {self.vod_settings.queue}" if knows_connection else ""
        except VodError:  # it is what is wrong
            wanted, where = "what it was to wait for", ""
        return (
            f"Task {self.task_id} waited for {wanted}{where}, connection {self.vod_conn_id!r}. "
            f"Next: {next_step or f'run `{doctor(self._hook)}`; {self._remedy()}'}."
        )
