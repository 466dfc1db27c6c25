"""Sensors that wait until VOD tasks have ended, and return what they produced.

Invariants: whichever way a sensor waits (poke, reschedule, deferral), it looks into the inbox first, the same relay brings
the events there, and outcome, timeout and ``soft_fail`` mean the same; nothing heavy is imported while a DAG is parsed.
"""

from __future__ import annotations

import contextlib
import sys
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
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

from airflow_vod.exceptions import (
    InboxError,
    InboxUnavailableError,
    VodApiError,
    VodAuthenticationError,
    VodError,
    VodInvalidRequestError,
    error_from_dict,
)
from airflow_vod.hooks.config import inbox_retention
from airflow_vod.hooks.vod import DEFAULT_CONN_ID, VodHook
from airflow_vod.inbox.lookup import FinishedTasks, look, task_name, vod_task_ids
from airflow_vod.links.vod import LINKS, push_links

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, XComArg
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.triggers.base import BaseTrigger, StartTriggerArgs

    from airflow_vod.events.results import TaskResult
    from airflow_vod.inbox import InboxStore
    from airflow_vod.relay.reconcile import Reconciler
    from airflow_vod.relay.steps import Relay
    from airflow_vod.tencent.client import VodClient
    from airflow_vod.tencent.settings import VodSettings

RESCHEDULE_MINIMUM = 15.0  # seconds; below it Airflow's scheduler fails rescheduled sensors by mistake
_BACKSTOP = 60.0  # seconds after its own deadline at which Airflow itself ends a trigger that did not
_ASK_LIMIT = 16  # tasks that one look may ask VOD about
_TAKE_PATIENCE = 60.0  # seconds for which a wait that is over bears an inbox that does not answer
_REPORT_EVERY = 300.0  # seconds between lines about a wait that goes on


class VodTaskFailedError(AirflowFailException):
    """VOD ended the task without success. Waiting again cannot change that, so Airflow does not retry the sensor."""


