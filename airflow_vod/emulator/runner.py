"""Tasks on their way from WAITING over PROCESSING to their end.

Invariant: a task ends at most once; at its end its detail changes first, then its follow-up tasks have started, then its event is
published. Nothing is actually processed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow_vod.emulator.errors import ApiError
from airflow_vod.emulator.media_tasks import KNOWLEDGE, PROCEDURE, REVIEW
from airflow_vod.emulator.options import Procedure
from airflow_vod.emulator.outputs import FollowUps, Job, app_id
from airflow_vod.emulator.script import Script
from airflow_vod.emulator.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_vod.emulator.kinds import Kind
    from airflow_vod.emulator.options import EmulatorOptions, TaskFailure
    from airflow_vod.emulator.schedule import Entry, Schedule
    from airflow_vod.emulator.script import Plan
    from airflow_vod.emulator.tasks import Tasks


@dataclass(slots=True, eq=False)
class _Run:
    """One task that has not ended."""

    task: Task
    kind: Kind
    job: Job
    plan: Plan
    seconds: float
    next_step: Entry | None = None


class TaskRunner:
    """Runs the tasks of one application. Not thread-safe: its owner holds a lock.

    :param sub_app_id: 0 for the primary application.
    :param schedule: the emulator's time.
    :param options: of the emulator.
    :param tasks: where the tasks are registered.
    :param publish: publishes an event.
    """

    def __init__(
        self,
        sub_app_id: int,
        schedule: Schedule,
        options: EmulatorOptions,
        tasks: Tasks,
        publish: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self.script = Script(options.task_failure)
        self._sub_app_id = sub_app_id
        self._schedule = schedule
        self._options = options
        self._tasks = tasks
        self._publish = publish
        self._runs: dict[str, _Run] = {}

    def start(self, kind: Kind, params: Mapping[str, Any], action: str = "") -> str:
        """Start a task.

        :param kind: of task.
        :param params: of the request, by their names on the wire.
        :param action: that was requested; empty for a follow-up task.
        :return: its VOD task id.
        """
        now, form = self._schedule.now(), kind.id_form
        vod_task_id = form.format(app=app_id(self._sub_app_id), kind=kind.task_type, hex=uuid4().hex)
        job = Job(vod_task_id, params, self._sub_app_id, now)
        task = Task(vod_task_id, kind.task_type, "WAITING", now, kind.running(job), field=kind.field)
        task.file_id = str(params.get("FileId") or "")
        task.session_id = str(params.get("SessionId") or "")
        task.session_context = str(params.get("SessionContext") or "")
        self._tasks.add(task)
        plan = self.script.take(action or kind.task_type, asked=bool(action))
        run = _Run(task, kind, job, plan, self._options.seconds_by_action.get(action, self._options.task_seconds))
        self._runs[vod_task_id] = run
        if plan.held_at != "WAITING":
            self._then(run, self._options.queue_seconds, self._begin)
        return vod_task_id

    def follow(self, procedure: str, file_id: str) -> FollowUps:
        """Start the tasks of a task flow.

        :param procedure: its name; nothing is started without one.
        :param file_id: of the file to work on.
        :return: the tasks.
        """
        return self.flow(procedure, {"FileId": file_id}) if procedure else FollowUps()

    def flow(self, procedure: str, params: Mapping[str, Any], action: str = "") -> FollowUps:
        """Start the tasks of a task flow.

        :param procedure: its name.
        :param params: of each of its tasks.
        :param action: that was requested; empty for follow-up tasks.
        :return: the tasks.
        """
        steps = self._options.procedures.get(procedure, Procedure())
        media = {**params, "MediaProcessTask": steps.media_process_task}
        return FollowUps(
            self.start(PROCEDURE, media, action) if steps.media_process_task else "",
            self.start(REVIEW, params, action) if steps.review else "",
            tuple(self.start(KNOWLEDGE, params, action) for _ in range(steps.knowledge_imports)),
        )

    def begin(self, vod_task_id: str) -> None:
        """Begin a task that is held at WAITING; it then goes on as far as it is allowed to.

        :param vod_task_id: of the task.
        :raises ValueError: when there is no such task that waits.
        """
        run = self._run_of(vod_task_id)
        if run.task.status != "WAITING":
            raise ValueError(f"task {vod_task_id!r} does not wait: it is {run.task.status}")
        self._begin(run)

    def finish(self, vod_task_id: str, failure: TaskFailure | None = None) -> None:
        """End a task now.

        :param vod_task_id: of the task.
        :param failure: how it fails; None for what was planned.
        :raises ValueError: when there is no such task, or it has ended.
        """
        run = self._run_of(vod_task_id)
        if failure is not None:
            run.plan = replace(run.plan, failure=failure)
        self._begin(run)
        self._finish(run)

    def abort(self, vod_task_id: str) -> None:
        """Abort a task.

        :param vod_task_id: of the task.
        :raises ApiError: unless there is such a task and it waits.
        """
        task = self._tasks.get(vod_task_id)
        if task is None:
            raise ApiError(self._options.unknown_task, "The task does not exist.")
        if task.status != "WAITING":
            raise ApiError(
                self._options.abort_refused, f"The task is {task.status}; only a waiting task can be aborted."
            )
        task.status, task.finished_at = "ABORTED", self._schedule.now()
        run = self._runs.pop(vod_task_id, None)
        if run is None:
            return
        self._cancel(run)
        task.detail = {**run.kind.running(run.job), "Status": "ABORTED"}
        if self._options.abort_announced:
            self._announce(run)

    def _run_of(self, vod_task_id: str) -> _Run:
        try:
            return self._runs[vod_task_id]
        except KeyError:
            raise ValueError(f"no task {vod_task_id!r} has been started that has not ended") from None

    def _then(self, run: _Run, seconds: float, step: Callable[[_Run], None]) -> None:
        if seconds <= 0:
            step(run)
        else:
            run.next_step = self._schedule.after(seconds, lambda: step(run))

    def _cancel(self, run: _Run) -> None:
        if run.next_step is not None:
            run.next_step.cancel()

    def _begin(self, run: _Run) -> None:
        self._cancel(run)
        if run.task.status == "WAITING":
            run.task.status, run.task.began_at = "PROCESSING", self._schedule.now()
            if run.job.params.get("TasksNotifyMode") == "Change":
                self._announce(run)
        if run.plan.held_at != "PROCESSING":
            # Never at once: the id must have been answered before the event that names it.
            run.next_step = self._schedule.after(run.seconds, lambda: self._finish(run))

    def _finish(self, run: _Run) -> None:
        self._cancel(run)
        del self._runs[run.task.vod_task_id]
        job = replace(run.job, now=self._schedule.now(), follow=self.follow)
        failure = run.plan.failure
        run.task.detail = run.kind.failed(job, failure) if failure else run.kind.succeeded(job)
        run.task.status, run.task.finished_at = "FINISH", job.now
        if job.params.get("TasksNotifyMode") != "None":
            self._announce(run)

    def _announce(self, run: _Run) -> None:
        event = run.kind.announcement(run.task.detail or {})
        if event is not None:
            self._publish(event)
