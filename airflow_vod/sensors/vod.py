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

from airflow_vod.exceptions import ExplainedError, VodApiError, VodAuthenticationError
from airflow_vod.inbox.lookup import look, task_name, vod_task_ids
from airflow_vod.sensors.base import VodSensor
from airflow_vod.sensors.words import failure_in_words
from airflow_vod.waiting.trouble import moment_in_words

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, XComArg
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.triggers.base import StartTriggerArgs

    from airflow_vod.events.results import TaskResult
    from airflow_vod.relay.reconcile import Answer
    from airflow_vod.triggers.vod import VodTaskTrigger

_ASK_LIMIT = 16  # tasks that a sensor may ask VOD about before it waits
_SUBMIT_AGAIN = (
    "clear the task that submitted it, to submit it to VOD again; this one alone would find the same failure"
)
_ANSWERS_TOLD = 3  # in one message
_ASK_AGAIN = 5.0  # seconds until a process may ask again about a task that VOD does not announce


class VodTaskFailedError(ExplainedError, AirflowFailException):
    """VOD ended the task without success. Waiting again cannot change that, so Airflow does not retry the sensor."""

    anchor = "vod-task-failed"


class VodTaskSensor(VodSensor):
    """Waits until a VOD task has ended and returns its result.

    The result is a dictionary, described at `airflow_vod.events.results.TaskResult.to_dict`; `VodFileUrlsOperator` takes it.

    :param vod_task_id: id of the VOD task, or a list of ids: then all must end, and the results come in the same order.
        Templated; takes the output of other tasks.
    :param event_type: event type that counts, or several; None for any that ends the task. An empty tuple says that VOD
        announces no end of the task, so that it is asked about every few seconds; where VOD's own answer tells that, it need
        not be given, except with `start_from_trigger`.
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
    :param poke_interval: seconds between two looks in the mode ``reschedule``, at least 15. In every other mode an event is
        noticed at once; there it is only the pause before a wait that broke begins anew, with ``silent_fail``.
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
        if event_type is not None and event_type != ():
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

    def event_page_query(self) -> dict[str, list[str]]:
        """Tell the VOD tasks to look for; first the one that failed, else the first that has not ended."""
        return {"search": sorted(self._vod_task_ids, key=lambda each: each != self._of_interest)}

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
            answer=next(iter(self._answers.values())).words if self._answers else None,
            unannounced=[each for each, answer in self._answers.items() if answer.unannounced],
        )

    def _listed_for(self) -> Sequence[str | None]:
        return self._vod_task_ids

    # Looking

    def _look(self, context: Context) -> PokeReturnValue | None:
        """Look into the inbox.

        :return: what the sensor returns, once every task has ended; None while one has not.
        :raises VodTaskFailedError: a task has failed.
        """
        found = look(self._inbox, self._queue, self._vod_task_ids, self._event_types or None)
        failed, self._missing = found.failed(self.on_partial), found.missing
        self._of_interest = next((result.vod_task_id for result in failed), next(iter(found.missing), None))
        if not found.complete and not (failed and self.fail_fast):
            return None
        found.mark_read(self._inbox, task_name(context["ti"]))
        self._results = list(found.results.values())
        if failed:
            raise VodTaskFailedError("\n".join([*map(failure_in_words, failed), self.where(next_step=_SUBMIT_AGAIN)]))
        for result in found.failed("fail"):
            self.log.warning("%s", failure_in_words(result))
        for event in found.events.values():
            self.log.info("Found %s of VOD task %s in the inbox", event.event_type, event.vod_task_id)
        values = found.values()
        return PokeReturnValue(is_done=True, xcom_value=values[0] if self._single else values)

    # Asking VOD itself

    _asked_at: float | None = None
    _cannot_ask = ""  # why VOD could not be asked
    _missing: Sequence[str] = ()  # of the tasks, those that had not ended at the latest look

    def _first_look(self, context: Context) -> PokeReturnValue | None:
        """Look, ask VOD about what is not there, and look again: an event may have come and gone before this inbox was."""
        if result := self._look(context):
            return result
        due = self._not_yet_asked(context)
        # The triggerer asks again; until then this holds a worker.
        ended = due and self._ask(due, tries=1 if self.deferrable else 3)
        for answer in self._answers.values():
            if not answer.ended and answer.unannounced is None:  # it may be a wrong id
                self.log.warning("%s. The wait goes on: an event may come all the same", answer.words)
        if self.reschedule:
            self._write_answers(context)
        return self._look(context) if ended else None

    def _last_look(self, context: Context) -> PokeReturnValue | None:
        """Look, ask VOD about what is not there, and look again: what it says is the end of the wait, or goes into the error."""
        self._answers.clear()
        if result := self._look(context):
            return result
        return self._look(context) if self._ask(self._missing[:_ASK_LIMIT], tries=1) else None

    @cached_property
    def _answers(self) -> dict[str, Answer]:
        """What VOD itself has just said, by task."""
        return {}

    def _ask(self, vod_task_ids: Sequence[str], *, tries: int) -> bool:
        """Ask VOD about tasks.

        :param tries: calls at most about each.
        :return: whether one of them has ended.
        """
        from airflow_vod.relay.reconcile import Reconciler

        self._cannot_ask = ""
        client = self._hook.get_client()
        try:
            reconciler = Reconciler(client, self._inbox)
            for vod_task_id in vod_task_ids:
                self._answers[vod_task_id] = reconciler.ask(vod_task_id, tries=tries)
            self._asked_at = time.time()
        except VodAuthenticationError as error:
            self._cannot_ask = str(error)
            if error.is_auth_failure:  # one refusal may be VOD's own slip: the relay finds out whether it is more
                self.log.warning("VOD refused the credentials; the wait ends if it keeps refusing them: %s", error)
            else:
                self.log.warning(
                    "Without this permission, a task whose event is lost ends this wait only by timeout: %s", error
                )
        except VodApiError as error:
            self._cannot_ask = str(error)
            self.log.info("VOD cannot be asked about the task itself now: %s", error)
        finally:
            client.close()
        return any(answer.ended for answer in self._answers.values())

    def _not_yet_asked(self, context: Context) -> list[str]:
        """Answer which tasks that have not ended VOD is to be asked about before the wait.

        A process of this very wait may have asked: of a sensor that is rescheduled each look is a process of its own, which
        asks again only about what VOD does not announce.

        :return: at most `_ASK_LIMIT`; the watch asks about the others while they are waited for.
        """
        if self._asked_at is not None:
            return []
        lines = {line.vod_task_id: line for line in self._inbox.waiters.read(self._queue, self._line_ids(context))}
        again_at, due = time.time() - _ASK_AGAIN, []
        for number, vod_task_id in enumerate(self._missing):
            line = lines.get(vod_task_id)
            asked_at = (line and line.asked_at) or 0.0
            unannounced = self._event_types == [] or (line is not None and line.unannounced)
            if (unannounced and asked_at < again_at) or (not asked_at and number < _ASK_LIMIT):
                due.append((asked_at, vod_task_id))
        return [vod_task_id for _, vod_task_id in sorted(due, key=lambda each: each[0])[:_ASK_LIMIT]]

    def _line_ids(self, context: Context) -> list[str]:
        from airflow_vod.inbox import Waiter

        name = task_name(context["ti"])
        return [Waiter.of(name, vod_task_id).id for vod_task_id in self._missing]

    def _write_answers(self, context: Context) -> None:
        """Note in the inbox what VOD said, where an earlier process has left a line of this wait; else the wait itself does."""
        from airflow_vod.inbox import Waiter

        name = task_name(context["ti"])
        for vod_task_id, answer in self._answers.items():
            waiter = Waiter.of(name, vod_task_id)
            self._inbox.waiters.mark_asked(self._queue, [waiter.id], answer.words, unannounced=answer.unannounced)

    # Telling

    def _wanted(self) -> str:
        return f"VOD task {_short(self._vod_task_ids)}"

    def _timeout_message(self, event: dict[str, Any]) -> str:
        missing = len(self._missing) or event.get("missing", "some")
        said = [
            f"After {self.timeout:g} s, {missing} of {len(self._vod_task_ids)} VOD tasks have not ended, "
            f"of {_short(self._missing or self._vod_task_ids)}."
        ]
        said += [f"{answer.words}." for answer in list(self._answers.values())[:_ANSWERS_TOLD] if not answer.ended]
        if self._cannot_ask:
            said.append(f"VOD cannot be asked about it now: {self._cannot_ask}")
            if event.get("answer") and event.get("asked_at"):
                said.append(f"At {moment_in_words(event['asked_at'])}: {event['answer']}.")
        return " ".join(said)

    def _remedy(self) -> str:
        return "clear this task to wait again, or the task that submitted it to VOD to submit it again"


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
