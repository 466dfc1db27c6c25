"""What a machine gives to the programs on it: clocks, chance, threads, locks. While a world runs, the product gets the world's.

Invariant: inside `simulated` no module of the product sees the real clock, the real threads or a random number that is not the
seed's, by whatever name or default argument it has them.
"""

from __future__ import annotations

import atexit
import contextlib
import queue
import random
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from random import Random
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from greenlet import getcurrent

from airflow_vod.relay.threads import SYSTEM_THREADS
from tests.simulation.world import Mailbox, Process, SimulatedThread, World

REAL_ONES = ("airflow_vod.cli", "airflow_vod.testing")


def here() -> Process | None:
    """Answer the process whose thread runs; None where the world itself is at work."""
    return getattr(getcurrent(), "process", None)


def the_world() -> World:
    """Answer the world that runs."""
    assert World.current is not None
    return World.current


class Clocks:
    """Stands in for the module `time`."""

    gmtime, strftime = staticmethod(time.gmtime), staticmethod(time.strftime)

    @staticmethod
    def monotonic() -> float:
        """See `time.monotonic`."""
        process = here()
        return process.monotonic() if process else the_world().now + 1000.0

    @staticmethod
    def time() -> float:
        """See `time.time`."""
        process = here()
        return process.time() if process else the_world().time()

    @staticmethod
    def sleep(seconds: float) -> None:
        """See `time.sleep`."""
        the_world().sleep(max(seconds, 1e-6))


class Chance:
    """Stands in for the module `random`."""

    @staticmethod
    def Random(*_: Any) -> Random:
        """See `random.Random`."""
        return Random(the_world().rng.random())

    @staticmethod
    def uniform(low: float, high: float) -> float:
        """See `random.uniform`."""
        return the_world().rng.uniform(low, high)

    @staticmethod
    def random() -> float:
        """See `random.random`."""
        return the_world().rng.random()


class Thread:
    """See `threading.Thread`."""

    def __init__(
        self, target: Callable[..., None], name: str = "", args: tuple[Any, ...] = (), daemon: bool = False
    ) -> None:
        self.name, self.daemon = name, daemon
        self._target, self._args = target, args
        self._started: SimulatedThread | None = None

    def start(self) -> None:
        """See `threading.Thread.start`."""
        process = here()
        assert process is not None
        self._started = process.start(lambda: self._target(*self._args), self.name, daemon=self.daemon)

    def join(self, timeout: float | None = None) -> None:
        """See `threading.Thread.join`."""
        assert self._started is not None
        self._started.join(timeout)

    def is_alive(self) -> bool:
        """See `threading.Thread.is_alive`."""
        return self._started is not None and self._started.is_alive()


class Lock:
    """See `threading.RLock` and `threading.Lock`; the world itself waits for none."""

    def __init__(self, *, again: bool = False) -> None:
        self._again = again
        self._owner: Any = None
        self._depth = 0
        self._waiting: list[Callable[[], None]] = []

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """See `threading.Lock.acquire`."""
        me = getcurrent()
        while self._depth and not (self._again and self._owner is me):
            if not blocking or not the_world().in_thread():
                return False
            the_world().wait(self._waiting.append)
        self._owner, self._depth = me, self._depth + 1
        return True

    def release(self) -> None:
        """See `threading.Lock.release`."""
        self._depth -= 1
        if not self._depth:
            self._owner = None
            waiting, self._waiting = self._waiting, []
            for wake in waiting:
                wake()

    def __enter__(self) -> Lock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Condition(Lock):
    """See `threading.Condition`."""

    def __init__(self) -> None:
        super().__init__(again=True)
        self._sleeping: list[Callable[[], None]] = []

    def wait(self, timeout: float | None = None) -> None:
        """See `threading.Condition.wait`."""

        def register(wake: Callable[[], None]) -> None:
            self._sleeping.append(wake)
            if timeout is not None:
                the_world().after(max(timeout, 1e-6), wake)

        self.release()
        the_world().wait(register)
        self.acquire()

    def notify_all(self) -> None:
        """See `threading.Condition.notify_all`."""
        sleeping, self._sleeping = self._sleeping, []
        for wake in sleeping:
            wake()


class Event:
    """See `threading.Event`."""

    def __init__(self) -> None:
        self._set = False
        self._condition = Condition()

    def is_set(self) -> bool:
        """See `threading.Event.is_set`."""
        return self._set

    def set(self) -> None:
        """See `threading.Event.set`."""
        self._set = True
        self._condition.notify_all()

    def clear(self) -> None:
        """See `threading.Event.clear`."""
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        """See `threading.Event.wait`."""
        if not self._set and (timeout is None or timeout > 0):
            with self._condition:
                self._condition.wait(timeout)
        return self._set


class Local:
    """See `threading.local`; a thread is a greenlet here."""

    __slots__ = ("_of_thread",)

    def __init__(self) -> None:
        self._of_thread: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        return self._of_thread.setdefault(getcurrent(), {})


