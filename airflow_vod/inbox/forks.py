"""What happens to connections and locks when a process forks.

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
        """Release, in the parent, what a child must not even inherit."""

    def after_fork(self) -> Any:
        """Replace, in the child, all connections and locks with new ones.

        :return: what belongs to the parent and must never be closed.
        """


# Other threads add to it at any time, so it has no lock that a child could inherit locked, and is only ever copied whole.
_forkable: set[weakref.ref[Any]] = set()
_left_to_parent: list[Any] = []


def survive_fork(one: Forkable) -> None:
    """Call the methods of `one` at each fork, for as long as it lives."""
    _forkable.add(weakref.ref(one, _forkable.discard))


def _alive() -> list[Any]:
    return [one for reference in _forkable.copy() if (one := reference()) is not None]


def _before_fork() -> None:
    for one in _alive():
        one.before_fork()


def _after_fork() -> None:
    _left_to_parent.extend([one.after_fork() for one in _alive()])


os.register_at_fork(before=_before_fork, after_in_child=_after_fork)
