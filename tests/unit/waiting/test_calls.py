"""Calls from threads into event loops, and the signal back."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

from airflow_vod.waiting.calls import BATCH, Signal, call_in_loops
from airflow_vod.waiting.waiter import TaskWaiter


async def test_calls_are_made_in_order_and_in_batches() -> None:
    """However many calls there are, all are made, in order, and between two batches the loop does other things."""
    waiter, made, turns = TaskWaiter(["A"]), [], []

    async def do_other_things() -> None:
        while len(made) < 3 * BATCH:
            await asyncio.sleep(0)
            turns.append(len(made))

    calls: list[Any] = [(waiter, lambda number=number: made.append(number)) for number in range(3 * BATCH)]
    other = asyncio.create_task(do_other_things())
    await asyncio.to_thread(call_in_loops, calls)
    await asyncio.wait_for(other, 60)
    assert made == list(range(3 * BATCH))
    assert {BATCH, 2 * BATCH} <= set(turns)


async def test_each_call_is_made_in_the_loop_of_its_waiter() -> None:
    """Not in the thread that asks for it, nor in another loop; a closed loop is in nobody's way."""
    threads: list[str] = []
    here, there = TaskWaiter(["A"]), await asyncio.to_thread(lambda: asyncio.run(_waiter()))  # that loop is closed
    done = asyncio.Event()

    def note() -> None:
        threads.append(threading.current_thread().name)
        done.set()

    await asyncio.to_thread(call_in_loops, [(there, note), (here, note)])
    await asyncio.wait_for(done.wait(), 60)
    assert threads == [threading.current_thread().name]


async def _waiter() -> TaskWaiter:
    return TaskWaiter(["A"])


def test_a_signal_is_not_lost() -> None:
    """One that was sent before the wait ends it at once, several are one, and without one the wait comes to its end."""
    signal = Signal()
    signal.send()
    signal.send()
    assert signal.wait(3600)
    assert not signal.wait(0.01)
    assert not signal.wait(-1)


def test_a_signal_wakes_a_thread() -> None:
    """Whoever waits is woken by it at once."""
    signal, woken = Signal(), []
    thread = threading.Thread(target=lambda: woken.append(signal.wait(60)))
    began = time.monotonic()
    thread.start()
    signal.send()
    thread.join()
    assert woken == [True]
    assert time.monotonic() - began < 30
