"""The control API of a running emulator."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_vod.emulator import Emulator, ManualClock

from .helpers import EVENT, Wire


def test_other_processes_can_publish(vod: Emulator):
    """One event, several, or a splice can be published in any application."""
    wire = Wire(vod)
    assert wire.control("POST", "publish", {"event": EVENT}) == (200, {"published": 1})
    assert wire.control("POST", "publish", {"events": [EVENT, EVENT], "sub_app_id": 7}) == (200, {"published": 2})
    splice = {"vod_task_id": "Concat-2", "files": ["http://x/f0.mp4"]}
    assert wire.control("POST", "publish", splice) == (200, {"published": 1})
    status, queues = wire.control("GET", "queues")
    assert status == 200
    assert {name: counts["visible"] for name, counts in queues.items()} == {"0": 2, "7": 2}
    events = wire.call("PullEvents").response["EventSet"]
    assert events[1]["ConcatCompleteEvent"]["FileInfoSet"][0]["FileUrl"] == "http://x/f0.mp4"


def test_other_processes_can_script_faults(vod: Emulator):
    """Faults can be scripted, randomized, listed and removed."""
    wire = Wire(vod)
    script = {"script": {"DescribeEventsState": ["throttled", "http_500"]}}
    assert wire.control("POST", "faults", script) == (200, {"pending": script["script"], "ledger": []})
    wire.call("DescribeEventsState")
    status, shown = wire.control("GET", "faults")
    assert [line["fault"] for line in shown["ledger"]] == ["throttled"]
    assert wire.control("DELETE", "faults")[1]["pending"] == {}
    assert wire.call("DescribeEventsState").status == status == 200
    wire.control("POST", "faults", {"chaos": {"seed": 1, "odds": {"http_500": 1.0}}})
    assert wire.call("DescribeEventsState").status == 500


def test_other_processes_can_register_tasks_and_read_the_log(vod: Emulator):
    """A task that is added is returned by the API, and the call is in the log."""
    wire = Wire(vod)
    task = {"vod_task_id": "t", "task_type": "Concat", "status": "FINISH", "detail": {"TaskId": "t"}, "sub_app_id": 7}
    assert wire.control("POST", "tasks", task) == (200, {"added": 1})
    assert wire.call("DescribeTaskDetail", TaskId="t", SubAppId=7).response["ConcatTask"] == {"TaskId": "t"}
    _, log = wire.control("GET", "calls?limit=1")
    assert log["counters"] == {"DescribeTaskDetail": {"ok": 1}}
    assert [call["sub_app_id"] for call in log["calls"]] == [7]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("publish", {}),
        ("publish", {"event": "text"}),
        ("publish", {"event": EVENT, "sub_app_id": "x"}),
        ("publish", {"event": EVENT, "sub_app_id": 9}),
        ("publish", {"events": 5}),
        ("publish", {"vod_task_id": "t", "files": [5]}),
        ("publish", ["no object"]),
        ("tasks", {"vod_task_id": "t"}),
        ("tasks", {"vod_task_id": "t", "task_type": "Concat", "status": "DONE"}),
        ("tasks", {"sub_app_id": None}),
        ("faults", {"script": {"PullEvents": ["nonsense"]}}),
        ("faults", {"script": "PullEvents"}),
        ("faults", {"chaos": {"odds": {}}}),
    ],
    ids=lambda value: json.dumps(value)[:50],
)
def test_wrong_control_requests_say_why(path: str, content: Any):
    """An invalid request is answered with 400 and a reason, and changes nothing."""
    with Emulator(clock=ManualClock(), sub_app_ids=[0, 7]) as vod:
        status, answer = Wire(vod).control("POST", path, content)
        assert status == 400
        assert answer["error"]
        assert vod.queue().published == 0


SPLICE = {"InputType": "File", "FileInfos": [{"FileId": "1"}], "SessionId": "once"}


def test_other_processes_can_steer_tasks(vod: Emulator):
    """Tasks are held, failed and finished over HTTP, and what was started is counted."""
    wire = Wire(vod)
    assert wire.control("POST", "tasks/hold", {"status": "WAITING", "action": "EditMedia"})[0] == 200
    failure = {"failure": {"err_code": 60000}, "action": "EditMedia"}
    assert wire.control("POST", "tasks/fail", failure)[1]["failure"]["err_code"] == 60000
    task_id = wire.call("EditMedia", **SPLICE).response["TaskId"]
    vod.clock.advance(100)
    assert wire.call("DescribeTaskDetail", TaskId=task_id).response["Status"] == "WAITING"
    assert wire.control("POST", "tasks/finish", {"vod_task_id": task_id})[0] == 200
    assert wire.call("DescribeTaskDetail", TaskId=task_id).response["EditMediaTask"]["ErrCode"] == 60000
    wire.control("POST", "tasks/hold", {"status": None})
    wire.call("EditMedia", **{**SPLICE, "SessionId": "twice"})
    _, starts = wire.control("GET", "starts?limit=1")
    assert starts["counters"] == {"EditMedia": {"once": 1, "twice": 1}}
    assert [start["session_id"] for start in starts["starts"]] == ["twice"]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("tasks/hold", {"status": "FINISH"}),
        ("tasks/hold", {}),
        ("tasks/fail", {"failure": {"code": 1}}),
        ("tasks/finish", {"vod_task_id": "never"}),
        ("tasks/finish", {}),
    ],
    ids=str,
)
def test_a_wrong_order_is_explained(vod: Emulator, path: str, content: dict[str, Any]):
    """HTTP 400 with the reason."""
    status, answer = Wire(vod).control("POST", path, content)
    assert status == 400
    assert answer["error"]
