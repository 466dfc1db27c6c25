"""The kinds of tasks: what DescribeTaskDetail and the event say about each while it runs and when it has ended.

Invariant: the detail of a task and the event that announces its end are the same value, of the schema that the vendor documents
for the kind.

Source: VOD API 2018-07-17, the data types of DescribeTaskDetail and of EventContent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_vod.emulator.outputs import no_follow_ups
from airflow_vod.emulator.results import errors_of
from airflow_vod.emulator.tasks import detail_field

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_vod.emulator.options import TaskFailure
    from airflow_vod.emulator.outputs import Job

_FIRST: Mapping[str, Any] = {
    "ErrCode": 0,
    "ErrCodeExt": "",
    "Message": "",
    "Progress": 0,
    "SessionId": "",
    "SessionContext": "",
}
"""The fields that most kinds have, as they are while a task is running."""


def _nothing(job: Job) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of task."""

    task_type: str
    """``TaskType`` of DescribeTaskDetail."""
    event: tuple[str, str] | None = None
    """``EventType`` and the field of EventContent; None: the end of such tasks is never announced."""
    lacks: str = ""
    """Which of the usual fields it does not have."""
    copies: str = ""
    """Parameters that the detail repeats."""
    input: str = ""
    """Parameters that ``Input`` repeats, under another name where ``Name=Parameter`` says so."""
    result: Callable[[Job], dict[str, Any]] = _nothing
    """What a success adds."""
    parts: Callable[[Job, TaskFailure | None], dict[str, Any]] | None = None
    """Instead of `result`: sub-results, which carry the errors; the task itself has none then."""
    ended: tuple[str, str] = ("FINISH", "FINISH")
    """Its status after a success and after a failure."""
    event_without_task: bool = False
    """Whether the schema of its event lacks everything that says which task has ended, and how."""
    id_form: str = "{app}-{kind}-{hex}"

    @property
    def field(self) -> str:
        """The field of DescribeTaskDetail's answer that holds the detail."""
        return detail_field(self.task_type)

    def running(self, job: Job) -> dict[str, Any]:
        """:return: the detail of the task before it has ended."""
        given = job.params
        first = {name: value for name, value in _FIRST.items() if name not in self.lacks.split()}
        detail = {"TaskId": job.vod_task_id, "Status": "PROCESSING", **first}
        detail |= {name: given.get(name) or first[name] for name in first if name.startswith("Session")}
        detail |= {name: given[name] for name in self.copies.split() if name in given}
        if self.input:
            pairs = [word.partition("=") for word in self.input.split()]
            detail["Input"] = {name: given.get(other or name) for name, _, other in pairs}
        return {**detail, **dict(map(_pending, self._added(replace(job, follow=no_follow_ups), None).items()))}

    def succeeded(self, job: Job) -> dict[str, Any]:
        """:return: the detail of the task after it has succeeded."""
        return {**self._ended(job, None), **self._added(job, None)}

    def failed(self, job: Job, failure: TaskFailure) -> dict[str, Any]:
        """:return: the detail of the task after it has failed: mostly ``FINISH`` as well, but with an error."""
        return {**self._ended(job, failure), **(self.parts(job, failure) if self.parts else {})}

    def announcement(self, detail: Mapping[str, Any]) -> dict[str, Any] | None:
        """:param detail: of the task.
        :return: the event; None if such tasks announce nothing.
        """
        if self.event is None:
            return None
        event_type, field = self.event
        return {"EventType": event_type, field: {} if self.event_without_task else dict(detail)}

    def _added(self, job: Job, failure: TaskFailure | None) -> dict[str, Any]:
        return self.parts(job, failure) if self.parts else self.result(job)

    def _ended(self, job: Job, failure: TaskFailure | None) -> dict[str, Any]:
        running = self.running(job)
        errors = errors_of(None if self.parts else failure)
        shown = {name: value for name, value in errors.items() if name in running}
        progress = {"Progress": 100} if "Progress" in running else {}
        return {**running, **shown, **progress, "Status": self.ended[failure is not None]}


def _pending(item: tuple[str, Any]) -> tuple[str, Any]:
    return item[0], "" if isinstance(item[1], str) else None
