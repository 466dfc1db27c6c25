"""A task waits, runs and ends, by itself or as it is told."""

from __future__ import annotations

import pytest

from airflow_vod.emulator import Emulator, EmulatorOptions, ManualClock
from airflow_vod.emulator.options import TaskFailure

from .helpers import Local, Wire
from .samples import REQUESTS

EDIT = REQUESTS["EditMedia"]


def status(vod: Local, task_id: str) -> str:
    """The status of a task."""
    return vod.call("DescribeTaskDetail", TaskId=task_id)["Status"]


def test_a_task_waits_before_it_begins():
    """WAITING, PROCESSING and FINISH take as long as the options say, by the emulator's clock."""
    vod = Local(queue_seconds=3, task_seconds=5, seconds_by_action={"PullUpload": 7})
    edit = vod.call("EditMedia", **EDIT)["TaskId"]
    pull = vod.call("PullUpload", **REQUESTS["PullUpload"])["TaskId"]
    seen = []
    for seconds in (0, 3, 5, 2):
        vod.clock.advance(seconds)
        seen.append((status(vod, edit), status(vod, pull)))
    assert seen == [
        ("WAITING", "WAITING"),
        ("PROCESSING", "PROCESSING"),
        ("FINISH", "PROCESSING"),
        ("FINISH", "FINISH"),
    ]


def test_a_task_that_takes_no_time_ends_after_its_answer():
    """Even then the answer comes first and the event later."""
    vod = Local(task_seconds=0)
    task_id = vod.call("EditMedia", **EDIT)["TaskId"]
    assert vod.call("PullEvents")["EventSet"][0]["EditMediaCompleteEvent"]["TaskId"] == task_id


def test_a_waiting_task_is_aborted():
    """It is ABORTED, does not begin, and announces nothing."""
    vod = Local(queue_seconds=10)
    task_id = vod.call("EditMedia", **EDIT)["TaskId"]
    assert vod.call("ManageTask", TaskId=task_id, OperationType="Abort").keys() == {"RequestId"}
    vod.clock.advance(100)
    detail = vod.call("DescribeTaskDetail", TaskId=task_id)
    assert (detail["Status"], detail["EditMediaTask"]["Status"]) == ("ABORTED", "ABORTED")
    assert vod.api.counts(0).published == 0
    assert vod.error("ManageTask", TaskId=task_id, OperationType="Abort") == "FailedOperation"


def test_an_aborted_task_may_be_announced():
    """An option lets it publish an event."""
    vod = Local(queue_seconds=10, abort_announced=True)
    task_id = vod.call("EditMedia", **EDIT)["TaskId"]
    vod.call("ManageTask", TaskId=task_id, OperationType="Abort")
    (event,) = vod.call("PullEvents")["EventSet"]
    assert (event["EditMediaCompleteEvent"]["TaskId"], event["EditMediaCompleteEvent"]["Status"]) == (
        task_id,
        "ABORTED",
    )


def test_what_cannot_be_aborted():
    """A task that runs or has ended goes on; an unknown one, and any other operation, is refused."""
    vod = Local(task_seconds=5, abort_refused="ResourceNotFound")
    task_id = vod.call("EditMedia", **EDIT)["TaskId"]
    assert vod.error("ManageTask", TaskId=task_id, OperationType="Abort") == "ResourceNotFound"
    vod.clock.advance(5)
    assert status(vod, task_id) == "FINISH"
    assert vod.error("ManageTask", TaskId=task_id, OperationType="Abort") == "ResourceNotFound"
    assert vod.error("ManageTask", TaskId="never", OperationType="Abort") == "InvalidParameterValue.TaskId"
    assert vod.error("ManageTask", TaskId=task_id, OperationType="Pause") == "InvalidParameterValue"
    vod.api.add_task(0, "mine", "EditMedia", "WAITING")
    vod.call("ManageTask", TaskId="mine", OperationType="Abort")
    assert status(vod, "mine") == "ABORTED"


def test_aborts_are_limited_to_twenty_a_second():
    """ManageTask has its own rate limit."""
    vod = Emulator(clock=ManualClock(1_700_000_000.0), options=EmulatorOptions(queue_seconds=10))
    with vod:
        wire = Wire(vod)
        answers = [wire.call("ManageTask", TaskId="t", OperationType="Abort").response for _ in range(21)]
    codes = [answer["Error"]["Code"] for answer in answers]
    assert codes == ["InvalidParameterValue.TaskId"] * 20 + ["RequestLimitExceeded"]


