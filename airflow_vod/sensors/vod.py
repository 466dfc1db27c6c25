"""Sensors that wait until VOD tasks have ended, and return what they produced.

Invariant: the inbox is looked into first; VOD itself is asked once per wait before it begins, and while it lasts by the
watch that waits.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, PokeReturnValue, conf

from airflow_vod.exceptions import VodApiError, VodAuthenticationError
from airflow_vod.inbox.lookup import look, task_name, vod_task_ids
from airflow_vod.sensors.base import VodSensor

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, XComArg
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.triggers.base import StartTriggerArgs

    from airflow_vod.events.results import TaskResult
    from airflow_vod.triggers.vod import VodTaskTrigger

_ASK_LIMIT = 16  # tasks that a sensor may ask VOD about before it waits


class VodTaskFailedError(AirflowFailException):
    """VOD ended the task without success. Waiting again cannot change that, so Airflow does not retry the sensor."""


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

    _of_interest: str | None = None

    def event_page_query(self) -> dict[str, str]:
        """Tell the VOD task to look for: of several the first that failed, else the first that has not ended."""
        return {"search": self._of_interest or self._vod_task_ids[0]}

    _results: Sequence[TaskResult] = ()

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage:
        """Tell OpenLineage the files that the VOD tasks made; its provider calls this."""
        from airflow_vod.links.lineage import lineage_of

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
            "silent_fail": self.silent_fail,
        }

    def _trigger(self, context: Context, deadline_at: float) -> VodTaskTrigger:
        from airflow_vod.triggers.vod import VodTaskTrigger

        ids = self._vod_task_ids
        return VodTaskTrigger(
            **self._trigger_kwargs(ids[0] if self._single else ids),
            deadline=deadline_at,
            waiter=task_name(context["ti"]),
            asked_at=self._asked_at,
        )

    def _listed_for(self) -> Sequence[str | None]:
        return self._vod_task_ids

    # Looking

    def _look(self, context: Context) -> PokeReturnValue | None:
        """Look into the inbox.

        :return: what the sensor returns, once every task has ended; None while one has not.
        :raises VodTaskFailedError: a task has failed.
        """
        found = look(self._inbox, self._queue, self._vod_task_ids, self._event_types)
        failed, self._missing = found.failed(self.on_partial), found.missing
        self._of_interest = next((result.vod_task_id for result in failed), next(iter(found.missing), None))
        if not found.complete and not (failed and self.fail_fast):
            return None
        found.mark_read(self._inbox, task_name(context["ti"]))
        self._results = list(found.results.values())
        if failed:
            raise VodTaskFailedError("\n".join(_describe(result) for result in failed))
        for result in found.failed("fail"):
            self.log.warning("%s", _describe(result))
        for event in found.events.values():
            self.log.info("Found %s of VOD task %s in the inbox", event.event_type, event.vod_task_id)
        values = found.values()
        return PokeReturnValue(is_done=True, xcom_value=values[0] if self._single else values)

    # Asking VOD itself

    _asked_at: float | None = None
    _missing: Sequence[str] = ()  # of the tasks, those that had not ended at the latest look

    def _first_look(self, context: Context) -> PokeReturnValue | None:
        """Look, ask VOD about what is not there, and look again: an event may have come and gone before this inbox was."""
        if result := self._look(context):
            return result
        return self._look(context) if self._ask(context) else None

    def _ask(self, context: Context) -> bool:
        """Ask VOD about tasks that have not ended by what the inbox knows, unless it was asked in this wait already.

        At most `_ASK_LIMIT` of them; the watch asks about the others while they are waited for.

        :return: whether one of them has ended.
        """
        due = self._not_yet_asked(context, self._missing[:_ASK_LIMIT])
        if not due:
            return False
        from airflow_vod.relay.reconcile import Reconciler

        tries = 1 if self.deferrable else 3  # the triggerer asks again; until then this holds a worker
        client = self._hook.get_client()
        try:
            reconciler = Reconciler(client, self._inbox)
            ended = sum([reconciler.ask(vod_task_id, tries=tries) for vod_task_id in due])
            self._asked_at = time.time()
            return ended > 0
        except VodAuthenticationError as error:
            if error.is_auth_failure:  # one refusal may be VOD's own slip: the relay finds out whether it is more
                self.log.warning("VOD refused the credentials; the wait ends if it keeps refusing them: %s", error)
            else:
                self.log.warning(
                    "Without this permission, a task whose event is lost ends this wait only by timeout: %s", error
                )
        except VodApiError as error:
            self.log.info("VOD cannot be asked about the task itself now: %s", error)
        finally:
            client.close()
        return False

    def _not_yet_asked(self, context: Context, vod_task_ids: Sequence[str]) -> list[str]:
        """A process of this very wait may have asked: of a sensor that is rescheduled each look is a process of its own."""
        if self._asked_at is not None:
            return []
        from airflow_vod.inbox import Waiter

        name = task_name(context["ti"])
        ids = {Waiter.of(name, vod_task_id).id: vod_task_id for vod_task_id in vod_task_ids}
        asked = {line.id for line in self._inbox.waiters.read(self._queue, list(ids)) if line.asked_at}
        return [vod_task_id for each, vod_task_id in ids.items() if each not in asked]

    # Telling

    def _wanted(self) -> str:
        return f"VOD task {_short(self._vod_task_ids)}"

    def _timeout_message(self, event: dict[str, Any]) -> str:
        missing = event.get("missing", "some")
        return (
            f"After {self.timeout:g} s, {missing} of {len(self._vod_task_ids)} VOD tasks have not ended, "
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
