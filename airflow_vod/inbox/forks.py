"""What a process does after it was forked off another.

Invariant: connections and locks are used only in the process that made them. Nor are the parent's connections closed in the
child, not even by the garbage collector: that would end the parent's sessions, or drop its locks on a file.
"""

from __future__ import annotations

import os
import weakref
from typing import Any, Protocol


class Forkable(Protocol):
    """Holds connections or locks."""

    def before_fork(self) -> None:
        """Let go, in the parent, of what a child must not even inherit."""

    def after_fork(self) -> Any:
        """Begin anew, in the child.

        :return: what belongs to the parent and must live on untouched.
        """


_forkable: weakref.WeakSet[Any] = weakref.WeakSet()
_left_to_parent: list[Any] = []


def survive_fork(one: Forkable) -> None:
    """Have `one` told in the child of each fork, for as long as it lives."""
    _forkable.add(one)


def _before_fork() -> None:
    for one in list(_forkable):
        one.before_fork()


def _after_fork() -> None:
    _left_to_parent.extend([one.after_fork() for one in list(_forkable)])


os.register_at_fork(before=_before_fork, after_in_child=_after_fork)