class Threading:
    """Stands in for the module `threading`."""

    Thread, Event, Condition, Lock, local = Thread, Event, Condition, Lock, Local

    @staticmethod
    def RLock() -> Lock:
        """See `threading.RLock`."""
        return Lock(again=True)

    @staticmethod
    def main_thread() -> Any:
        """See `threading.main_thread`: it ends with its process."""
        return types.SimpleNamespace(is_alive=lambda: True)

    @staticmethod
    def get_ident() -> int:
        """See `threading.get_ident`."""
        return id(getcurrent())


class SimpleQueue(Mailbox):
    """See `queue.SimpleQueue`."""

    def __init__(self) -> None:
        super().__init__(the_world())

    def get_nowait(self) -> Any:
        """See `queue.SimpleQueue.get_nowait`."""
        return self.get(block=False)


class Queues:
    """Stands in for the module `queue`."""

    SimpleQueue, Empty = SimpleQueue, queue.Empty


class AtExit:
    """Stands in for the module `atexit`: a simulated process is killed, or told to end."""

    @staticmethod
    def register(_: Any) -> None:
        """Do nothing."""

    unregister = register


class ProcessThreads:
    """The `airflow_vod.relay.threads.Threads` of the process that runs."""

    @staticmethod
    def start(target: Callable[[], None], name: str, *, daemon: bool = False) -> SimulatedThread:
        """See `Threads.start`."""
        process = here()
        assert process is not None
        return process.start(target, name, daemon=daemon)

    @staticmethod
    def mailbox() -> Mailbox:
        """See `Threads.mailbox`."""
        return Mailbox(the_world())


class OfProcess:
    """A table that each process has one of, such as that of its pacers."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        process = here()
        holder = process if process is not None else the_world()
        return getattr(vars(holder).setdefault(self._name, {}), name)


def _uuid4() -> UUID:
    return UUID(int=the_world().names.getrandbits(128), version=4)


_MODULES: dict[Any, Any] = {
    time: Clocks,
    threading: Threading,
    queue: Queues,
    random: Chance,
    atexit: AtExit,
}
_VALUES: dict[Any, Any] = {
    time.time: Clocks.time,
    time.monotonic: Clocks.monotonic,
    time.sleep: Clocks.sleep,
    SYSTEM_THREADS: ProcessThreads,
}


@contextlib.contextmanager
def simulated() -> Iterator[Callable[[Any, str, Any], None]]:
    """Give the product the world's clocks, chance and threads.

    :return: changes an attribute until the end.
    """
    changed: list[tuple[Any, str, Any]] = []

    def change(holder: Any, name: str, value: Any) -> None:
        changed.append((holder, name, getattr(holder, name)))
        setattr(holder, name, value)

    try:
        for module in _modules():
            _swap_names(module, change)
            _swap_defaults(module, change)
        change(sys.modules["airflow_vod.tencent.pacing"], "_pacers", OfProcess("pacers"))
        yield change
    finally:
        for holder, name, value in reversed(changed):
            setattr(holder, name, value)


def _modules() -> list[types.ModuleType]:
    simulated_ones = ("airflow_vod.", "tenacity.", "airflow.triggers.shared_stream")
    return [
        module
        for name, module in list(sys.modules.items())
        if name.startswith(simulated_ones) and not name.startswith(REAL_ONES) and isinstance(module, types.ModuleType)
    ]


def _swap_names(module: types.ModuleType, change: Callable[[Any, str, Any], None]) -> None:
    for name, value in list(vars(module).items()):
        if isinstance(value, types.ModuleType) and value in _MODULES:
            change(module, name, _MODULES[value])
        elif name == "uuid4":
            change(module, name, _uuid4)
        elif name == "uuid" and isinstance(value, types.ModuleType):
            change(module, name, types.SimpleNamespace(uuid4=_uuid4))


def _swap_defaults(module: types.ModuleType, change: Callable[[Any, str, Any], None]) -> None:
    for function in _functions(module):
        if any(_is_real(each) for each in function.__defaults__ or ()):
            change(function, "__defaults__", tuple(_simulated(each) for each in function.__defaults__ or ()))
        named = function.__kwdefaults__ or {}
        if any(_is_real(each) for each in named.values()):
            change(function, "__kwdefaults__", {name: _simulated(each) for name, each in named.items()})


def _functions(module: types.ModuleType) -> Iterator[types.FunctionType]:
    for value in list(vars(module).values()):
        if getattr(value, "__module__", None) != module.__name__:
            continue
        members = list(vars(value).values()) if isinstance(value, type) else [value]
        yield from (each for each in members if isinstance(each, types.FunctionType))


def _is_real(value: Any) -> bool:
    return any(value is real for real in _VALUES)


def _simulated(value: Any) -> Any:
    return next((stand_in for real, stand_in in _VALUES.items() if value is real), value)
