"""Finds the VOD task that a request has started, when its answer was lost.

Invariant: a task is found by its SessionId, listed or in its details, or by a SessionContext that nobody else uses; never by its
kind or its time alone.

Source: VOD API 2018-07-17, DescribeTasks (tasks of the last 72 hours, 100 per page) and DescribeTaskDetail.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_vod.exceptions import VodInvalidRequestError
from airflow_vod.tencent.pacing import pacer

if TYPE_CHECKING:
    from airflow_vod.tencent.client import VodClient

_PAGE = 100  # tasks per answer at most (VOD API, DescribeTasks)
_PAGES = 200  # read at most in one search
_DETAILS = 1000  # tasks that are looked at one by one in one search at most
_CLOCKS_DIFFER = 900.0  # seconds by which the clocks of VOD and of the inbox may differ


def find_task(client: VodClient, session_id: str, session_context: str | None, since_at: float | None) -> str | None:
    """Find the task that was started with a SessionId.

    :param client: the application.
    :param session_id: of the request.
    :param session_context: of the request, which may be the SessionId once more; None where it is not known.
    :param since_at: Unix seconds before which the task was not started; None searches the 72 hours that VOD remembers.
    :return: its id; None if VOD lists no such task, so far.
    :raises VodApiError: VOD did not answer.
    """
    certain, likely, doubtful = list[_Task](), list[_Task](), list[_Task]()
    for task in _tasks(client, since_at):
        listed, context = (str(task.get("CreateTime")), str(task["TaskId"])), task.get("SessionContext")
        if task.get("SessionId") == session_id:
            certain.append(listed)
        elif task.get("SessionId"):
            continue
        elif context == session_id:
            likely.append(listed)  # or a task that this one has started: those carry its SessionContext too
        elif not context or session_context in (None, context):
            doubtful.append(listed)
    # The vendor's samples show neither field: only the details can tell then. Of several, the others follow the first.
    if not certain:
        looked_at = sorted(likely + doubtful)[:_DETAILS]
        certain = list(islice((each for each in looked_at if _has_session(client, each[1], session_id)), 1))
    return min(certain or likely, default=(None, None))[1]


_Task = tuple[str, str]  # when it was created, and its id


def _tasks(client: VodClient, since_at: float | None) -> Iterator[dict[str, Any]]:
    parameters: dict[str, Any] = {"Limit": _PAGE}
    if since_at is not None:
        after = datetime.fromtimestamp(since_at - _CLOCKS_DIFFER, UTC)
        parameters["CreateTime"] = {"After": after.strftime("%Y-%m-%dT%H:%M:%SZ")}
    pace = pacer(client.settings.account, "DescribeTasks")
    for _ in range(_PAGES):
        pace.wait()
        answer = client.call("DescribeTasks", parameters)
        yield from (task for task in answer.get("TaskSet") or [] if isinstance(task, dict) and task.get("TaskId"))
        if not answer.get("ScrollToken"):
            return
        parameters["ScrollToken"] = answer["ScrollToken"]


def _has_session(client: VodClient, vod_task_id: str, session_id: str) -> bool:
    pacer(client.settings.account, "DescribeTaskDetail").wait()
    try:
        answer = client.describe_task_detail(vod_task_id)
    except VodInvalidRequestError:
        return False
    return any(isinstance(part, dict) and part.get("SessionId") == session_id for part in answer.values())
