"""Virtual time, and threads that take turns: one seed, one run.

Invariant: nothing here reads a real clock, sleeps or draws a random number that is not the seed's. A thread is a greenlet;
it runs until it waits, so between two waits nothing else happens.
"""

from __future__ import annotations

import asyncio
import heapq
import queue
import zlib
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, ClassVar

from greenlet import GreenletExit, getcurrent, greenlet

EPOCH = 1_790_000_000.0  # Unix seconds at which every world begins
TRACE = 50  # steps that a failure prints
LOOK_EVERY = 0.5  # virtual seconds between two looks whether a run is over


class BrokenError(AssertionError):
    """An invariant does not hold."""


class World:
    """All that happens in one run.

    :param seed: decides everything.
    :param scenario: what is played, for the command that repeats it.
    """

    current: ClassVar[World | None] = None

    def __init__(self, seed: int, scenario: str = "") -> None:
        World.current = self
        self.seed = seed
        self.scenario = scenario
        self.rng = Random(seed)
        self.names = Random(seed)  # apart, so that how many ids are made changes nothing else
        self.now = 0.0  # virtual monotonic seconds
        self.trace: deque[str] = deque(maxlen=TRACE)
        self.digest = 0
        self.steps = 0
        self.processes: list[Process] = []
        self.errors: list[BaseException] = []
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._hub = getcurrent()

    def note(self, text: str) -> None:
        """Take a step down, for people and for the comparison of two runs."""
        line = f"{self.now:10.4f} {text}"
        self.trace.append(line)
        self.digest = zlib.crc32(line.encode(), self.digest)

    def time(self) -> float:
        """Unix seconds of the server."""
        return EPOCH + self.now

    def at(self, moment: float, run: Callable[[], None]) -> None:
        """Let something happen at a virtual moment."""
        self._count += 1
        heapq.heappush(self._due, (max(moment, self.now), self._count, run))

    def after(self, seconds: float, run: Callable[[], None]) -> None:
        """Let something happen after some virtual seconds."""
        self.at(self.now + seconds, run)

    def run(self, until: float, *, done: Callable[[], bool] = lambda: False) -> None:
        """Let time pass.

        :param until: a virtual moment.
        :param done: ends it early; asked every `LOOK_EVERY` seconds, for it may take long.
        :raises BrokenError: an invariant does not hold; with the seed and the last steps.
        """
        look_at = self.now
        while self._due and self._due[0][0] <= until:
            if self.now >= look_at:
                if done():
                    return
                look_at = self.now + LOOK_EVERY
            self.now, _, run = heapq.heappop(self._due)
            self.steps += 1
            run()
            if self.errors:
                raise self.broken(self.errors[0])
        if not done():
            self.now = max(self.now, until)

    def broken(self, error: BaseException) -> BrokenError:
        """Tell what does not hold, how it came to be and how to see it again."""
        last = "\n".join(self.trace)
        again = f"make simulate ONLY={self.scenario} SEED={self.seed}"
        told = BrokenError(f"seed {self.seed}: {error!r}\nagain: {again}\nthe last steps:\n{last}")
        told.__cause__ = error
        return told

    def in_thread(self) -> bool:
        """Say whether a thread of some process is running."""
        return getcurrent() is not self._hub

    def wait(self, register: Callable[[Callable[[], None]], None]) -> None:
        """Let the running thread wait.

        :param register: gets what wakes the thread; called more than once, that counts once.
        """
        thread = getcurrent()
        process: Process = thread.process  # type: ignore[attr-defined]
        if not process.alive:
            raise GreenletExit
        woken = False

        def wake() -> None:
            nonlocal woken
            if not woken:
                woken = True
                process.go_on(thread)

        register(wake)
        loop = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        self._hub.switch()
        asyncio._set_running_loop(loop)
        if not process.alive:
            raise GreenletExit

    def sleep(self, seconds: float) -> None:
        """Let the running thread wait for some time; outside of threads nothing waits."""
        if self.in_thread():
            self.wait(lambda wake: self.after(seconds, wake))

    def end(self) -> None:
        """Let no thread do anything any more, not even where the garbage collector ends it."""
        for process in self.processes:
            process.alive = False
        self._due.clear()


