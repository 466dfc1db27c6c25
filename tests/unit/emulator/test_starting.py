"""Starting tasks: what is refused, what is a duplicate, and what is counted."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_vod.emulator.options import Procedure, TaskFailure

from .helpers import Local, sign
from .samples import REQUESTS

DAY = 86400
EDIT = REQUESTS["EditMedia"]


@pytest.mark.parametrize(
    ("action", "code", "days"),
    [
        ("EditMedia", "InvalidParameterValue.SessionId", 3),
        ("ComposeMedia", "InvalidParameterValue.SessionId", 3),
        ("SplitMedia", "InvalidParameterValue.SessionId", 3),
        ("PullUpload", "InvalidParameterValue.SessionId", 3),
        ("CreateAigcVideoTask", "InvalidParameterValue.SessionId", 3),
        ("ProcessMedia", "FailedOperation.TaskDuplicate", 3),
        ("ProcessMediaByUrl", "FailedOperation.TaskDuplicate", 3),
        ("DescribeFileAttributes", "FailedOperation.TaskDuplicate", 3),
        ("RemoveWatermark", "FailedOperation.TaskDuplicate", 7),
        ("ProcessMediaByProcedure", "InvalidParameterValue.UniqueIdentifier", 7),
    ],
)
def test_a_session_id_starts_one_task_within_its_window(action: str, code: str, days: int):
    """Each action refuses a duplicate with its own code for as long as its page says, and starts nothing."""
    vod = Local()
    request = {**REQUESTS[action], "SessionId": "once"}
    assert vod.call(action, **request)["TaskId"]
    vod.clock.advance(days * DAY - 1)
    assert vod.error(action, **request) == code
    assert vod.api.starts.count(action, "once") == 1
    vod.clock.advance(1)
    assert vod.call(action, **request)["TaskId"]
    assert vod.api.starts.count(action, "once") == 2


def test_no_session_id_is_no_duplicate():
    """Without a SessionId, or with an empty one, every request starts a task."""
    vod = Local()
    for session in ({}, {}, {"SessionId": ""}, {"SessionId": ""}):
        vod.call("EditMedia", **EDIT, **session)
    assert vod.api.starts.count("EditMedia", "") == 4


def test_an_action_without_session_id_refuses_one():
    """The parameter does not exist there."""
    assert Local().error("ImportMediaKnowledge", FileId="1", SessionId="s") == "UnknownParameter"


@pytest.mark.parametrize(
    ("option", "first", "second", "duplicate"),
    [
        ({}, ("EditMedia", 0), ("PullUpload", 0), True),
        ({}, ("EditMedia", 0), ("EditMedia", 7), False),
        ({"session_scope": "account"}, ("EditMedia", 0), ("EditMedia", 7), True),
        ({"session_per_action": True}, ("EditMedia", 0), ("PullUpload", 0), False),
        ({"session_per_action": True}, ("EditMedia", 0), ("EditMedia", 0), True),
    ],
)
def test_what_a_session_id_is_unique_in(option: dict[str, Any], first: Any, second: Any, duplicate: bool):
    """The scope is the application or the account, and the action or not, as the options say."""
    vod = Local(**option)
    answers = [
        vod.call(action, **REQUESTS[action], SessionId="once", SubAppId=sub_app_id)
        for action, sub_app_id in (first, second)
    ]
    assert ["Error" in answer for answer in answers] == [False, duplicate]


def test_window_and_code_of_duplicates_can_be_set():
    """The options overrule what the pages say."""
    vod = Local(session_window=60, duplicate_code="FailedOperation.TaskDuplicate")
    vod.call("EditMedia", **EDIT, SessionId="once")
    assert vod.error("EditMedia", **EDIT, SessionId="once") == "FailedOperation.TaskDuplicate"
    vod.clock.advance(60)
    assert "Error" not in vod.call("EditMedia", **EDIT, SessionId="once")


@pytest.mark.parametrize("uses", [False, True])
@pytest.mark.parametrize("refusal", ["bad parameter", "internal_error", "error:FailedOperation:not today"])
def test_whether_a_refused_request_uses_its_session_id(refusal: str, uses: bool):
    """An option decides whether the same request is a duplicate after a refusal; a task is started in neither case."""
    vod = Local(refusal_uses_session=uses)
    if refusal == "bad parameter":
        assert vod.error("EditMedia", InputType="Nothing", SessionId="once") == "InvalidParameterValue.InputType"
    else:
        vod.api.faults.script({"EditMedia": refusal})
        assert vod.error("EditMedia", **EDIT, SessionId="once") != "InvalidParameterValue.SessionId"
    assert vod.api.starts.count() == 0
    again = vod.call("EditMedia", **EDIT, SessionId="once")
    assert ("Error" in again) is uses
    assert vod.api.starts.count() == (0 if uses else 1)


@pytest.mark.parametrize("fault", ["throttled", "auth_failure", "drop_request", "http_500"])
def test_a_request_that_never_reaches_the_service_uses_nothing(fault: str):
    """Neither the gateway's refusals nor lost requests use a SessionId, or start a task."""
    vod = Local(refusal_uses_session=True)
    vod.api.faults.script({"EditMedia": fault})
    vod.send(sign("EditMedia", {**EDIT, "SessionId": "once"}))
    assert vod.api.starts.count() == 0
    assert "Error" not in vod.call("EditMedia", **EDIT, SessionId="once")
    assert vod.api.starts.count("EditMedia", "once") == 1


