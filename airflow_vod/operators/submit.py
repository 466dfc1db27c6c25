"""Starts a VOD task exactly once, and waits for it as the sensors do.

Invariant: whatever becomes of the Airflow task, its retries wait for the VOD task that was started for it; what counts as a
retry, and what as a new request, is decided by `airflow_vod.inbox.generations`.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)

from airflow_vod.exceptions import (
    InboxError,
    SubmissionLostError,
    SubmissionRefusedError,
    VodSettingsError,
)
from airflow_vod.inbox.lookup import task_name
from airflow_vod.sensors.vod import VodTaskFailedError, VodTaskSensor
from airflow_vod.tencent.actions import action_of, check_parameters

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, PokeReturnValue, XComArg

    from airflow_vod.inbox.submissions import Submission
    from airflow_vod.submission import Submitter
    from airflow_vod.triggers.submit import VodSubmittedTaskTrigger

_ABORT_PATIENCE = 5.0  # seconds for which a task that Airflow ends waits for VOD to abort what it has started
_FRESH = 30.0  # seconds for which there is no need to ask VOD about a task that it has just started
_OF_SENSORS = ("vod_task_id", "event_type", "start_from_trigger", "end_from_trigger")


class VodSubmitOperator(VodTaskSensor):
    """Starts a VOD task, once however often Airflow tries, waits until it has ended, and returns its result.

    The result is that of `VodTaskSensor`, so `VodFileUrlsOperator` takes it. Pushes ``vod_task_id`` as soon as VOD has told it,
    and ``other_vod_task_ids`` where one request starts several tasks.

    :param action: the action of the VOD API, such as ``EditMedia``; any that starts a task.
    :param parameters: its parameters under VOD's names, without SubAppId. Templated, also inside. A ``SessionId`` in it is taken
        as yours: VOD then starts one task for each, whatever is cleared. Anything that is different at each try, such as
        ``{{ ti.try_number }}``, makes each try a new task.
    :param wait: False returns the id of the task as soon as it has been started.
    :param session_context: VOD passes it on into the event of the task; at most 1,000 characters. Templated.
    :param allow_repeat: for actions without SessionId: whether to ask again where an answer was lost, which may start a
        second task.
    :param abort_on_kill: whether a VOD task that has not begun is aborted when Airflow ends this task.
    :param kwargs: what `VodTaskSensor` takes to wait: ``deferrable``, ``mode``, ``timeout``, ``on_partial`` and so on.
    """

    template_fields: Sequence[str] = ("parameters", "session_context", "vod_conn_id", "sub_app_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {"parameters": "json"}
    ui_color = "#ffe8cc"

    def __init__(
        self,
        *,
        action: str,
        parameters: Mapping[str, Any] | XComArg | str | None = None,
        wait: bool = True,
        session_context: str | None = None,
        allow_repeat: bool = False,
        abort_on_kill: bool = True,
        **kwargs: Any,
    ) -> None:
        if wrong := [name for name in _OF_SENSORS if name in kwargs]:
            raise TypeError(f"{type(self).__name__} takes no {wrong[0]}: it waits for the VOD task that it starts.")
        event_type = None if action_of(action).announced else ()
        super().__init__(vod_task_id="", event_type=event_type, **kwargs)
        self.action = action
        self.parameters: Any = {} if parameters is None else parameters
        self.wait = wait
        self.session_context = session_context
        self.allow_repeat = allow_repeat
        self.abort_on_kill = abort_on_kill
        if isinstance(self.parameters, (dict, list, tuple, set)):  # else it is known only when the task runs
            check_parameters(action_of(action), self.parameters, session_context)

    def api_parameters(self) -> Mapping[str, Any]:
        """Answer the parameters of the action after templating; operators for one action make them here."""
        return self.parameters

    # Airflow calls these

    def execute(self, context: Context) -> Any:
        """Start the task, or find the one started before, and wait for it."""
        with self._ends_as_a_task(context):
            started = self._start(context)
            if self.wait:
                return super().execute(context)
            self._submitter().note_done(started)
            return started.vod_task_id

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Take over from the triggerer."""
        with self._ends_as_a_task(context):
            started = self._started_before(context)
        if started.attempt < context["ti"].try_number:
            # This is the end of the try before, which Airflow 3.0 keeps for the next.
            return self._begin_anew(context)
        with self._ends_as_a_task(context):
            self._remember(started)
            return super().resume_execution(next_method, next_kwargs, context)

    def on_kill(self) -> None:
        """End the wait, and abort the VOD task if it has not begun."""
        super().on_kill()
        if not self._timed_out:
            self._abandon("Airflow ended the task that started it")

    # Starting

    _submission: Submission | None = None
    _timed_out = False

    def _start(self, context: Context) -> Submission:
        from airflow_vod.inbox.generations import TaskRequest

        action, parameters, ti = action_of(self.action), self._plain_parameters(), context["ti"]
        request = TaskRequest(
            action,
            parameters,
            _key(ti),
            task_name(ti),
            life=ti.max_tries,
            attempt=ti.try_number,
            session_id=parameters.pop("SessionId", None),
            allow_repeat=self.allow_repeat,
            on_partial=self.on_partial,
        )
        started = self._submitter().submit(request)
        self._remember(started)
        ti.xcom_push(key="vod_task_id", value=started.vod_task_id)
        if started.other_task_ids:
            ti.xcom_push(key="other_vod_task_ids", value=list(started.other_task_ids))
        if self._killed:
            self._abandon("Airflow ended the task that started it")
            raise AirflowException("Airflow ended this task while it started a VOD task.")
        return started

    def _plain_parameters(self) -> dict[str, Any]:
        """Answer the parameters as JSON has them, checked."""
        given = self.api_parameters()
        check_parameters(action_of(self.action), given, self.session_context)
        try:
            plain = json.loads(json.dumps(dict(given), default=_plain, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise VodSettingsError(f"parameters of {self.action} cannot be written as JSON: {error}.") from None
        if self.session_context is not None:
            plain["SessionContext"] = self.session_context
        check_parameters(action_of(self.action), plain)
        return {name: value for name, value in plain.items() if value is not None}

    def _remember(self, started: Submission) -> None:
        self._submission, self.vod_task_id = started, started.vod_task_id
        if started.read_at - started.called_at < _FRESH:
            self._asked_at = time.time()

    def _started_before(self, context: Context) -> Submission:
        key = _key(context["ti"])
        found = self._patiently(lambda: self._inbox.submissions.latest(self.vod_settings.queue, key))
        if found is None or found.vod_task_id is None:
            raise InboxError(
                "The inbox of this worker does not know the VOD task that this task has started. If workers use different "
                "databases, set [tencent_vod] inbox_sql_alchemy_conn to one that all can reach."
            )
        return found

    def _submitter(self) -> Submitter:
        from airflow_vod.submission import Submitter
        from airflow_vod.tencent.client import VodClient

        return Submitter(VodClient(self.vod_settings), self._inbox)

    # Waiting

    def _trigger(self, context: Context, deadline_at: float) -> VodSubmittedTaskTrigger:
        from airflow_vod.triggers.submit import VodSubmittedTaskTrigger

        ti, arguments = context["ti"], super()._trigger(context, deadline_at).serialize()[1]
        return VodSubmittedTaskTrigger(
            submission_key=_key(ti), attempt=ti.try_number, abort_on_kill=self.abort_on_kill, **arguments
        )

    def _look(self, context: Context) -> PokeReturnValue | None:
        """Look as the sensor does, and write down what has become of the task."""
        assert self._submission is not None  # noqa: S101 - it was started, or read on resuming
        try:
            result = super()._look(context)
        except VodTaskFailedError as error:
            self._submitter().note_failed(self._submission, error.text, refused=self._is_refused())
            raise
        if result:
            self._submitter().note_done(self._submission)
        return result

    def _is_refused(self) -> bool:
        from airflow_vod.inbox.generations import is_refusal

        return all(map(is_refusal, self._results))

    # Ending

    @contextlib.contextmanager
    def _ends_as_a_task(self, context: Context) -> Iterator[None]:
        """Let Airflow retry what may succeed at another try, and leave no VOD task behind where it does not."""
        try:
            yield
        except (SubmissionRefusedError, SubmissionLostError) as error:
            raise AirflowFailException(str(error)) from error
        except VodTaskFailedError as error:
            if self._is_refused():
                raise
            raise AirflowException(str(error)) from error
        except AirflowSensorTimeout as error:
            if self.reschedule and not self.deferrable:  # its time counts from the first try
                self._abandon("its Airflow task timed out")
                raise
            self._abandon_unless_retried(context)
            raise AirflowException(str(error)) from error
        except AirflowTaskTimeout:
            self._timed_out = True
            self._abandon_unless_retried(context)
            raise
        except AirflowSkipException as skip:
            if isinstance(skip.__cause__, AirflowSensorTimeout):
                self._abandon("its Airflow task timed out")
            raise

    def _abandon_unless_retried(self, context: Context) -> None:
        ti = context["ti"]
        if ti.try_number <= ti.max_tries:
            self.log.info("VOD task %s goes on; the next try waits for it", self.vod_task_id)
        else:
            self._abandon("its Airflow task timed out")

    def _abandon(self, why: str) -> None:
        """Abort the VOD task, in a thread: what a signal has interrupted may hold a lock that this needs."""
        started = self._submission
        if started is None or not self.abort_on_kill:
            return
        submitter = self._submitter()
        aborting = threading.Thread(target=submitter.abort, args=(started, why), name="vod-abort", daemon=True)
        aborting.start()
        aborting.join(_ABORT_PATIENCE)


def _key(ti: Any) -> str:
    from airflow_vod.inbox.generations import key_of

    return key_of(ti.dag_id, ti.run_id, ti.task_id, -1 if ti.map_index is None else ti.map_index)


def _plain(value: Any) -> Any:
    """Write what templates may leave: the outputs of mapped tasks are lazy sequences."""
    if hasattr(value, "__iter__") and not isinstance(value, (str, bytes)):
        return list(value)
    raise TypeError(f"it holds a {type(value).__name__}")