class VodSensor(BaseSensorOperator):
    """What sensors that wait for events of VOD have in common: the ways of waiting, and what ends a wait.

    :param vod_conn_id: Airflow connection to the VOD application.
    :param sub_app_id: another application of the same account than the connection's.
    :param deferrable: wait in the triggerer instead of on a worker. ``[operators] default_deferrable`` sets the default.
    :param poke_interval: seconds between two looks in the modes ``poke`` and ``reschedule``; 15 or more with ``reschedule``.
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
            _warn(
                f"Sensor {self.task_id!r} is rescheduled every {self.poke_interval:g} s. Airflow's scheduler fails such "
                f"sensors by mistake; give poke_interval={RESCHEDULE_MINIMUM:g} or more, or deferrable=True."
            )

    # What each kind of sensor says for itself

    def _look(self, context: Context) -> PokeReturnValue | None:
        """Look into the inbox.

        :return: what the sensor returns, if its wait is over.
        """
        raise NotImplementedError

    def _is_there(self) -> bool:
        """Say whether the inbox has what is waited for."""
        raise NotImplementedError

    def _ask_when_due(self, context: Context) -> bool:
        """Ask VOD itself about what does not come.

        :return: whether that brought something into the inbox.
        """
        return False

    def _waits_for(self) -> tuple[Collection[str | None], Collection[str]]:
        """Answer the VOD tasks that are waited for, None for other things, and the event types that will do, none for any."""
        raise NotImplementedError

    def _trigger(self, context: Context, deadline: float) -> BaseTrigger:
        """Make what waits in the triggerer."""
        raise NotImplementedError

    def _take(self, context: Context, event: dict[str, Any]) -> PokeReturnValue | None:
        """Take from the inbox what the triggerer found there."""
        return self._look(context)

    def _wanted(self) -> str:
        """Name what is waited for."""
        raise NotImplementedError

    def event_page_query(self) -> dict[str, str]:
        """Tell what to look for on the page "VOD events", by the names of its fields."""
        raise NotImplementedError

    def _timeout_message(self, event: dict[str, Any]) -> str:
        """Say what did not come."""
        raise NotImplementedError

    # Airflow calls these

    def execute(self, context: Context) -> Any:
        """Wait in the way that was chosen."""
        try:
            with _skip_told():
                return self._defer(context) if self.deferrable else super().execute(context)
        except AirflowSkipException:
            self._end_of_wait(context)
            raise
        except (VodError, AirflowSensorTimeout) as error:
            self._end_of_wait(context)
            # Airflow skips these in some modes only.
            if self.never_fail:
                raise AirflowSkipException(str(error)) from error
            if isinstance(error, AirflowSensorTimeout):
                waited_for = "" if self._wanted() in str(error) else f"It waited for {self._wanted()}. "
                raise AirflowSensorTimeout(f"{error} {waited_for}{self._seen(self._asked_at)}") from None
            raise

    def resume_execution(self, *args: Any, **kwargs: Any) -> Any:
        """Take over from the triggerer."""
        with _skip_told():
            return super().resume_execution(*args, **kwargs)

    def _defer(self, context: Context) -> Any:
        """Look, and hand the wait to the triggerer unless it is over already."""
        try:
            if result := self._look(context):
                return result.xcom_value
            if self._ask_when_due(context) and (result := self._look(context)):
                return result.xcom_value
        except InboxUnavailableError as error:
            self._note_trouble(error)
        started = context["ti"].start_date
        deadline = (started.timestamp() if started else time.time()) + self.timeout
        self.log.info("Deferring the wait to the triggerer")
        self.defer(
            trigger=self._trigger(context, deadline),
            method_name="execute_complete",
            timeout=timedelta(seconds=max(deadline - time.time(), 0) + _BACKSTOP),
        )
        return None

    def poke(self, context: Context) -> PokeReturnValue | bool:
        """Look into the inbox; bring it up to date where no other process does; look again."""
        if self._ending:
            self._end_of_wait(context)
            raise AirflowException("Airflow ended this task while it waited.")
        try:
            if result := self._look(context):
                return result
            self._list_wait(context)
            if self._drain():
                self._note_trouble(None)
            if (result := self._look(context)) is None and self._ask_when_due(context):
                result = self._look(context)
            return result or self._report(context)
        except (VodAuthenticationError, VodInvalidRequestError):
            raise
        except (VodApiError, InboxUnavailableError) as error:
            self._note_trouble(error)
            return False

    def _drain(self) -> bool:
        """Pull, receive and confirm in turn until the queue is empty or the event is there, unless another process does."""
        if not self._relay.acquire_lease():
            return False
        try:
            in_use = not self._relay.mode_due() or self._relay.check_mode()
            while in_use and (deliveries := self._relay.pull()):
                self._relay.count_pull(deliveries)
                if confirmable := self._relay.receive(deliveries):
                    self._relay.count_confirm(len(confirmable), self._relay.confirm(confirmable))
                if self._ending or self._is_there():
                    break
        finally:
            self._relay.release_lease()
        return True

    def _end_of_wait(self, context: Context) -> None:
        with contextlib.suppress(VodError):
            self._unlist_wait(context)

    _ending = False

    def on_kill(self) -> None:
        """Begin no pull any more and end at the next poke: Airflow is going to kill this process.

        What VOD hands to a process that is killed meanwhile is hidden from everybody for 30 s, and so is the lease for 12.
        """
        self._ending = True

    def execute_complete(self, context: Context, event: Any) -> Any:
        """Take over from the triggerer: read the result from the inbox."""
        # `dag.test()` calls this even for a task that its trigger has ended, with the state as event.
        match "found" if event == "success" else event["status"]:
            case "found":
                if result := self._take_patiently(context, {} if event == "success" else event):
                    return result.xcom_value
                raise self._skippable(
                    InboxError(
                        "The triggerer found the event, but the inbox of this worker does not have it. Either they use "
                        "different databases: set [tencent_vod] inbox_sql_alchemy_conn to one that both can reach. Or "
                        "the event was pruned meanwhile: raise [tencent_vod] inbox_retention_days."
                    )
                )
            case "timeout":
                raise AirflowSensorTimeout(f"{self._timeout_message(event)} {self._seen(event.get('asked_at'))}")
            case "error":
                raise self._skippable(error_from_dict(event["error"]))
            case status:
                raise ValueError(f"The trigger ended with the unknown status {status!r}.")

    def _take_patiently(self, context: Context, event: dict[str, Any]) -> PokeReturnValue | None:
        """Take what was found, even where the inbox is away for a moment: the wait is over and must not be in vain."""
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(InboxUnavailableError),
            stop=tenacity.stop_after_delay(_TAKE_PATIENCE),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=10),
            reraise=True,
        )

        def take() -> PokeReturnValue | None:
            try:
                return self._take(context, event)
            except InboxUnavailableError as error:
                self._note_trouble(error)
                raise

        try:
            return retrying(take)
        except InboxUnavailableError as error:
            if self.never_fail:
                raise AirflowSkipException(str(error)) from error
            raise

    # Being seen to wait, by people and by relays that confirm only what is awaited; a trigger's watch does this for it

    _list_again_at = 0.0

    def _list_wait(self, context: Context) -> None:
        now = time.monotonic()
        if now < self._list_again_at:
            return
        from airflow_vod.inbox import Waiter
        from airflow_vod.waiting.watch import LISTED_FOR

        self._list_again_at = now + LISTED_FOR / 2
        name, until = task_name(context["ti"]), time.time() + LISTED_FOR + self.poke_interval
        tasks, event_types = self._waits_for()
        self._inbox.waiters.add(self._queue, [Waiter.of(name, task, event_types, until) for task in tasks])

    def _unlist_wait(self, context: Context) -> None:
        if self._list_again_at or self.reschedule:
            from airflow_vod.inbox import Waiter

            name = task_name(context["ti"])
            self._inbox.waiters.remove(self._queue, [Waiter.of(name, task).id for task in self._waits_for()[0]])

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

    @cached_property
    def _client(self) -> VodClient:
        return self._hook.get_client()

    @cached_property
    def _relay(self) -> Relay:
        from airflow_vod.relay.steps import Relay

        return Relay(self._client, self._inbox, retention=inbox_retention())

    def _skippable(self, error: Exception) -> Exception:
        """Answer what to raise for an error: a skip where the author asked for one.

        Airflow itself decides this differently by mode and kind of exception.
        """
        if self.never_fail or (self.soft_fail and isinstance(error, VodTaskFailedError)):
            return AirflowSkipException(str(error))
        return error

    # Telling

    _asked_at: float | None = None  # when VOD was last asked about what is waited for, in Unix seconds

    def _seen(self, asked_at: float | None) -> str:
        """Say what was seen meanwhile, for who has to find out why nothing came."""
        asked = f" VOD itself was last asked {time.time() - asked_at:.0f} s ago." if asked_at else ""
        return self._seen_in_inbox() + asked

    def _seen_in_inbox(self) -> str:
        try:
            lease, newest = self._inbox.leases.read(self._queue), self._inbox.newest(self._queue, limit=1)
        except InboxError as error:
            return f"The inbox does not answer: {error}"
        if newest:
            event = newest[0]
            came = (
                f"The newest event of the queue, {event.event_type}, came {time.time() - event.received_at:.0f} s ago."
            )
        else:
            came = "No event of the queue is in the inbox."
        pulled_at = lease.info.get("last_pull_at") if lease else None
        last = f"last {time.time() - pulled_at:.0f} s ago" if pulled_at else "without an answer so far"
        if lease is None or lease.expired:
            return f"{came} Nobody pulls the queue now" + (f"; {last}." if pulled_at else ".")
        return f"{came} {lease.holder} pulls it, {last}, and has pulled {lease.info.get('pulled')} events."

    _reported_at: float | None = None
    _trouble: str | None = None

    def _report(self, context: Context) -> bool:
        """Say now and then that the wait goes on, and at first where to watch it."""
        now = time.monotonic()
        if self._reported_at is None:
            self._reported_at = now
            if not self.reschedule:  # which ends this process, and Airflow pushes them itself
                push_links(self, context)
        elif now - self._reported_at >= _REPORT_EVERY:
            self._reported_at = now
            self.log.info("Still waiting; this sensor itself has relayed: %s", self._relay.summary)
        return False

    def _note_trouble(self, error: VodError | None) -> None:
        """Say once that the wait is disturbed, and once that it no longer is."""
        kind = type(error).__name__ if error else None
        if kind == self._trouble:
            return
        self._trouble = kind
        if error:
            self.log.warning("Cannot look for events now, waiting on: %s", error)
        else:
            self.log.info("Can look for events again")


class VodTaskSensor(VodSensor):
    """Waits until a VOD task has ended and returns its result.

    The result is a dictionary, described at `airflow_vod.events.results.TaskResult.to_dict`; `VodFileUrlsOperator` takes it.

    :param vod_task_id: id of the VOD task, or a list of ids: then all must end, and the results come in the same order.
        Templated; takes the output of other tasks.
    :param event_type: event type that counts, or several; None for any that ends the task.
    :param vod_conn_id: Airflow connection to the VOD application.
    :param sub_app_id: another application of the same account than the connection's.
    :param on_partial: what to do when some outputs of the task failed and others did not: ``fail``, or ``succeed`` and leave
        the choice to who reads the result.
    :param fail_fast: with a list: whether the first task that fails ends the wait for the others.
    :param start_from_trigger: begin the wait in the triggerer, without a worker. Where Airflow cannot do that (mapped sensors,
        ids that are another task's output, versions before 3.3) the wait begins on a worker, as if this were not set.
    :param end_from_trigger: end a successful wait in the triggerer too. Airflow then drops ``on_success_callback`` and outlets
        and bypasses custom XCom backends, and it refuses such DAGs where listeners are installed.
    :param deferrable: wait in the triggerer instead of on a worker. ``[operators] default_deferrable`` sets the default.
    :param poke_interval: seconds between two looks in the modes ``poke`` and ``reschedule``; 15 or more with ``reschedule``.
    """

    template_fields: Sequence[str] = ("vod_task_id", "vod_conn_id", "sub_app_id")

    def __init__(
        self,
        *,
        vod_task_id: str | Sequence[str] | XComArg,
        event_type: str | Sequence[str] | None = None,
        on_partial: str = "fail",
        fail_fast: bool = True,
        start_from_trigger: bool = False,
        end_from_trigger: bool = False,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(deferrable=deferrable or start_from_trigger or end_from_trigger, **kwargs)
        self.vod_task_id: Any = vod_task_id
        self.event_type = event_type
        self.on_partial = on_partial
        self.fail_fast = fail_fast
        self.end_from_trigger = end_from_trigger
        if event_type is not None:
            from airflow_vod.events.matching import check_end_tasks

            check_end_tasks(event_type)
        if on_partial not in ("fail", "succeed"):
            raise ValueError(f"on_partial must be 'fail' or 'succeed', not {on_partial!r}.")
        if start_from_trigger and self._can_start_from_trigger():
            self.start_from_trigger, self.start_trigger_args = True, self._start_trigger_args()

    # What is waited for

    @cached_property
    def _vod_task_ids(self) -> list[str]:
        """The ids after templating, checked."""
        return vod_task_ids(self.vod_task_id)

    @property
    def _single(self) -> bool:
        return isinstance(self.vod_task_id, str)

    @property
    def _event_types(self) -> list[str] | None:
        if self.event_type is None:
            return None
        return [self.event_type] if isinstance(self.event_type, str) else list(self.event_type)

    @cached_property
    def _reconciler(self) -> Reconciler:
        from airflow_vod.relay.reconcile import Reconciler

        return Reconciler(self._client, self._inbox)

    _of_interest: str | None = None

    def event_page_query(self) -> dict[str, str]:
        """Tell the VOD task to look for: of several the first that failed, else the first that has not ended."""
        return {"search": self._of_interest or self._vod_task_ids[0]}

    _results: Sequence[TaskResult] = ()

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage:
        """Tell OpenLineage the files that the VOD tasks made; its provider calls this."""
        from airflow_vod.operators.lineage import lineage_of

        return lineage_of(self._results)

    # Without a worker

    def _can_start_from_trigger(self) -> bool:
        """Say whether Airflow can render what this sensor waits for in the triggerer.

        An XComArg arrives there as its text, and a template that pulls an XCom without ``map_indexes`` hangs (Airflow 3.3).
        """
        from airflow_vod.hooks.version_compat import AIRFLOW_V_3_3_PLUS

        ids = [self.vod_task_id] if self._single else self.vod_task_id
        if not isinstance(ids, (list, tuple)):
            return False
        values = [*ids, self.vod_conn_id, "" if self.sub_app_id is None else self.sub_app_id]
        pulls = any("xcom_pull" in str(value) and "map_indexes" not in str(value) for value in values)
        return AIRFLOW_V_3_3_PLUS and not pulls and all(isinstance(value, (str, int)) for value in values)

    def _start_trigger_args(self) -> StartTriggerArgs:
        from airflow.triggers.base import StartTriggerArgs

        return StartTriggerArgs(
            trigger_cls="airflow_vod.triggers.vod.VodTaskTrigger",
            trigger_kwargs=self._trigger_kwargs(self.vod_task_id),
            next_method="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )

    def _trigger_kwargs(self, vod_task_id: str | Sequence[str]) -> dict[str, Any]:
        return {
            "vod_task_id": vod_task_id,
            "event_types": self._event_types,
            "vod_conn_id": self.vod_conn_id,
            "sub_app_id": self.sub_app_id,
            "on_partial": self.on_partial,
            "fail_fast": self.fail_fast,
            "end_from_trigger": self.end_from_trigger,
            "do_xcom_push": self.do_xcom_push,
        }

    def _trigger(self, context: Context, deadline: float) -> BaseTrigger:
        from airflow_vod.triggers.vod import VodTaskTrigger

        ids = self._vod_task_ids
        kwargs = self._trigger_kwargs(ids[0] if self._single else ids)
        return VodTaskTrigger(**kwargs, deadline=deadline, waiter=task_name(context["ti"]))

    # Looking

    def _waits_for(self) -> tuple[Collection[str | None], Collection[str]]:
        return self._vod_task_ids, self._event_types or ()

    def _is_there(self) -> bool:
        return self._findings().complete

    def _findings(self) -> FinishedTasks:
        return look(self._inbox, self._queue, self._vod_task_ids, self._event_types)

    def _look(self, context: Context) -> PokeReturnValue | None:
        """Look into the inbox.

        :return: what the sensor returns, once every task has ended; None while one has not.
        :raises VodTaskFailedError: a task has failed.
        """
        found = self._findings()
        failed = found.failed(self.on_partial)
        self._of_interest = next((result.vod_task_id for result in failed), next(iter(found.missing), None))
        if not found.complete and not (failed and self.fail_fast):
            return None
        found.mark_read(self._inbox, task_name(context["ti"]))
        self._unlist_wait(context)
        self._results = list(found.results.values())
        if failed:
            raise self._skippable(VodTaskFailedError("\n".join(_describe(result) for result in failed)))
        for result in found.failed("fail"):
            self.log.warning("%s", _describe(result))
        for event in found.events.values():
            self.log.info("Found %s of VOD task %s in the inbox", event.event_type, event.vod_task_id)
        values = found.values()
        return PokeReturnValue(is_done=True, xcom_value=values[0] if self._single else values)

    # Asking VOD itself

    _began_at: float | None = None
    _looked_at: float | None = None

    def _ask_when_due(self, context: Context) -> bool:
        """Ask about tasks whose event does not come: before the first wait, after five minutes, then ever more rarely."""
        if self.reschedule:
            first = context["ti"].get_first_reschedule_date(context)
            waited = (datetime.now(UTC) - first).total_seconds() if first else 0.0
            before = waited - 1.5 * self.poke_interval if first else None
        else:
            self._began_at = self._began_at or time.monotonic()
            waited, before = time.monotonic() - self._began_at, self._looked_at
            self._looked_at = waited
        if before is None:
            return self._ask()
        from airflow_vod.relay.reconcile import last_reconcile_time

        if self.reschedule:  # by the timetable, because the process that asked is gone
            self._asked_at = time.time() - waited + last_reconcile_time(self._vod_task_ids[0], waited)
        return self._ask(lambda vod_task_id: last_reconcile_time(vod_task_id, waited) > before)

    def _ask(self, which: Callable[[str], bool] = lambda vod_task_id: True) -> bool:
        """Ask VOD about tasks that have not ended by what the inbox knows.

        About `_ASK_LIMIT` of them at the most; the others' turn comes while they are waited for.

        :param which: says of a task whether it is its turn.
        :return: whether one of them has ended.
        """
        due = [vod_task_id for vod_task_id in self._findings().missing if which(vod_task_id)][:_ASK_LIMIT]
        tries = 1 if self.deferrable else 3  # the triggerer asks again; until then this holds a worker
        try:
            ended = sum([self._reconciler.ask(vod_task_id, tries=tries) for vod_task_id in due])
            self._asked_at = time.time() if due else self._asked_at
            return ended > 0
        except VodAuthenticationError as error:
            if error.is_auth_failure:
                raise
            self.log.warning(
                "Without this permission, a task whose event is lost ends this wait only by timeout: %s", error
            )
        except VodApiError as error:
            self.log.info("VOD cannot be asked about the task itself now: %s", error)
        return False

    # Telling

    def _wanted(self) -> str:
        return f"VOD task {_short(self._vod_task_ids)}"

    def _timeout_message(self, event: dict[str, Any]) -> str:
        return (
            f"After {self.timeout:g} s, {event['missing']} of {len(self._vod_task_ids)} VOD tasks have not ended, "
            f"of {_short(self._vod_task_ids)}."
        )


class VodConcatSensor(VodTaskSensor):
    """Waits until a splicing (concatenation) task of VOD has ended and returns its files.

    Takes ``ConcatComplete``, which the older ConcatVideo API announces, and ``EditMediaComplete``, which its successor
    EditMedia does. The parameters are those of `VodTaskSensor`.
    """

    def __init__(
        self, *, event_type: str | Sequence[str] = ("ConcatComplete", "EditMediaComplete"), **kwargs: Any
    ) -> None:
        super().__init__(event_type=event_type, **kwargs)


@contextlib.contextmanager
def _skip_told() -> Iterator[None]:
    """Let a skip say its reason, where Airflow says only that there was one."""
    try:
        yield
    except AirflowSkipException as skip:
        if skip.__cause__ is None:
            raise
        raise AirflowSkipException(str(skip.__cause__)) from skip.__cause__


def _warn(message: str) -> None:
    """Warn at the DAG's own line; how many constructors Airflow and subclasses put in between differs."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith(("airflow.", "airflow_vod.")):
        frame = frame.f_back
    warnings.warn_explicit(message, UserWarning, frame.f_code.co_filename, frame.f_lineno)


def _short(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
    return ", ".join(ids[:3]) + more


def _describe(result: TaskResult) -> str:
    """Say what went wrong, for the log of a failed sensor."""
    files = [
        f"{' '.join(filter(None, (file.type or 'file', file.file_id)))}: error {file.error_code}, {file.message or 'no message'}"
        for file in result.files
        if file.error_code != 0
    ]
    what = "failed" if result.outcome == "failed" else "failed in part"
    head = f"VOD task {result.vod_task_id} {what} ({result.event_type}), error {result.error_code}: {result.message}"
    return "; ".join([head, *files[:20]])
