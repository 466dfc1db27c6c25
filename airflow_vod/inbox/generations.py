"""Whether a request to start a VOD task means the task that was started before, or a new one.

Invariant: the decision depends on what is written in the inbox and on the request alone, so every process decides alike; a new
task is begun only where the one before has ended without a result to hand over, where its result was handed over and
somebody asks anew, or where something else is requested.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_vod.exceptions import SubmissionError, SubmissionLostError, SubmissionRefusedError
from airflow_vod.inbox.leases import new_holder
from airflow_vod.inbox.submissions import DONE, LOST, REFUSED, Submission

if TYPE_CHECKING:
    from airflow_vod.events.results import TaskResult
    from airflow_vod.tencent.actions import Action

_REFUSED_CODES = frozenset({40000, 60000})
_REFUSED_FAMILIES = ("InvalidInput", "SourceFileError")


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """A VOD task that is to be started once.

    :param action: the action of the VOD API.
    :param parameters: its parameters, in plain JSON, without ``SessionId``.
    :param key: of whom it is started for; see `key_of`.
    :param submitter: its name, for people: ``dag/run/task``.
    :param life: of the Airflow task: changes when somebody clears it, and not when Airflow retries it.
    :param attempt: the number of the try.
    :param session_id: the user's own ``SessionId``; None for one that is made here.
    :param allow_repeat: whether a request that VOD cannot recognise may be repeated when its answer was lost.
    :param on_partial: ``fail`` where a task that failed in part has failed.
    """

    action: Action
    parameters: Mapping[str, Any] = field(repr=False)
    key: str
    submitter: str
    life: int
    attempt: int
    session_id: str | None = None
    allow_repeat: bool = False
    on_partial: str = "fail"

    def digests(self) -> dict[str, str]:
        """Answer a digest of each parameter, by its name, so that what has changed can be named without being kept."""
        everything = {**self.parameters, **({"SessionId": self.session_id} if self.session_id else {})}
        return {name: _digest(value)[:16] for name, value in sorted(everything.items())}

    @property
    def is_repeatable(self) -> bool:
        """Whether a request whose answer was lost may be repeated: VOD recognises it, or a second task does not matter."""
        return self.action.takes_session_id or self.allow_repeat

    def session_context(self, session_id: str) -> str | None:
        """Answer the ``SessionContext``: the user's, else the SessionId, because VOD may list only this of the two."""
        return self.parameters.get("SessionContext", session_id) if self.action.takes_session_context else None

    def parameters_with(self, session_id: str) -> dict[str, Any]:
        """Answer what is sent, with this SessionId where the action takes one."""
        added = {"SessionContext": self.session_context(session_id)} if self.action.takes_session_context else {}
        return dict(self.parameters) | added | ({"SessionId": session_id} if self.action.takes_session_id else {})


def key_of(*identity: str | int) -> str:
    """Make the key of a submission: of whom its task is started for.

    :param identity: what tells it from all others in its queue, such as DAG, run, task and map index.
    """
    return _digest(identity)


def begins(request: TaskRequest, queue: str, generation: int) -> Submission:
    """Make the record with which a submission begins."""
    made = "af-" + _digest((queue, request.key, generation, request.action.name, request.digests()))[:40]
    return Submission(
        queue,
        request.key,
        generation,
        request.session_id or made,
        request.action.name,
        request.digests(),
        request.submitter,
        new_holder(),
        request.life,
        request.attempt,
    )


def next_session_id(session_id: str) -> str:
    """Make the SessionId that takes the place of one that VOD has used up."""
    return "af-" + _digest(session_id)[:40]


class Decision(NamedTuple):
    """What a request means.

    :param generation: of the new task; None for the one that was started, or is to be, already.
    :param why: why a new one is to take the place of the one before.
    """

    generation: int | None
    why: str = ""


def decide(current: Submission | None, request: TaskRequest, failure: TaskResult | None = None) -> Decision:
    """Say whether a request means the newest submission of its key.

    :param current: that submission, if there is one.
    :param request: what is requested now.
    :param failure: how its task has failed, as far as the inbox knows.
    :raises SubmissionError: an earlier try than the latest asks for something else.
    :raises SubmissionRefusedError: VOD has refused this very request, and nobody has asked for another try.
    :raises SubmissionLostError: whether its task was started cannot be known, and nobody has asked for another one.
    """
    if current is None:
        return Decision(1)
    new, task = current.generation + 1, f"VOD task {current.vod_task_id}" if current.vod_task_id else "the request"
    # Airflow counts the tries of a task upwards, also when it is cleared. So this is a try that was taken for dead and goes on,
    # and asks for nothing that those after it have not asked for; or its DAG run was deleted and created again.
    late = request.attempt < current.attempt
    if changed := _changed(current, request):
        if late:
            raise SubmissionError(_LATE.format(now=request.attempt, before=current.attempt, changed=changed))
        return Decision(new, f"{changed} changed since {current.vod_task_id or current.session_id} was requested")
    cleared, retried = not late and current.life != request.life, request.attempt > current.attempt
    match current.state:
        case "lost" if not cleared:
            raise SubmissionLostError(str(current.message))
        case "refused" if not cleared:
            raise SubmissionRefusedError(str(current.message))
        case "failed" | "aborted" if retried or cleared:
            return Decision(new, f"{task} ended without success: {current.message}")
        case "done" | "lost" | "refused" if cleared:
            return Decision(new, f"the Airflow task was cleared after {_WHAT_WAS[current.state].format(task=task)}")
        case "started" if failure is not None and (cleared or (retried and not is_refusal(failure))):
            return Decision(new, f"{task} ended without success: {failure.error_code}, {failure.message}")
    return Decision(None)


_LATE = (
    "This is try {now}, and try {before} has asked for something else: {changed} changed. Nothing is started. If this try was "
    "taken for dead and another has taken its place, all is well. If the DAG run was deleted and created again under the same "
    "id, clear this task, or let Airflow retry it, until it is at try {before}: that starts a new VOD task."
)
_WHAT_WAS = {
    DONE: "the result of {task} was handed over",
    LOST: "a request whose answer was lost",
    REFUSED: "VOD had refused it",
}


def is_refusal(result: TaskResult) -> bool:
    """Say whether a VOD task failed because of what it was to be made of, so that another try would fail as well.

    Source: VOD API, the codes 40000 (input) and 60000 (source file), and the families of ``ErrCodeExt``.
    """
    code = result.error_code
    return code in _REFUSED_CODES or str(code).startswith(_REFUSED_FAMILIES)


def _changed(current: Submission, request: TaskRequest) -> str:
    """Name what is requested differently."""
    if current.action != request.action.name:
        return "the action"
    before, now = current.parameters, request.digests()
    names = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    return ", ".join(names)


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
