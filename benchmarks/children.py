"""Objects that live in processes of their own, so that what is measured shares no interpreter with what drives it.

Invariant: a child ends with the `with` block that made it, and with its parent, whatever became of either.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Self

_CONTEXT = multiprocessing.get_context("spawn")  # a fork would inherit what the parent has imported and measured
_PATIENCE = 60.0  # seconds that a child has to end by itself


class ChildError(Exception):
    """A method failed in its process, or the process is gone."""


class Child:
    """An object in a process of its own.

    :param make: makes the object there, a context manager; importable by name, like the arguments.
    """

    def __init__(self, make: Callable[..., AbstractContextManager[Any]], *args: Any, **kwargs: Any) -> None:
        self._pipe, there = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_live, args=(there, make, args, kwargs))
        self._process.start()
        there.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        for end in (lambda: None, self._process.terminate, self._process.kill):
            end()
            self._process.join(_PATIENCE)
            if not self._process.is_alive():
                break
        self._process.close()

    def begin(self, method: str, *args: Any) -> None:
        """Call a method without waiting; `end` has the answer."""
        self._pipe.send((method, args))

    def end(self) -> Any:
        """Wait for the answer of the method that began first.

        :raises ChildError: it failed; with the traceback.
        """
        try:
            good, answer = self._pipe.recv()
        except (EOFError, ConnectionError):
            raise ChildError(f"the process {self._process.name} is gone") from None
        if not good:
            raise ChildError(answer)
        return answer

    def call(self, method: str, *args: Any) -> Any:
        """Call a method.

        :return: its answer.
        :raises ChildError: it failed.
        """
        self.begin(method, *args)
        return self.end()


def _live(
    pipe: Connection,
    make: Callable[..., AbstractContextManager[Any]],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    try:
        with make(*args, **kwargs) as thing:
            while True:
                method, given = pipe.recv()
                pipe.send(_answer(thing, method, given))
    except (EOFError, ConnectionError, KeyboardInterrupt):
        return  # the parent is done with this
    except BaseException:
        pipe.send((False, traceback.format_exc()))


def _answer(thing: Any, method: str, args: tuple[Any, ...]) -> tuple[bool, Any]:
    try:
        return True, getattr(thing, method)(*args)
    except Exception:
        return False, traceback.format_exc()


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used so far; the difference of two is what it used in between.

    :param at: seconds of a clock that all processes share.
    :param cpu: seconds of CPU, of all threads.
    :param memory: resident bytes.
    """

    at: float
    cpu: float
    memory: int

    @classmethod
    def now(cls) -> Usage:
        """Look at this process."""
        import psutil

        return cls(time.monotonic(), time.process_time(), psutil.Process(os.getpid()).memory_info().rss)

    def share(self, since: Usage) -> float:
        """:return: the CPU used since then, in percent of one core."""
        return 100 * (self.cpu - since.cpu) / (self.at - since.at)
