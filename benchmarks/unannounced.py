"""Waits for tasks whose end VOD does not announce, in virtual time.

Invariant: client, HTTP, emulator and inbox are real, and so is what decides when to ask; the emulator's clock is everybody's, and
it is moved to whatever comes next. A task counts as noticed when its end is in the inbox.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.emulator.clock import ManualClock
from airflow_vod.inbox import InboxStore
from airflow_vod.relay import reconcile, survey
from airflow_vod.relay.reconcile import Answer, ReconcileLoop, Reconciler
from airflow_vod.relay.survey import Survey
from airflow_vod.tencent import pacing
from airflow_vod.tencent.client import VodClient
from airflow_vod.tencent.settings import VodSettings

TASK_TYPE = "TextToSpeechAsync"


@dataclass
class Noticed:
    """What came of it.

    :param lateness: of each task, in seconds.
    :param calls: how many there were, by action.
    :param seconds: how long it took, of virtual time.
    """

    lateness: dict[str, float] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


def wait_for(
    lengths: Mapping[str, float],
    inbox: InboxStore,
    *,
    options: EmulatorOptions | None = None,
    known: bool = True,
    seed: int = 1,
) -> Noticed:
    """Wait for tasks that are all submitted at one moment.

    :param lengths: how many seconds each task takes, by its id.
    :param inbox: where their ends go.
    :param options: of the emulator.
    :param known: whether it is known from the beginning that they are not announced, as it is once VOD was asked.
    :param seed: of the spread of the questions.
    """
    clock = ManualClock()
    with Emulator(options=options or EmulatorOptions(), clock=clock) as vod:
        client = VodClient(VodSettings(vod.secret_id, vod.secret_key, endpoint=vod.endpoint))
        _pace(client, clock)
        began_at, noticed, awaited = clock.now(), Noticed(), set(lengths)

        def note(vod_task_id: str, answer: Answer) -> None:
            if answer.ended:
                noticed.lateness[vod_task_id] = clock.now() - began_at - lengths[vod_task_id]
                awaited.discard(vod_task_id)

        loop = ReconcileLoop(
            Reconciler(client, inbox),
            awaited.__contains__,
            note,
            Survey(client, clock.now),
            clock=clock.now,
            wall_clock=clock.now,
            rng=random.Random(seed),
        )
        for vod_task_id in lengths:
            vod.add_task(vod_task_id, TASK_TYPE, status="PROCESSING")
            loop.add(vod_task_id, began_at, began_at, unannounced=known)
        _live(vod, clock, loop, {began_at + seconds: each for each, seconds in lengths.items()}, awaited)
        noticed.seconds = clock.now() - began_at
        noticed.calls = {action: vod.calls.count(action) for action in (reconcile.ACTION, survey.ACTION)}
        client.close()
    return noticed


def _live(
    vod: Emulator, clock: ManualClock, loop: ReconcileLoop, ends: dict[float, str], awaited: Collection[str]
) -> None:
    coming = sorted(ends)
    loop.take_added()
    while awaited:
        due = max(min([*coming[:1], loop.due()]), clock.now())
        clock.advance(due - clock.now())
        if coming and coming[0] <= due:
            vod_task_id = ends[coming.pop(0)]
            detail = {"TaskId": vod_task_id, "Status": "FINISH", "ErrCode": 0}
            vod.add_task(vod_task_id, TASK_TYPE, detail=detail)
        loop.turn()


def _pace(client: VodClient, clock: ManualClock) -> None:
    """Let this client's calls wait for their turn in virtual time."""

    def sleep(seconds: float) -> None:
        clock.advance(seconds)

    for action, limit in (
        (reconcile.ACTION, reconcile.CALLS_PER_SECOND),
        (survey.ACTION, survey.CALLS_PER_SECOND),
    ):
        pacing._pacers[client.settings.account, action] = pacing.Pacer(limit, clock.now, sleep)