@pytest.mark.parametrize("fault", ["drop_response", "truncate", "garbage_json"])
def test_a_lost_answer_has_started_the_task(fault: str):
    """The task is counted, runs, and makes the repeated request a duplicate."""
    vod = Local(task_seconds=5)
    vod.api.faults.script({"EditMedia": fault})
    vod.send(sign("EditMedia", {**EDIT, "SessionId": "once"}))
    assert vod.api.starts.count("EditMedia", "once") == 1
    assert vod.error("EditMedia", **EDIT, SessionId="once") == "InvalidParameterValue.SessionId"
    (task,) = vod.call("DescribeTasks")["TaskSet"]
    assert (task["SessionId"], task["Status"]) == ("once", "PROCESSING")
    vod.clock.advance(5)
    assert vod.call("PullEvents")["EventSet"][0]["EditMediaCompleteEvent"]["SessionId"] == "once"


@pytest.mark.parametrize(
    ("action", "params", "code"),
    [
        ("EditMedia", {"SessionId": "x" * 51}, "InvalidParameterValue.SessionIdTooLong"),
        ("EditMedia", {"SessionContext": "x" * 1001}, "InvalidParameterValue.SessionContextTooLong"),
        ("ComposeMedia", {"Tracks": []}, "MissingParameter"),
        ("SplitMedia", {"Segments": []}, "MissingParameter"),
        ("PullUpload", {"MediaUrl": ""}, "MissingParameter"),
        ("PullUpload", {"MediaUrl": None}, "MissingParameter"),
        ("ProcessMedia", {"FileId": ""}, "MissingParameter"),
        ("RebuildMedia", {"StartTimeOffset": "soon"}, "InvalidParameter"),
        ("EditMedia", {"Files": []}, "UnknownParameter"),
    ],
    ids=str,
)
def test_a_refused_request_starts_nothing(action: str, params: dict[str, Any], code: str):
    """Parameters that the service refuses have their codes."""
    vod = Local()
    assert vod.error(action, **{**REQUESTS[action], **params}) == code
    assert vod.api.starts.count() == 0
    assert vod.call("DescribeTasks")["TaskSet"] == []


def test_the_longest_session_is_accepted():
    """50 and 1,000 characters are not too long."""
    vod = Local()
    assert "Error" not in vod.call("EditMedia", **EDIT, SessionId="x" * 50, SessionContext="x" * 1000)


def test_a_task_flow_answers_all_of_its_tasks():
    """ProcessMediaByProcedure names the task of each type; the imports announce nothing."""
    vod = Local(
        procedures={
            "all": Procedure(review=True, knowledge_imports=2),
            "review": Procedure(media_process_task=None, review=True),
        }
    )
    answer = vod.call("ProcessMediaByProcedure", ProcedureName="all", FileId="1", SessionId="once")
    ids = [answer["TaskId"], answer["ReviewAudioVideoTaskId"], *answer["ImportMediaKnowledgeTaskIdSet"]]
    types = [vod.call("DescribeTaskDetail", TaskId=task_id)["TaskType"] for task_id in ids]
    assert types == ["Procedure", "ReviewAudioVideo", "ImportMediaKnowledge", "ImportMediaKnowledge"]
    assert vod.api.starts.count("ProcessMediaByProcedure", "once") == 1
    vod.clock.advance(2)
    assert sorted(vod.pull()) == ["ProcedureStateChanged", "ReviewAudioVideoComplete"]
    other = vod.call("ProcessMediaByProcedure", ProcedureName="review", FileId="1")
    assert (other["TaskId"], bool(other["ReviewAudioVideoTaskId"])) == ("", True)
    assert other["ImportMediaKnowledgeTaskIdSet"] == []