@pytest.mark.parametrize("held_at", ["WAITING", "PROCESSING"])
def test_a_held_task_stays_until_it_is_finished(held_at: str):
    """It keeps its status for as long as wanted, then ends and is announced."""
    with Emulator(clock=ManualClock()) as vod:
        wire = Wire(vod)
        vod.hold_tasks(held_at)
        task_id = wire.call("EditMedia", **EDIT).response["TaskId"]
        vod.clock.advance(10_000)
        assert wire.call("DescribeTaskDetail", TaskId=task_id).response["Status"] == held_at
        vod.finish_task(task_id)
        detail = wire.call("DescribeTaskDetail", TaskId=task_id).response
        assert (detail["Status"], detail["EditMediaTask"]["ErrCode"]) == ("FINISH", 0)
        assert vod.queue().published == 1
        with pytest.raises(ValueError, match="has not ended"):
            vod.finish_task(task_id)


def test_a_held_task_can_begin_and_fail():
    """`begin_task` lets it go on; `finish_task` may let it fail; only the actions named are held."""
    with Emulator(clock=ManualClock()) as vod:
        wire = Wire(vod)
        vod.hold_tasks("WAITING", "EditMedia")
        first, second = (wire.call("EditMedia", **EDIT).response["TaskId"] for _ in range(2))
        other = wire.call("PullUpload", MediaUrl="http://x/a.mp4").response["TaskId"]
        vod.begin_task(first)
        vod.finish_task(second, TaskFailure(err_code=40000))
        with pytest.raises(ValueError, match="PROCESSING"):
            vod.begin_task(first)
        vod.clock.advance(2)
        details = [wire.call("DescribeTaskDetail", TaskId=each).response for each in (first, second, other)]
        assert [detail["Status"] for detail in details] == ["FINISH"] * 3
        assert [detail["EditMediaTask"]["ErrCode"] for detail in details[:2]] == [0, 40000]
        vod.hold_tasks(None)
        last = wire.call("EditMedia", **EDIT).response["TaskId"]
        assert wire.call("DescribeTaskDetail", TaskId=last).response["Status"] == "PROCESSING"
        with pytest.raises(ValueError, match="WAITING or PROCESSING"):
            vod.hold_tasks("FINISH")


def test_the_next_task_fails():
    """Scripted failures hit one task each, in order; an action's own come first."""
    with Emulator(clock=ManualClock()) as vod:
        wire = Wire(vod)
        vod.fail_next_task(TaskFailure(err_code=1))
        vod.fail_next_task(TaskFailure(err_code=2), "EditMedia")
        vod.fail_next_task(TaskFailure(err_code=3), "EditMedia")
        ids = [wire.call("EditMedia", **EDIT).response["TaskId"] for _ in range(4)]
        vod.clock.advance(2)
        details = [wire.call("DescribeTaskDetail", TaskId=each).response["EditMediaTask"] for each in ids]
        assert [detail["ErrCode"] for detail in details] == [2, 3, 1, 0]


def test_a_follow_up_task_fails_only_by_its_type():
    """A failure of the next task does not hit the flow of the task before."""
    vod = Local()
    vod.api.application(0).runner.script.fail_next(TaskFailure(err_code_ext="InternalError"), "Procedure")
    vod.call("EditMedia", **EDIT)
    vod.clock.advance(2)
    edit = vod.call("PullEvents")["EventSet"][0]["EditMediaCompleteEvent"]
    vod.api.application(0).runner.script.fail_next(TaskFailure(), None)
    vod.clock.advance(2)
    detail = vod.call("DescribeTaskDetail", TaskId=edit["ProcedureTaskId"])["ProcedureTask"]
    (part,) = detail["MediaProcessResultSet"]
    assert (edit["ErrCode"], detail["ErrCode"], part["TranscodeTask"]["Status"]) == (0, 0, "FAIL")


@pytest.mark.parametrize(
    ("mode", "statuses"), [("Finish", ["FINISH"]), ("Change", ["PROCESSING", "FINISH"]), ("None", [])]
)
def test_a_procedure_announces_what_it_is_asked_to(mode: str, statuses: list[str]):
    """TasksNotifyMode decides between its end, its changes and nothing."""
    vod = Local()
    vod.call("ProcessMedia", **REQUESTS["ProcessMedia"], TasksNotifyMode=mode)
    vod.clock.advance(2)
    assert vod.api.counts(0).published == len(statuses)
    events = vod.call("PullEvents")["EventSet"] if statuses else []
    assert [event["ProcedureStateChangeEvent"]["Status"] for event in events] == statuses
