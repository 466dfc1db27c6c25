"""What is published in a campaign, and what is expected of it.

Invariant: the same seed makes the same events.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_vod.events.parse import UnparsedEvent, read_event
from airflow_vod.inbox.values import MAX_BODY

PARTIES = ("a", "b")  # processes with waiters


@dataclass(frozen=True, slots=True)
class Happening:
    """One event to come.

    :param body: as an item of ``EventSet``.
    :param vod_task_id: the task that it ends; None for what ends none.
    :param awaited_by: the processes in which somebody waits for it.
    :param copies: how often the queue has it; 0 where it comes by callback alone.
    :param callbacks: bodies that come by callback, before, beside or behind the queue's.
    """

    body: Mapping[str, Any]
    vod_task_id: str | None
    awaited_by: tuple[str, ...]
    copies: int
    callbacks: tuple[Mapping[str, Any], ...]

    @property
    def key(self) -> str:
        """Of the event in the inbox."""
        return read_event(dict(self.body)).key


def url_of(vod_task_id: str) -> str:
    """The URL of the file that a task produced."""
    return f"http://example.com/{vod_task_id}.mp4"


def happenings(number: int, seed: int) -> Iterator[Happening]:
    """Make events of every kind, in an order of their own."""
    dice = random.Random(seed)
    huge = {dice.randrange(number) for _ in range(2)}
    for n in range(number):
        if n in huge:
            yield _other(_huge(f"Concat-huge-{seed}-{n}"))
        elif dice.random() < 0.03:
            yield _other(_garbage(n, dice))
        elif dice.random() < 0.03:
            yield _other(_unfinished(f"{seed}-Procedure-{n}"))
        else:
            yield _end_of_task(f"Concat-{seed}-{n}", dice)


def _end_of_task(vod_task_id: str, dice: random.Random) -> Happening:
    file = {"ErrCode": 0, "Message": "", "FileId": "1450", "FileUrl": url_of(vod_task_id), "FileType": "mp4"}
    payload: dict[str, Any] = {"TaskId": vod_task_id, "FileInfoSet": [file]}
    if dice.random() < 0.01:
        payload["Note"] = "x" * 200_000
    body = {"EventType": "ConcatComplete", "ConcatCompleteEvent": payload}
    awaited_by: tuple[str, ...] = (dice.choice(PARTIES),)
    if dice.random() < 0.15:
        awaited_by = dice.choice((PARTIES, ()))  # both, or nobody: a foreign event
    callbacks: tuple[Mapping[str, Any], ...] = ()
    if dice.random() < 0.2:
        callbacks = (body,) if "Note" in payload or dice.random() < 0.5 else (_legacy(vod_task_id),)
    copies = dice.choices((1, 2, 0), (0.94, 0.03, 0.03))[0]
    return Happening(body, vod_task_id, awaited_by, copies, callbacks if copies else callbacks or (body,))


def _legacy(vod_task_id: str) -> dict[str, Any]:
    """The same event as `_end_of_task`, in the older form."""
    file = {"status": 0, "message": "", "fileId": "1450", "fileUrl": url_of(vod_task_id), "fileType": "mp4"}
    return {"version": "4.0", "eventType": "ConcatComplete", "data": {"vodTaskId": vod_task_id, "fileInfo": [file]}}


def _other(body: Mapping[str, Any]) -> Happening:
    return Happening(body, None, (), 1, ())


def _unfinished(vod_task_id: str) -> dict[str, Any]:
    payload = {"TaskId": vod_task_id, "Status": "PROCESSING", "FileId": "1450"}
    return {"EventType": "ProcedureStateChanged", "ProcedureStateChangeEvent": payload}


def _huge(vod_task_id: str) -> dict[str, Any]:
    """More than the inbox keeps."""
    payload = {"TaskId": vod_task_id, "FileInfoSet": [], "Note": "x" * (MAX_BODY + 1)}
    return {"EventType": "ConcatComplete", "ConcatCompleteEvent": payload}


def _garbage(number: int, dice: random.Random) -> dict[str, Any]:
    """Something that is no event; each another one."""
    deep: Any = "deep"
    for _ in range(200):
        deep = [deep]
    bodies: list[dict[str, Any]] = [
        {"Number": number},
        {"EventType": number},
        {"EventType": "x" * 300, "Number": number},
        {"EventType": "ConcatComplete", "ConcatCompleteEvent": f"text {number}"},
        {"EventType": "ConcatComplete", "ConcatCompleteEvent": {"TaskId": f"{number} " + "y" * 300}},
        {"EventType": "ConcatComplete", "ConcatCompleteEvent": {"TaskId": f"a\x00b\ud800 {number}"}},
        {"EventType": "ConcatComplete", "ConcatCompleteEvent": {"Number": number, "Deep": deep}},
        {"EventType": f"No \x00 \ud800 type {number}", "Data": {"\ud800": "\x00"}},
    ]
    body = dice.choice(bodies)
    assert isinstance(read_event(body), UnparsedEvent), body
    return body