@pytest.mark.parametrize("action", ["EditMedia", "PullUpload"])
def test_a_task_flow_follows_a_task(action: str):
    """The event names the tasks of the flow, which works on the new file and ends later with its own event."""
    vod = Local(procedures={"LongVideoPreset": Procedure(review=True)}, task_seconds=2)
    vod.call(action, **REQUESTS[action])
    vod.clock.advance(2)
    (event,) = vod.call("PullEvents")["EventSet"]
    detail = next(value for key, value in event.items() if key.endswith("CompleteEvent") and value)
    follow_up = vod.call("DescribeTaskDetail", TaskId=detail["ProcedureTaskId"])
    made = detail.get("FileId") or detail["Output"]["FileId"]
    assert (follow_up["Status"], follow_up["ProcedureTask"]["FileId"]) == ("PROCESSING", made)
    assert vod.call("DescribeTaskDetail", TaskId=detail["ReviewAudioVideoTaskId"])["TaskType"] == "ReviewAudioVideo"
    vod.clock.advance(2)
    assert sorted(vod.pull()) == ["ProcedureStateChanged", "ReviewAudioVideoComplete"]
    assert vod.api.starts.count() == 1


def test_a_failed_task_is_followed_by_nothing():
    """Only what was made is worked on."""
    vod = Local(task_failure=TaskFailure())
    vod.call("EditMedia", **EDIT)
    vod.clock.advance(2)
    assert vod.call("PullEvents")["EventSet"][0]["EditMediaCompleteEvent"]["ProcedureTaskId"] == ""
    assert len(vod.call("DescribeTasks")["TaskSet"]) == 1


def test_each_segment_is_followed_by_its_own_flow():
    """SplitMedia makes a file for each segment; only those with a procedure are followed."""
    vod = Local()
    vod.call("SplitMedia", **REQUESTS["SplitMedia"])
    vod.clock.advance(2)
    (event,) = vod.call("PullEvents")["EventSet"]
    first, second = event["SplitMediaCompleteEvent"]["FileInfoSet"]
    assert first["Output"]["FileId"] != second["Output"]["FileId"]
    assert (bool(first["ProcedureTaskId"]), second["ProcedureTaskId"]) == (True, "")
    assert second["Output"]["MediaBasicInfo"]["Name"] == "second"


@pytest.mark.parametrize("action", ["LiveRealTimeClip", "SimpleHlsClip"])
@pytest.mark.parametrize("switch", ["ON", "OFF"])
def test_a_clip_is_answered_at_once(action: str, switch: str):
    """A clip made permanent has a file and a task flow, and is announced if the application's switch is on."""
    vod = Local()
    vod.call("ModifyEventConfig", PersistenceCompleteEventSwitch=switch)
    stored = vod.call(action, **REQUESTS[action])
    passing = vod.call(action, **{**REQUESTS[action], "IsPersistence": 0})
    name = "VodTaskId" if action == "LiveRealTimeClip" else "TaskId"
    assert (bool(stored[name]), bool(stored["FileId"]), passing[name], passing["FileId"]) == (True, True, "", "")
    vod.clock.advance(2)
    events = {event["EventType"]: event for event in vod.call("PullEvents")["EventSet"]}
    assert events["ProcedureStateChanged"]["ProcedureStateChangeEvent"]["FileId"] == stored["FileId"]
    if switch == "ON":
        announced = events["PersistenceComplete"]["PersistenceCompleteEvent"]
        assert announced == {"FileId": stored["FileId"], "PersistenceSource": action}
    assert len(events) == (2 if switch == "ON" else 1)


def test_temporary_files_have_no_id():
    """Generated files go to temporary storage, with a time at which they expire, unless the request says otherwise."""
    vod = Local()
    request = REQUESTS["CreateAigcImageTask"]
    vod.call("CreateAigcImageTask", **request)
    vod.call("CreateAigcImageTask", **{**request, "OutputConfig": {"StorageMode": "Permanent"}})
    vod.clock.advance(2)
    files = [each["AigcImageCompleteEvent"]["Output"]["FileInfos"][0] for each in vod.call("PullEvents")["EventSet"]]
    assert [(file["StorageMode"], bool(file["FileId"])) for file in files] == [
        ("Temporary", False),
        ("Permanent", True),
    ]
    assert [file["ExpireTime"][:10] for file in files] == ["2023-11-21", "0001-01-01"]
