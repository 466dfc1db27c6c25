"""DescribeTasks lists, filters, sorts and pages."""

from __future__ import annotations

from typing import Any

import pytest

from .helpers import Local

EDIT = {"InputType": "File", "FileInfos": [{"FileId": "1"}]}


def ids(vod: Local, **params: Any) -> list[str]:
    """The tasks of one page."""
    return [task["TaskId"] for task in vod.call("DescribeTasks", **params)["TaskSet"]]


def started(vod: Local, number: int, seconds: float = 1) -> list[str]:
    """Tasks started one after the other."""
    found = []
    for _ in range(number):
        found.append(vod.call("EditMedia", **EDIT)["TaskId"])
        vod.clock.advance(seconds)
    return found


@pytest.mark.parametrize("order", ["Asc", "Desc"])
@pytest.mark.parametrize("seconds", [0, 1])
def test_the_pages_show_each_task_once(order: str, seconds: float):
    """Also those of the same second, and while new tasks start."""
    vod = Local(task_seconds=1000)
    tasks = started(vod, 25, seconds)
    sort = {"Field": "CreateTime", "Order": order}
    expected = [task for task in ids(vod, Limit=100, Sort=sort) if task in tasks]
    seen: list[str] = []
    token = ""
    while token or not seen:
        answer = vod.call("DescribeTasks", Sort=sort, ScrollToken=token)
        seen += [task["TaskId"] for task in answer["TaskSet"]]
        token = answer["ScrollToken"]
        if len(seen) < 25:
            started(vod, 1)
    assert len(seen) == len(set(seen))
    assert [task for task in seen if task in tasks] == expected
    assert len(expected) == 25


def test_the_last_page_has_no_token():
    """Exactly as many tasks as fit are one page."""
    vod = Local()
    started(vod, 10)
    assert vod.call("DescribeTasks")["ScrollToken"] == ""
    started(vod, 1)
    assert vod.call("DescribeTasks")["ScrollToken"]


def test_tasks_are_filtered():
    """By status, file, and the times of creation and end, both ends included."""
    vod = Local(queue_seconds=1, task_seconds=2)
    first, second, third, fourth = started(vod, 4)
    vod.call("ReviewAudioVideo", FileId="77")
    assert ids(vod, Status="FINISH") == [second, first]
    assert ids(vod, Status="PROCESSING") == [fourth, third]
    assert len(ids(vod, Status="WAITING")) == 1
    assert len(ids(vod, FileId="77")) == 1
    assert ids(vod, CreateTime={"After": "2023-11-14T22:13:21Z", "Before": "2023-11-14T22:13:22Z"}) == [third, second]
    assert ids(vod, CreateTime={"Before": "2023-11-15T06:13:21+08:00"}) == [second, first]
    assert ids(vod, FinishTime={"After": "2023-11-14T22:13:24Z"}) == [second]
    assert ids(vod, Sort={"Field": "FinishTime", "Order": "Asc"}, Status="FINISH") == [first, second]


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"Limit": 0}, "InvalidParameterValue"),
        ({"Limit": 101}, "InvalidParameterValue"),
        ({"Status": "ABORTED"}, "InvalidParameterValue.Status"),
        ({"Sort": {"Field": "Name"}}, "InvalidParameterValue"),
        ({"Sort": {"Order": "Up"}}, "InvalidParameterValue"),
        ({"CreateTime": {"After": "yesterday"}}, "InvalidParameterValue"),
        ({"FinishTime": {"Before": 5}}, "InvalidParameterValue"),
        ({"ScrollToken": "made up"}, "InvalidParameterValue"),
        ({"ScrollToken": "bnVsbA=="}, "InvalidParameterValue"),
    ],
    ids=str,
)
def test_wrong_filters_are_refused(params: dict[str, Any], code: str):
    """Each has a code that the action's page lists."""
    vod = Local()
    started(vod, 1)
    assert vod.error("DescribeTasks", **params) == code


def test_a_task_is_listed_for_three_days_and_maybe_late():
    """The delay is an option; applications see their own tasks only."""
    vod = Local(listing_delay=5)
    (task,) = started(vod, 1, 4.9)
    assert ids(vod) == []
    assert vod.call("DescribeTaskDetail", TaskId=task)["Status"] == "FINISH"
    vod.clock.advance(0.2)
    assert ids(vod) == [task]
    assert ids(vod, SubAppId=7) == []
    vod.clock.advance(3 * 86400)
    assert ids(vod) == []


def test_a_listed_task_has_times_and_session():
    """Times are empty until they are known; SessionId and SessionContext can be left out."""
    vod = Local(queue_seconds=1)
    vod.call("EditMedia", **EDIT, SessionId="once", SessionContext="mine")
    (task,) = vod.call("DescribeTasks")["TaskSet"]
    assert task["SessionId"] == "once"
    assert (task["CreateTime"], task["BeginProcessTime"], task["FinishTime"]) == ("2023-11-14T22:13:20Z", "", "")
    assert (task["TaskType"], task["SessionContext"]) == ("EditMedia", "mine")
    bare = Local(listed_session_id=False, listed_session_context=False)
    bare.call("EditMedia", **EDIT, SessionId="once", SessionContext="mine")
    (task,) = bare.call("DescribeTasks")["TaskSet"]
    assert (task["SessionId"], task["SessionContext"]) == ("", "")
