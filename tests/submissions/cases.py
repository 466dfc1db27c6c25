"""The cases of the campaign: one step to die at, one trouble at VOD, one way of waiting, one database.

Invariant: a case is over when Airflow would have its result; its tries follow each other as Airflow lets them.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from types import MappingProxyType
from typing import Any

from airflow_vod.emulator import Emulator
from airflow_vod.inbox import InboxStore
from tests import tempo
from tests.airflow_fixtures import INBOX_OPTION, SUB_APP_ID
from tests.databases import KINDS
from tests.submissions.player import STEPS, Part, play

MODES: Mapping[str, Mapping[str, Any]] = {"worker": {}, "deferred": {"deferrable": True}}
EDIT = {"InputType": "File", "FileInfos": [{"FileId": "1"}, {"FileId": "2"}]}
_PATIENCE = 180.0  # seconds for one process; the first waits until Airflow is loaded
_DEATHS = 3  # of processes, at most, before a case is given up
_LONG = ("before the wait", "while it waits", "the event is there")  # steps for which the task must not have ended
_LATE = 1.5  # seconds after which VOD lists a task, where it is late


@dataclass(frozen=True)
class Trouble:
    """What VOD does to the request.

    :param faults: of the action that starts the task, one for each call.
    :param options: of the emulator.
    :param arguments: of the operator, besides its action and parameters.
    """

    faults: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


def _late(**options: Any) -> dict[str, Any]:
    return {"listing_delay": _LATE, **options}


LOST = ("drop_response",)
TROUBLES: Mapping[str, Trouble] = {
    "none": Trouble(),
    "answer lost": Trouble(LOST),
    "request lost": Trouble(("drop_request",)),
    "duplicate: InvalidParameterValue.SessionId": Trouble(LOST, _late()),
    "duplicate: FailedOperation.TaskDuplicate": Trouble(LOST, _late(duplicate_code="FailedOperation.TaskDuplicate")),
    "duplicate: …UniqueIdentifier": Trouble(LOST, _late(duplicate_code="InvalidParameterValue.UniqueIdentifier")),
    "late DescribeTasks": Trouble(LOST, {"listing_delay": 2 * _LATE}),
    "no SessionId in TaskSimpleInfo": Trouble(LOST, {"listed_session_id": False}),
    "neither is listed": Trouble(
        LOST, _late(listed_session_id=False, listed_session_context=False), {"session_context": "the user's own"}
    ),
    "throttled": Trouble(("throttled",)),
}


@dataclass(frozen=True)
class Case:
    """One case.

    :param step: where the first process that gets there dies.
    :param trouble: one of `TROUBLES`.
    :param mode: one of `MODES`.
    :param database: one of `KINDS`.
    """

    step: str
    trouble: str
    mode: str
    database: str

    def __str__(self) -> str:
        return ", ".join((self.step, self.trouble, self.mode, self.database))


def all_cases() -> Iterator[Case]:
    """Make every case that there is."""
    yield from (Case(*each) for each in product(STEPS, TROUBLES, MODES, KINDS))


def some_cases() -> Iterator[Case]:
    """Make enough cases to have every step in each mode, and every trouble on each database."""
    troubles, kinds, modes = list(TROUBLES), list(KINDS), list(MODES)
    for number, (step, mode) in enumerate(product(STEPS, MODES)):
        yield Case(step, troubles[number % len(troubles)], mode, kinds[number // 2 % len(kinds)])
    for number, (trouble, kind) in enumerate(product(TROUBLES, KINDS)):
        yield Case("VOD has answered", trouble, modes[number // 2 % 2], kind)


@dataclass
class Outcome:
    """What a case came to.

    :param deaths: processes that died by their own hand.
    :param started: VOD tasks, as VOD counts them.
    :param result: what Airflow would have.
    :param told: the VOD task id that was pushed.
    :param state: of the submission in the inbox.
    """

    deaths: int
    started: int
    result: Any
    told: str | None
    state: str | None

    def problems(self) -> list[str]:
        """Name what is wrong."""
        problems = []
        if self.started != 1:
            problems.append(f"VOD started {self.started} tasks")
        if self.deaths != 1:
            problems.append(f"{self.deaths} processes died")
        if not isinstance(self.result, dict) or self.result.get("vod_task_id") != self.told:
            problems.append(f"the result is {self.result!r:.300}, the task {self.told}")
        if self.state != "done":
            problems.append(f"the inbox says {self.state}")
        return problems


def run(case: Case, inbox_url: str) -> Outcome:
    """Play a case.

    :param inbox_url: of an inbox for this case alone.
    """
    trouble = TROUBLES[case.trouble]
    seconds = 7.0 if case.step in _LONG else 1.0
    options = tempo.options(**{"task_seconds": seconds, **trouble.options})
    with Emulator(options=options) as vod:
        vod.faults.script({"EditMedia": trouble.faults})
        environment = {"AIRFLOW_CONN_VOD_DEFAULT": vod.airflow_connection(SUB_APP_ID), INBOX_OPTION: inbox_url}
        arguments = {"action": "EditMedia", "parameters": EDIT, **MODES[case.mode], **trouble.arguments}
        first = Part("execute", 1, case.step, environment, arguments)
        deaths, result, pushed = _play_as_airflow_would(first)
        queue = f"{vod.host}:{vod.port}/{SUB_APP_ID}"
        store = InboxStore.open(inbox_url)
        found = store.submissions.of_task(queue, pushed.get("vod_task_id") or "")
        store.close()
        return Outcome(
            deaths,
            vod.starts.count(sub_app_id=SUB_APP_ID),
            result,
            pushed.get("vod_task_id"),
            found and found.state,
        )


def _play_as_airflow_would(part: Part) -> tuple[int, Any, dict[str, Any]]:
    """Let processes follow each other: a worker that dies is retried, a trigger goes to another triggerer."""
    deaths = 0
    while True:
        told = _process(part)
        if told is None and deaths < _DEATHS:
            deaths += 1
            alive = replace(part, dies_at="")
            part = alive if part.phase == "wait" else replace(alive, phase="execute", attempt=part.attempt + 1)
            continue
        kind, value, pushed = told or ("error", "it died again and again", {})
        if kind == "deferred":
            part = replace(part, phase="wait", trigger=value, pushed=pushed)
        elif kind == "fired":
            part = replace(part, phase="resume", event=value)
        elif kind == "error" and part.attempt < 4:
            part = replace(part, phase="execute", attempt=part.attempt + 1)
        else:
            return deaths, value, pushed


def _process(part: Part) -> tuple[str, Any, dict[str, Any]] | None:
    """Run one process.

    :return: what it told; None where it killed itself.
    """
    ours, theirs = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=play, args=(part, theirs))
    process.start()
    theirs.close()
    try:
        told = ours.recv() if ours.poll(_PATIENCE) else ("error", f"no answer within {_PATIENCE:g} s: {part}", {})
    except EOFError:
        told = None
    if told is not None and told[0] == "error" and "no answer" in str(told[1]):
        process.kill()
    process.join()
    ours.close()
    # 255 is what the server of forks reports of a process that it could not wait for any more.
    if told is None and process.exitcode not in (-signal.SIGKILL, 255):
        return "error", f"ended with {process.exitcode}", {}
    return told


CONTEXT = multiprocessing.get_context("forkserver")
"""Processes are forked from one that has a single thread and has loaded all that they need."""
CONTEXT.set_forkserver_preload(
    [
        "tests.submissions.player",
        "tests.tempo",
        "airflow.providers.common.compat.connection",
        "airflow.sdk.execution_time.task_runner",
        "airflow_vod.hooks.config",
        "airflow_vod.inbox.store",
        "airflow_vod.operators.submit",
        "airflow_vod.relay.pipeline",
        "airflow_vod.relay.reconcile",
        "airflow_vod.relay.steps",
        "airflow_vod.submission",
        "airflow_vod.tencent.client",
        "airflow_vod.triggers.submit",
        "airflow_vod.waiting.staying",
        "airflow_vod.waiting.watches",
        "psycopg",
        "sqlalchemy.dialects.postgresql.psycopg",
        "sqlalchemy.dialects.sqlite.pysqlite",
        "tencentcloud.common.common_client",
    ]
)


def as_json(outcome: Outcome) -> str:
    """Write an outcome, for a message."""
    return json.dumps(vars(outcome), default=str)[:800]
