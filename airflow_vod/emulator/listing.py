"""DescribeTasks: the tasks of the last days, filtered, sorted and page by page.

Invariant: following the ScrollToken shows each task that matched from the first page on exactly once, also while others start.

Source: VOD API 2018-07-17, DescribeTasks and TaskSimpleInfo.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_vod.emulator.errors import ApiError, bad_value
from airflow_vod.emulator.tasks import timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_vod.emulator.options import EmulatorOptions
    from airflow_vod.emulator.parameters import DescribeTasks
    from airflow_vod.emulator.tasks import Task, Tasks

MAX_LIMIT = 100
"""Tasks a page (documented)."""
STATUSES = ("WAITING", "PROCESSING", "FINISH")
"""That can be asked for (documented; ABORTED is not among them)."""
_FIELDS = {"CreateTime": "created_at", "FinishTime": "finished_at"}


def page(tasks: Tasks, params: DescribeTasks, options: EmulatorOptions) -> dict[str, Any]:
    """:param tasks: of the application.
    :param params: of the call.
    :param options: of the emulator.
    :return: the members of DescribeTasks's answer.
    :raises ApiError: for a filter or a token that is not valid.
    """
    if not 1 <= params.limit <= MAX_LIMIT:
        raise bad_value("Limit", f"1 to {MAX_LIMIT} are allowed, got {params.limit}")
    if params.status and params.status not in STATUSES:
        raise ApiError("InvalidParameterValue.Status", f"Status must be one of {', '.join(STATUSES)}.")
    field, descending = _order(params.sort or {})
    places = sorted(
        ((_place(task, field), task) for task in _matching(tasks, params, options)),
        key=lambda each: each[0],
        reverse=descending,
    )
    if params.scroll_token:
        last = _read_token(params.scroll_token)
        places = [each for each in places if (each[0] < last if descending else each[0] > last)]
    shown = places[: params.limit]
    more = len(places) > len(shown)
    return {
        "TaskSet": [_info(task, options) for _, task in shown],
        "ScrollToken": _token(shown[-1][0]) if more else "",
    }


def _matching(tasks: Tasks, params: DescribeTasks, options: EmulatorOptions) -> list[Task]:
    created, finished = (
        _range("CreateTime", params.create_time or {}),
        _range("FinishTime", params.finish_time or {}),
    )
    return [
        task
        for task in tasks.listed(options.listing_delay)
        if (not params.status or task.status == params.status)
        and (not params.file_id or task.file_id == params.file_id)
        and created[0] <= int(task.created_at) <= created[1]
        and (not params.finish_time or finished[0] <= int(task.finished_at or 0) <= finished[1])
    ]


def _order(sort: Mapping[str, Any]) -> tuple[str, bool]:
    field, order = sort.get("Field") or "CreateTime", str(sort.get("Order") or "Desc")
    if field not in _FIELDS or order.casefold() not in ("asc", "desc"):
        raise bad_value("Sort", "Field must be CreateTime or FinishTime, and Order Asc or Desc")
    return _FIELDS[field], order.casefold() == "desc"


def _place(task: Task, field: str) -> tuple[float, str]:
    return getattr(task, field) or 0.0, task.vod_task_id


def _range(name: str, given: Mapping[str, Any]) -> tuple[float, float]:
    return (
        _time(name, given["After"]) if given.get("After") else float("-inf"),
        _time(name, given["Before"]) if given.get("Before") else float("inf"),
    )


def _time(name: str, text: Any) -> float:
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise bad_value(name, f"{text!r} is no time in ISO 8601") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _token(place: tuple[float, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def _read_token(token: str) -> tuple[float, str]:
    try:
        at, vod_task_id = json.loads(base64.urlsafe_b64decode(token.encode()))
        return float(at), str(vod_task_id)
    except (TypeError, ValueError):
        raise bad_value("ScrollToken", "it is none that was answered") from None


def _info(task: Task, options: EmulatorOptions) -> dict[str, Any]:
    def shown(at: float | None) -> str:
        return timestamp(at) if at is not None else ""

    return {
        "TaskId": task.vod_task_id,
        "Status": task.status,
        "FileId": task.file_id,
        "TaskType": task.task_type,
        "CreateTime": timestamp(task.created_at),
        "BeginProcessTime": shown(task.began_at),
        "FinishTime": shown(task.finished_at),
        "SessionId": task.session_id if options.listed_session_id else "",
        "SessionContext": task.session_context if options.listed_session_context else "",
    }
