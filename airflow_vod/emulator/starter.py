"""An action that starts tasks: what sets it apart from the others.

Invariant: whatever distinguishes one such action from another is in its row of the tables `media_tasks` and `generated_tasks`
(or in the schema of its parameters); no other module tests for an action by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_vod.emulator.errors import ApiError, missing
from airflow_vod.emulator.kinds import Kind
from airflow_vod.emulator.schemas import names_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DAY = 86400.0


def announced(task_type: str, event_type: str, field: str = "", **rest: Any) -> Kind:
    """:param task_type: of the tasks.
    :param event_type: that announces their end.
    :param field: of EventContent; the event type's name with ``Event`` behind it if empty.
    :param rest: other fields of `Kind`.
    :return: the kind.
    """
    return Kind(task_type=task_type, event=(event_type, field or f"{event_type}Event"), **rest)


@dataclass(frozen=True, slots=True)
class Starter:
    """One action that starts a task."""

    action: str
    kind: Kind
    duplicate: str = "InvalidParameterValue.SessionId"
    """The error code of a request whose SessionId was used before."""
    window: float = 3 * DAY
    """Seconds during which its SessionId must not be used again."""
    check: Callable[[Mapping[str, Any]], None] = lambda params: None
    """Raises an `ApiError` for parameters that the service refuses."""
    answers: str = "TaskId"
    """The field of the answer that holds the VOD task id."""
    form: Literal["task", "flow", "clip"] = "task"
    """What is answered: the id of one task; those of all that a named task flow starts; or a clip at once, with the id of the
    flow that goes on with it."""

    @property
    def takes_session(self) -> bool:
        """Whether it has a SessionId."""
        return "SessionId" in names_of(self.action)


def sources(params: Mapping[str, Any]) -> None:
    """:param params: of EditMedia.
    :raises ApiError: unless every source is named.
    """
    names = {"File": ("FileInfos", "FileId"), "Stream": ("StreamInfos", "StreamId")}.get(params["InputType"])
    if names is None:
        raise ApiError("InvalidParameterValue.InputType", "InputType must be File or Stream.")
    name, key = names
    if not params.get(name):
        raise missing(name)
    if not all(isinstance(source.get(key), str) and source[key] for source in params[name]):
        raise missing(f"{name}.N.{key}")


def one_of(*names: str) -> Callable[[Mapping[str, Any]], None]:
    """:param names: of parameters.
    :return: a check that refuses a request which gives none of them.
    """

    def check(params: Mapping[str, Any]) -> None:
        if not any(params.get(name) for name in names):
            raise missing(" or ".join(names))

    return check


def filled(*names: str) -> Callable[[Mapping[str, Any]], None]:
    """:param names: of parameters.
    :return: a check that refuses a request in which one of them is empty.
    """

    def check(params: Mapping[str, Any]) -> None:
        for name in names:
            if not params.get(name):
                raise missing(name)

    return check
