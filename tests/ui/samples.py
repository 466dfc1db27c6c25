"""A day of events, as a team would see it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from airflow_vod.events.parse import read_event
from airflow_vod.inbox import InboxStore, Waiter

QUEUE = "1500012345"
_DAY = 86400.0


def fill(open_at: Callable[[Callable[[], float]], InboxStore], number: int = 400, seed: int = 1) -> None:
    """Put a day of events into an inbox.

    :param open_at: opens it with a clock.
    """
    dice, now, end = random.Random(seed), [0.0], time.time()
    store = open_at(lambda: now[0])
    times = sorted(end - _DAY * (1 - dice.random() ** 0.6) - 30 for _ in range(number))
    for n, moment in enumerate(times):
        now[0] = moment
        source = dice.choices(("pull", "callback", "reconcile"), (12, 3, 1))[0]
        [received] = store.receive(QUEUE, [read_event(_event(dice, n))], source)  # type: ignore[arg-type]
        if dice.random() < 0.9:
            now[0] = moment + dice.expovariate(2.5)
            store.mark_read(QUEUE, [received.position], f"splices/scheduled__2026-11-{dice.randint(10, 23)}/wait")
    now[0] = end
    store.receive(QUEUE, [read_event(b"<html>502 Bad Gateway</html>")], "callback")
    says = {"last_pull_at": end - 1, "caught_up_at": end - 1, "in_queue": 0, "in_queue_at": end - 1, "pulled": number}
    store.leases.acquire(QUEUE, "triggerer-1:4711:9f3a2c10", 86400, info=says)
    store.waiters.add(
        QUEUE, [Waiter(id="w1", vod_task_id="Concat-next", waiter="splices/scheduled__2026-11-23/wait")], "owner"
    )
    store.close()


def _event(dice: random.Random, number: int) -> dict[str, Any]:
    kind = dice.choices(
        ("ConcatComplete", "EditMediaComplete", "NewFileUpload", "ProcedureStateChanged"), (8, 3, 3, 2)
    )[0]
    task = f"{dice.getrandbits(128):032x}"
    url = f"http://125676836723.vod2.myqcloud.com/{number}"
    bad = 4 if dice.random() < 0.06 else 0
    if kind == "ConcatComplete":
        files = [
            {
                "ErrCode": 0,
                "Message": "",
                "FileId": f"5285890{dice.getrandbits(40)}",
                "FileUrl": f"{url}/playlist.m3u8",
            },
            {
                "ErrCode": bad,
                "Message": "source broken" if bad else "",
                "FileId": f"5285891{dice.getrandbits(40)}",
                "FileUrl": f"{url}/f0.mp4",
            },
        ]
        return {"EventType": kind, "ConcatCompleteEvent": {"TaskId": f"Concat-{task}", "FileInfoSet": files}}
    if kind == "EditMediaComplete":
        payload = {"TaskId": f"1500012345-EditMedia-{task}", "Status": "FINISH", "ErrCode": 70000 if bad else 0}
        payload |= {
            "Message": "internal error" if bad else "SUCCESS",
            "Output": {"FileId": f"38788{dice.getrandbits(40)}", "FileUrl": url},
        }
        return {"EventType": kind, "EditMediaCompleteEvent": payload}
    if kind == "NewFileUpload":
        return {"EventType": kind, "FileUploadEvent": {"FileId": f"5285890{dice.getrandbits(40)}"}}
    payload = {
        "TaskId": f"1500012345-Procedure-{task}",
        "Status": dice.choice(("PROCESSING", "FINISH")),
        "FileId": f"5{dice.getrandbits(50)}",
    }
    return {"EventType": kind, "ProcedureStateChangeEvent": payload}
