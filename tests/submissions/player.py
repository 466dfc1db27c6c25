"""One process of an Airflow task that starts a VOD task: it executes, waits in a triggerer, or takes over from there.

Invariant: a player dies by SIGKILL at the step it was told, or plays to its end; it tells what came of it in one message.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any

from sqlalchemy import event

STEPS = (
    "before the intent is written",
    "before the intent is committed",
    "after the intent is committed",
    "before VOD is asked",
    "VOD has answered",
    "before the task id is committed",
    "after the task id is committed",
    "before the wait",
    "while it waits",
    "the event is there",
    "before the end is committed",
    "after the end is committed",
    "before the result is returned",
)
"""Where a process can die, in order."""


@dataclass(frozen=True)
class Part:
    """What one process is to do.

    :param phase: ``execute``, ``wait`` (in a triggerer) or ``resume``.
    :param attempt: Airflow's number of the try.
    :param dies_at: one of `STEPS`; empty for a process that lives.
    :param environment: the connection and the inbox.
    :param arguments: of the operator.
    :param trigger: for ``wait``: as Airflow has stored it.
    :param event: for ``resume``: what the trigger has yielded.
    """

    phase: str
    attempt: int
    dies_at: str
    environment: dict[str, str]
    arguments: dict[str, Any]
    trigger: tuple[str, dict[str, Any]] | None = None
    event: Any = None
    task_id: str = "splice"
    life: int = 9
    settle: float = 0.3
    patience: float = 15.0
    pushed: dict[str, Any] = field(default_factory=dict)


def play(part: Part, line: Connection) -> None:
    """Play a part, in a process of its own."""
    from airflow_vod.waiting.watch import watches

    os.environ.update(part.environment)
    if "VOD_SUBMISSIONS_LOG" not in os.environ:  # set it to see what the processes say
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
    logging.getLogger("airflow_vod").setLevel(logging.INFO)
    _hurry(part)
    _watch_steps(part.dies_at)
    pushed = dict(part.pushed)
    ti = SimpleNamespace(
        dag_id="dag",
        run_id="run",
        task_id=part.task_id,
        map_index=-1,
        try_number=part.attempt,
        max_tries=part.life,
        start_date=None,
        xcom_push=lambda key, value: pushed.update({key: value}),
    )
    try:
        outcome = _play(part, {"ti": ti})
    except Exception as error:
        outcome = ("error", f"{type(error).__name__}: {error}")
    line.send((*outcome, pushed))
    line.close()
    for watch in watches():  # a triggerer would live on
        watch.end()
        watch.join()


def _play(part: Part, context: Any) -> tuple[str, Any]:
    from airflow_vod.operators.submit import VodSubmitOperator
    from tests.airflow_names import TaskDeferred

    if part.phase == "wait":
        assert part.trigger is not None
        return "fired", asyncio.run(_wait(part.trigger[1]))
    operator = VodSubmitOperator(task_id=part.task_id, timeout=120, **part.arguments)
    try:
        if part.phase == "resume":
            result = operator.resume_execution("execute_complete", {"event": part.event}, context)
        else:
            result = operator.execute(context)
    except TaskDeferred as deferred:
        _at("before the wait")
        return "deferred", deferred.trigger.serialize()
    _at("before the result is returned")
    return "returned", result


async def _wait(arguments: dict[str, Any]) -> Any:
    from airflow_vod.triggers.submit import VodSubmittedTaskTrigger

    return (await anext(VodSubmittedTaskTrigger(**arguments).run())).payload


def _at(step: str) -> None:
    if step and step == _dies_at:
        os.kill(os.getpid(), signal.SIGKILL)


_dies_at = ""


def _hurry(part: Part) -> None:
    from airflow_vod import submission
    from airflow_vod.operators import submit
    from tests import tempo

    tempo.hurry()

    def submitter(self: Any) -> submission.Submitter:
        from airflow_vod.tencent.client import VodClient

        client = VodClient(self.vod_settings)
        return submission.Submitter(client, self._inbox, settle=part.settle, patience=part.patience)

    submit.VodSubmitOperator._submitter = submitter  # type: ignore[method-assign]


def _watch_steps(dies_at: str) -> None:
    """Put a hook before and behind every step."""
    global _dies_at
    _dies_at = dies_at
    from airflow_vod.hooks import config
    from airflow_vod.inbox.submissions import Submissions
    from airflow_vod.tencent.client import VodClient
    from airflow_vod.triggers import vod as triggers
    from airflow_vod.waiting.waiter import TaskWaiter

    _around(Submissions, "begin", "before the intent is written", "after the intent is committed")
    _around(Submissions, "note_started", "", "after the task id is committed")
    really_set, really_call, really_next, really_found = (
        Submissions.set_state,
        VodClient.call,
        TaskWaiter.next,
        triggers.VodTaskTrigger._found,
    )

    def set_state(self: Any, submission: Any, state: str, *args: Any, **more: Any) -> bool:
        done = really_set(self, submission, state, *args, **more)
        if state == "done":
            _at("after the end is committed")
        return done

    def call(self: Any, action: str, *args: Any, **more: Any) -> Any:
        is_ours = not action.startswith(("Describe", "Pull", "Confirm", "Manage", "Modify"))
        if is_ours:
            _at("before VOD is asked")
        try:
            return really_call(self, action, *args, **more)
        finally:
            if is_ours:
                _at("VOD has answered")

    async def next_news(self: Any, seconds: float) -> Any:
        _at("before the wait")
        asyncio.get_running_loop().call_later(0.4, _at, "while it waits")
        return await really_next(self, seconds)

    async def found(self: Any, watch: Any) -> Any:
        _at("the event is there")
        return await really_found(self, watch)

    Submissions.set_state, VodClient.call = set_state, call  # type: ignore[method-assign]
    TaskWaiter.next, triggers.VodTaskTrigger._found = next_news, found  # type: ignore[method-assign]
    _die_in_commits(config)


def _around(kind: Any, name: str, before: str, after: str) -> None:
    really = getattr(kind, name)

    def hooked(*args: Any, **more: Any) -> Any:
        _at(before)
        done = really(*args, **more)
        _at(after)
        return done

    setattr(kind, name, hooked)


def _die_in_commits(config: Any) -> None:
    """Die with a transaction that is complete but for its COMMIT."""
    really = config.open_inbox

    def open_inbox(url: str) -> Any:
        store = really(url)
        engine, pending = store._database.engine, dict[Any, str]()
        if getattr(engine, "is_watched", False):
            return store
        engine.is_watched = True

        @event.listens_for(engine, "before_cursor_execute")
        def note(connection: Any, _: Any, statement: str, parameters: Any, *__: Any) -> None:
            change = " ".join(statement.split()).partition(" WHERE ")[0]
            values = parameters.values() if isinstance(parameters, dict) else parameters
            if change.startswith("INSERT INTO vod_submission"):
                pending[connection] = "before the intent is committed"
            elif change.startswith("UPDATE vod_submission") and "vod_task_id=" in change:
                pending[connection] = "before the task id is committed"
            elif change.startswith("UPDATE vod_submission") and "done" in values:
                pending[connection] = "before the end is committed"

        @event.listens_for(engine, "commit")
        def before_commit(connection: Any) -> None:
            if step := pending.pop(connection, ""):
                _at(step)

        return store

    config.open_inbox = open_inbox
    from airflow_vod.hooks import vod

    vod.open_inbox = open_inbox