class Process:
    """A process of a machine: threads that live and die together. It is a `airflow_vod.relay.threads.Threads`.

    :param world: in which it runs.
    :param name: for the trace.
    """

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.alive = True
        self.frozen_until = 0.0
        self.skew = 0.0  # seconds by which its wall clock is ahead
        self.dies_in = float("inf")  # steps
        self.threads: list[SimulatedThread] = []
        world.processes.append(self)

    def start(self, target: Callable[[], None], name: str, *, daemon: bool = False) -> SimulatedThread:
        """See `Threads.start`."""
        thread = SimulatedThread(self, target, name, daemon)
        self.threads.append(thread)
        self.world.after(0.0, lambda: self.go_on(thread.greenlet))
        return thread

    def mailbox(self) -> Mailbox:
        """See `Threads.mailbox`."""
        return Mailbox(self.world)

    def monotonic(self) -> float:
        """Monotonic seconds of its machine, whose clock began at another time than the world."""
        return self.world.now + 1000.0

    def time(self) -> float:
        """Unix seconds by the clock of its machine, which people and NTP set."""
        return self.world.time() + self.skew

    def kill(self) -> None:
        """End it at once, as SIGKILL does: no thread of it does anything any more."""
        self.world.note(f"{self.name} is killed")
        self.alive = False

    def freeze(self, seconds: float) -> None:
        """Let it do nothing for a while, as a machine that swaps or a virtual machine that is moved."""
        self.world.note(f"{self.name} is frozen for {seconds:.1f} s")
        self.frozen_until = max(self.frozen_until, self.world.now + seconds)

    def go_on(self, thread: greenlet) -> None:
        """Let a thread run on, once the process is not frozen."""
        if not self.alive:
            return
        if self.frozen_until > self.world.now or self.world.in_thread():
            self.world.at(self.frozen_until, lambda: self.go_on(thread))
            return
        self.dies_in -= 1
        if self.dies_in < 0:
            self.kill()
        else:
            thread.switch()

    def left(self) -> list[str]:
        """Name the threads that have not ended; of a process that was killed there are none."""
        return [thread.name for thread in self.threads if thread.is_alive() and not thread.daemon and self.alive]


class SimulatedThread:
    """See `airflow_vod.relay.threads.Thread`."""

    def __init__(self, process: Process, target: Callable[[], None], name: str, daemon: bool) -> None:
        self.name = name
        self.daemon = daemon
        self._process = process
        self._joiners: list[Callable[[], None]] = []

        def run() -> None:
            try:
                target()
            except GreenletExit:
                pass
            except BaseException as error:
                process.world.errors.append(error)
            for wake in self._joiners:
                wake()

        self.greenlet = greenlet(run, process.world._hub)
        self.greenlet.process = process

    def is_alive(self) -> bool:
        """See `Thread.is_alive`."""
        return self._process.alive and not self.greenlet.dead

    def join(self, timeout: float | None = None) -> None:
        """See `Thread.join`."""
        if not self.is_alive():
            return

        def register(wake: Callable[[], None]) -> None:
            self._joiners.append(wake)
            if timeout is not None:
                self._process.world.after(timeout, wake)

        self._process.world.wait(register)


class Mailbox:
    """See `airflow_vod.relay.threads.Mailbox`.

    :param world: in which it is.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._items: deque[Any] = deque()
        self._takers: deque[Callable[[], None]] = deque()

    def put(self, item: Any) -> None:
        """See `Mailbox.put`."""
        self._items.append(item)
        takers, self._takers = self._takers, deque()
        for wake in takers:
            wake()

    def wait(self, timeout: float | None) -> None:
        """Wait until there is something, and take all of it."""
        if timeout is None or timeout > 0:
            try:
                self.get(timeout=timeout)
            except queue.Empty:
                return
        self._items.clear()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """See `Mailbox.get`."""
        # A wait takes some time always, or rounding could let one who waits for a moment come back before it for ever.
        give_up = None if timeout is None else self._world.now + max(timeout, 1e-6)
        while not self._items:
            if not block or (give_up is not None and self._world.now >= give_up):
                raise queue.Empty

            def register(wake: Callable[[], None]) -> None:
                self._takers.append(wake)
                if give_up is not None:
                    self._world.at(give_up, wake)

            self._world.wait(register)
        return self._items.popleft()


class Line:
    """A lock in which threads of one process stand in line.

    :param world: in which it is.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._taken = False
        self._waiting: deque[Callable[[], None]] = deque()

    def __enter__(self) -> None:
        while self._taken:
            self._world.wait(self._waiting.append)
        self._taken = True

    def __exit__(self, *_: object) -> None:
        self._taken = False
        if self._waiting:
            self._waiting.popleft()()
