"""What happens to tasks that are still to be started: which of them fail, and which are held at a status.

Invariant: an outcome that is scripted for the next task hits exactly one task, in the order of the script.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from airflow_vod.emulator.options import TaskFailure

HeldAt = Literal["WAITING", "PROCESSING"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens to one task."""

    failure: TaskFailure | None
    """None: it succeeds."""
    held_at: HeldAt | None
    """The status at which it stays until it is told to go on; None: it ends by itself."""


@dataclass(slots=True)
class Script:
    """The plans for the tasks of one application. Not thread-safe: its owner holds a lock.

    :param failure: how tasks fail unless something else is scripted; None lets them succeed.
    """

    failure: TaskFailure | None = None
    _next: dict[str | None, deque[TaskFailure | None]] = field(default_factory=dict)
    _held: dict[str | None, HeldAt | None] = field(default_factory=dict)

    def fail_next(self, failure: TaskFailure | None, action: str | None) -> None:
        """:param failure: of the next task that has no failure yet; None lets it succeed.
        :param action: which tasks; None for any.
        """
        self._next.setdefault(action, deque()).append(failure)

    def hold(self, status: HeldAt | None, action: str | None) -> None:
        """:param status: at which tasks started from now on are held; None lets them go on.
        :param action: which tasks; None for all.
        :raises ValueError: when tasks cannot be held at this status.
        """
        if status is not None and status not in get_args(HeldAt):
            raise ValueError(f"tasks can be held at {' or '.join(get_args(HeldAt))}, not at {status!r}")
        if action is None:
            self._held.clear()
        self._held[action] = status

    def take(self, action: str, *, asked: bool = True) -> Plan:
        """:param action: that starts a task; the type of task, such as ``Procedure``, if it is a follow-up task.
        :param asked: whether it is not a follow-up task. Those fail only where their type is named.
        :return: what happens to the task.
        """
        held_at = self._held.get(action, self._held.get(None))
        for key in (action, None) if asked else (action,):
            if self._next.get(key):
                return Plan(self._next[key].popleft(), held_at)
        return Plan(self.failure if asked else None, held_at)
