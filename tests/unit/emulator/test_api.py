"""Every action and every error, without HTTP."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from airflow_vod.emulator.actions import ACTIONS
from airflow_vod.emulator.options import TaskFailure

from .helpers import SECRET_ID, Local, sign

# --- PullEvents and ConfirmEvents -----------------------------------------------------------------------------------


def test_pull_then_confirm():
    """An event that is pulled and confirmed is removed."""
    vod = Local()
    vod.publish("A", "B")
    handles = vod.pull()
    assert vod.call("ConfirmEvents", EventHandles=list(handles.values())).keys() == {"RequestId"}
    vod.clock.advance(60)
    counts = vod.api.counts(0)
    assert (counts.visible, counts.hidden, counts.confirmed) == (0, 0, 2)


@pytest.mark.parametrize(
    ("empty", "expected"),
    [
        ("resource_not_found", {"Error": {"Code": "ResourceNotFound", "Message": "no event"}}),
        ("null", {"EventSet": None}),
        ("list", {"EventSet": []}),
    ],
)
def test_an_empty_queue_answers_after_the_hold(empty: str, expected: dict[str, Any]):
    """An empty queue answers after five seconds, in each of three forms."""
    vod = Local(empty=empty)
    answers = vod.send(sign("PullEvents"))
    vod.clock.advance(4.99)
    assert answers == []
    vod.clock.advance(0.01)
    response = json.loads(answers[0].body)["Response"]
    UUID(response.pop("RequestId"))
    assert response == expected


def test_each_application_has_a_queue_of_its_own():
    """A SubAppId sees its own events only, and a handle is valid in its own queue only."""
    vod = Local()
    vod.publish("Primary")
    vod.publish("Other", sub_app_id=7)
    other = vod.pull(SubAppId=7)
    assert list(other) == ["Other"]
    assert list(vod.pull()) == ["Primary"]
    assert vod.error("ConfirmEvents", EventHandles=list(other.values())) == "InvalidParameterValue"
    assert "Error" not in vod.call("ConfirmEvents", SubAppId=7, EventHandles=list(other.values()))


@pytest.mark.parametrize(
    ("policy", "code", "confirmed"),
    [("partial", "InvalidParameterValue", 1), ("all_or_nothing", "InvalidParameterValue", 0), ("lenient", None, 1)],
)
def test_a_bad_handle_among_good_ones(policy: str, code: str | None, confirmed: int):
    """Each of the three policies treats the valid handles next to an invalid one as documented."""
    vod = Local(bad_handle=policy)
    vod.publish("A")
    response = vod.call("ConfirmEvents", EventHandles=[*vod.pull().values(), "tdmq0"])
    assert response.get("Error", {}).get("Code") == code
    assert vod.api.counts(0).confirmed == confirmed


def test_a_handle_twice_in_one_call_is_bad_the_second_time():
    """A handle given twice is treated like one used before: with all_or_nothing, nothing is confirmed."""
    for policy, confirmed in (("partial", 1), ("all_or_nothing", 0)):
        vod = Local(bad_handle=policy)
        vod.publish("A")
        (handle,) = vod.pull().values()
        assert vod.error("ConfirmEvents", EventHandles=[handle, handle]) == "InvalidParameterValue"
        assert vod.api.counts(0).confirmed == confirmed


@pytest.mark.parametrize("number", [0, 17])
def test_one_to_sixteen_handles(number: int):
    """No handles, or more than 16, are refused, and nothing is confirmed."""
    vod = Local(batch=17)
    vod.publish(*(f"E{n}" for n in range(17)))
    handles = list(vod.pull().values())
    assert vod.error("ConfirmEvents", EventHandles=handles[:number]) == "InvalidParameterValue"
    assert vod.api.counts(0).confirmed == 0


def test_an_abandoned_pull_takes_the_next_batch():
    """By default a pull whose client has disconnected still takes events, which are then hidden for 30 s."""
    vod = Local()
    exchange = vod.api.handle(sign("PullEvents"), lambda answer: None)
    vod.api.disconnect(exchange)
    vod.publish("A")
    assert (vod.api.counts(0).visible, vod.api.counts(0).hidden) == (0, 1)
    (call,) = vod.api.calls
    assert (call.outcome, call.events, call.disconnected) == ("ok", 1, True)
    vod.clock.advance(30)
    assert list(vod.pull()) == ["A"]


def test_an_abandoned_pull_may_leave_the_batch():
    """With the option, a pull whose client has disconnected leaves the event to others."""
    vod = Local(abandoned_pull="leaves")
    exchange = vod.api.handle(sign("PullEvents"), lambda answer: None)
    vod.api.disconnect(exchange)
    vod.publish("A")
    assert vod.api.counts(0).visible == 1
    assert [call.outcome for call in vod.api.calls] == ["abandoned"]


# --- configuration and state ----------------------------------------------------------------------------------------


def test_the_number_of_events_is_stale():
    """DescribeEventsState returns a count up to three minutes old."""
    vod = Local()
    assert vod.call("DescribeEventsState")["CountOfEventsToPull"] == 0
    vod.publish("A", "B")
    vod.clock.advance(179)
    assert vod.call("DescribeEventsState")["CountOfEventsToPull"] == 0
    vod.clock.advance(1)
    assert vod.call("DescribeEventsState")["CountOfEventsToPull"] == 2


def test_modified_configuration_is_described():
    """Only given fields change; the sign key is never shown; an empty URL clears the URL."""
    vod = Local()
    vod.call(
        "ModifyEventConfig", Mode="PUSH", NotificationUrl="http://x/", UploadMediaCompleteEventSwitch="ON", SignKey="k1"
    )
    vod.call("ModifyEventConfig", PersistenceCompleteEventSwitch="ON")
    response = vod.call("DescribeEventConfig")
    del response["RequestId"]
    assert response == {
        "Mode": "PUSH",
        "NotificationUrl": "http://x/",
        "UploadMediaCompleteEventSwitch": "ON",
        "DeleteMediaCompleteEventSwitch": "OFF",
        "PersistenceCompleteEventSwitch": "ON",
    }
    vod.call("ModifyEventConfig", NotificationUrl="")
    assert vod.call("DescribeEventConfig")["NotificationUrl"] == ""
    assert vod.call("DescribeEventConfig", SubAppId=7)["Mode"] == "PULL"


@pytest.mark.parametrize(
    "params",
    [
        {"Mode": "BOTH"},
        {"NotificationUrl": "ftp://x"},
        {"SignKey": "with-dash"},
        {"SignKey": "k" * 33},
        {"DeleteMediaCompleteEventSwitch": "on"},
    ],
    ids=str,
)
def test_a_wrong_configuration_changes_nothing(params: dict[str, str]):
    """With one invalid value, nothing is changed."""
    vod = Local()
    given = {"Mode": "PUSH", "PersistenceCompleteEventSwitch": "ON", **params}
    assert vod.error("ModifyEventConfig", **given) == "InvalidParameter"
    response = vod.call("DescribeEventConfig")
    assert (response["Mode"], response["PersistenceCompleteEventSwitch"]) == ("PULL", "OFF")


def test_push_mode_bypasses_the_queue():
    """In PUSH mode events bypass the queue, whose content is kept until PULL is back."""
    vod = Local()
    vod.publish("Before")
    vod.call("ModifyEventConfig", Mode="PUSH")
    vod.publish("Pushed")
    answers = vod.send(sign("PullEvents"))
    vod.clock.advance(5)
    assert b"no event" in answers[0].body
    assert (vod.api.counts(0).pushed, vod.api.counts(0).visible) == (1, 1)
    vod.call("ModifyEventConfig", Mode="PULL")
    assert list(vod.pull()) == ["Before"]


def test_pulling_in_push_mode_has_other_answers():
    """A pull in PUSH mode can serve what is queued, or fail."""
    serving, refusing = Local(pull_in_push_mode="serve"), Local(pull_in_push_mode="error")
    for vod in (serving, refusing):
        vod.publish("Before")
        vod.call("ModifyEventConfig", Mode="PUSH")
    assert list(serving.pull()) == ["Before"]
    assert refusing.error("PullEvents") == "FailedOperation"


# --- tasks ----------------------------------------------------------------------------------------------------------

SPLICE = {
    "InputType": "File",
    "FileInfos": [{"FileId": "1", "EndTimeOffset": 4}, {"FileId": "2", "StartTimeOffset": 3}],
}


def test_an_edit_ends_by_itself_and_says_so():
    """EditMedia is PROCESSING, then FINISH; its event has the same content."""
    vod = Local(task_seconds=20)
    task_id = vod.call("EditMedia", **SPLICE, SessionContext="mine", OutputConfig={"Type": "hls"})["TaskId"]
    running = vod.call("DescribeTaskDetail", TaskId=task_id)
    assert (running["TaskType"], running["Status"]) == ("EditMedia", "PROCESSING")
    assert running["EditMediaTask"]["Output"] is None
    vod.clock.advance(20)
    done = vod.call("DescribeTaskDetail", TaskId=task_id)
    (event,) = vod.call("PullEvents")["EventSet"]
    assert event["EventType"] == "EditMediaComplete"
    assert event["EditMediaCompleteEvent"] == done["EditMediaTask"]
    task = done["EditMediaTask"]
    assert (done["Status"], task["Status"], task["ErrCode"], task["ErrCodeExt"]) == ("FINISH", "FINISH", 0, "")
    assert (task["TaskId"], task["SessionContext"]) == (task_id, "mine")
    assert task["Output"]["FileType"] == "m3u8"
    assert task["MetaData"]["Duration"] == 14
    assert done["FinishTime"] > done["CreateTime"]


def test_an_edit_can_fail():
    """A failed edit is FINISH with an error code; the option applies to tasks submitted after it is set."""
    vod = Local(task_failure=TaskFailure(60000, "SourceFileError.Download", "gone"), task_seconds=1)
    vod.call("EditMedia", **SPLICE)
    vod.api.application(0).runner.script.failure = None
    vod.call("EditMedia", **SPLICE)
    vod.clock.advance(1)
    bad, good = (event["EditMediaCompleteEvent"] for event in vod.call("PullEvents")["EventSet"])
    assert (bad["Status"], bad["ErrCode"], bad["ErrCodeExt"], bad["Message"], bad["Output"]) == (
        "FINISH",
        60000,
        "SourceFileError.Download",
        "gone",
        None,
    )
    assert good["ErrCode"] == 0


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, "MissingParameter"),
        ({"InputType": "Url"}, "InvalidParameterValue.InputType"),
        ({"InputType": "File"}, "MissingParameter"),
        ({"InputType": "File", "FileInfos": [{}]}, "MissingParameter"),
        ({"InputType": "Stream", "FileInfos": [{"FileId": "1"}]}, "MissingParameter"),
    ],
    ids=str,
)
def test_an_edit_needs_sources(params: dict[str, Any], code: str):
    """Invalid edits are refused immediately."""
    assert Local().error("EditMedia", **params) == code


def test_a_session_id_is_used_once_in_three_days():
    """A SessionId cannot be reused for three days."""
    vod = Local()
    vod.call("EditMedia", **SPLICE, SessionId="once")
    assert vod.error("EditMedia", **SPLICE, SessionId="once") == "InvalidParameterValue.SessionId"
    vod.clock.advance(3 * 86400)
    assert "Error" not in vod.call("EditMedia", **SPLICE, SessionId="once")


def test_any_task_can_be_registered():
    """A task of any type and status can be registered, without an event."""
    vod = Local()
    vod.api.add_task(0, "t", "Concat", "ABORTED", detail={"TaskId": "t", "FileInfoSet": []}, age=60)
    response = vod.call("DescribeTaskDetail", TaskId="t")
    assert (response["TaskType"], response["Status"]) == ("Concat", "ABORTED")
    assert response["ConcatTask"] == {"TaskId": "t", "FileInfoSet": []}
    assert response["EditMediaTask"] is None
    assert response["CreateTime"] == "2023-11-14T22:12:20Z"
    assert vod.api.counts(0).published == 0


@pytest.mark.parametrize("code", ["InvalidParameterValue.TaskId", "ResourceNotFound"])
def test_an_unknown_or_old_task_is_refused(code: str):
    """The error code of an unknown task is configurable."""
    vod = Local(unknown_task=code)
    vod.api.add_task(0, "old", "EditMedia", "FINISH", age=3 * 86400.0)
    vod.api.add_task(7, "elsewhere", "EditMedia", "FINISH")
    for task_id in ("never", "old", "elsewhere"):
        assert vod.error("DescribeTaskDetail", TaskId=task_id) == code


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (sign(""), "MissingParameter"),
        (sign("PullEvent"), "InvalidAction"),
        (sign("PullEvents", version="2024-07-18"), "NoSuchVersion"),
        (sign("PullEvents", {"Limit": 3}), "UnknownParameter"),
        (sign("PullEvents", {"SubAppId": "x"}), "InvalidParameter"),
        (sign("ConfirmEvents"), "MissingParameter"),
        (sign("DescribeTaskDetail"), "MissingParameter"),
        (sign("PullEvents", body=b"<xml/>"), "InvalidParameter"),
        (sign("PullEvents", secret_key="wrong"), "AuthFailure.SignatureFailure"),
        (sign("PullEvents", secret_id="AKIDnobody"), "AuthFailure.SecretIdNotFound"),
        (sign("PullEvents", at=1_600_000_000), "AuthFailure.SignatureExpire"),
        (sign("PullEvents", x_tc_token="t"), "AuthFailure.TokenFailure"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refusals_have_the_right_code(request_: Any, code: str):
    """Every error is HTTP 200 with the exact content type, a code, a message and a request id."""
    (answer,) = Local().send(request_)
    assert (answer.status, answer.content_type) == (200, "application/json")
    response = json.loads(answer.body)["Response"]
    assert response["Error"]["Code"] == code
    assert response["Error"]["Message"]
    UUID(response["RequestId"])


def test_a_server_whose_clock_is_off_refuses_everybody():
    """Clock skew can be simulated without changing the machine's clock."""
    assert Local(clock_offset=-301).error("DescribeEventsState") == "AuthFailure.SignatureExpire"


def test_turning_the_dial_does_not_expire_signatures():
    """Signatures are verified with real time, however far the emulator's clock was advanced."""
    vod = Local()
    vod.clock.advance(86400)
    assert "Error" not in vod.call("DescribeEventsState")


def test_temporary_credentials_need_their_token():
    """A temporary SecretId is accepted with its token only."""
    vod = Local(tokens={SECRET_ID: "good"})
    for token, passes in (("good", True), ("bad", False)):
        (answer,) = vod.send(sign("DescribeEventsState", x_tc_token=token))
        assert (b"CountOfEventsToPull" in answer.body) is passes
    assert vod.error("DescribeEventsState") == "AuthFailure.TokenFailure"


def test_permission_can_be_lacking_for_single_actions():
    """Single actions can be made unauthorized."""
    vod = Local(unauthorized_actions=frozenset({"ConfirmEvents"}))
    assert vod.error("ConfirmEvents", EventHandles=["h"]) == "UnauthorizedOperation"
    assert "Error" not in vod.call("DescribeEventsState")


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_an_account_without_vod_is_refused_everywhere(action: str):
    """Without an activated service, no action works."""
    assert Local(invalid_vod_user=True).error(action) == "FailedOperation.InvalidVodUser"


def test_an_application_that_does_not_exist_is_refused():
    """Each action has the code that its page lists, unless configured; Python callers get a ValueError."""
    vod = Local(sub_app_ids=[7])
    assert vod.error("DescribeEventsState") == "FailedOperation.InvalidVodUser"
    assert vod.error("DescribeTaskDetail", TaskId="t", SubAppId=8) == "InvalidParameterValue.SubAppId"
    assert "Error" not in vod.call("DescribeEventsState", SubAppId=7)
    assert (
        Local(sub_app_ids=[7], unknown_sub_app="InvalidParameterValue").error("PullEvents") == "InvalidParameterValue"
    )
    with pytest.raises(ValueError, match="no application 8; existing ones: \\[7\\]"):
        vod.publish("A", sub_app_id=8)


def test_the_rate_limit_is_per_action_and_second():
    """Call 101 of a second is refused; actions are counted separately; the next second starts at zero."""
    vod = Local(rate_limit=100, rate_limits={"DescribeEventsState": 20})
    codes = [vod.call("DescribeEventConfig").get("Error", {}).get("Code") for _ in range(101)]
    assert codes == [None] * 100 + ["RequestLimitExceeded"]
    codes = [vod.call("DescribeEventsState").get("Error", {}).get("Code") for _ in range(21)]
    assert codes == [None] * 20 + ["RequestLimitExceeded"]
    vod.clock.advance(1)
    assert "Error" not in vod.call("DescribeEventConfig")


def test_a_call_by_get_works():
    """GET is supported, with lists flattened in the query."""
    vod = Local()
    vod.publish("A", sub_app_id=7)
    (handle,) = vod.pull(SubAppId=7).values()
    (answer,) = vod.send(sign("ConfirmEvents", method="GET", query=f"EventHandles.0={handle}&SubAppId=7"))
    assert b"Error" not in answer.body
    assert vod.api.counts(7).confirmed == 1


# --- faults and the log ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", ["internal_error", "throttled", "http_500", "http_502_html", "html_200", "drop_request", "auth_failure"]
)
def test_faults_before_the_call_do_nothing(fault: str):
    """A fault that prevents a pull leaves the event for the next one."""
    vod = Local()
    vod.publish("A")
    vod.api.faults.script({"PullEvents": fault})
    (answer,) = vod.send(sign("PullEvents"))
    assert b"EventSet" not in answer.body
    assert vod.api.counts(0).visible == 1
    assert list(vod.pull()) == ["A"]


@pytest.mark.parametrize("fault", ["drop_response", "truncate", "garbage_json", "slow:3", "charset"])
def test_faults_after_the_call_have_done_it(fault: str):
    """A fault in the answer does not undo the confirmation."""
    vod = Local()
    vod.publish("A")
    handles = list(vod.pull().values())
    vod.api.faults.script({"ConfirmEvents": fault})
    (answer,) = vod.send(sign("ConfirmEvents", {"EventHandles": handles}))
    assert vod.api.counts(0).confirmed == 1
    assert (answer.cut, answer.delay, answer.content_type) == {
        "drop_response": (0, 0, "application/json"),
        "truncate": (len(answer.body) // 2, 0, "application/json"),
        "garbage_json": (None, 0, "application/json"),
        "slow:3": (None, 3, "application/json"),
        "charset": (None, 0, "application/json; charset=utf-8"),
    }[fault]


def test_a_fault_can_be_any_error():
    """A custom error code can be scripted, with colons in its message."""
    vod = Local()
    vod.api.faults.script({"PullEvents": "error:FailedOperation.X:it: broke"})
    assert vod.call("PullEvents")["Error"] == {"Code": "FailedOperation.X", "Message": "it: broke"}


def test_handles_can_die_under_the_client():
    """`expire_handles` expires all handles before a confirm, and those just delivered by a pull."""
    vod = Local()
    vod.publish("A")
    handles = list(vod.pull().values())
    vod.api.faults.script({"ConfirmEvents": "expire_handles", "PullEvents": "expire_handles"})
    assert vod.error("ConfirmEvents", EventHandles=handles) == "InvalidParameterValue"
    handles = list(vod.pull().values())
    assert vod.api.counts(0).visible == 1
    assert vod.error("ConfirmEvents", EventHandles=handles) == "InvalidParameterValue"


def test_a_fault_meets_a_held_pull_at_its_end():
    """The fault of a held pull applies to its later answer."""
    vod = Local()
    vod.api.faults.script({"PullEvents": "truncate"})
    answers = vod.send(sign("PullEvents"))
    assert answers == []
    vod.publish("A")
    assert answers[0].cut == len(answers[0].body) // 2


def test_calls_are_logged():
    """The log has caller, action, time, duration and outcome of each call."""
    vod = Local()
    vod.send(sign("PullEvents", {"SubAppId": 7}))
    vod.clock.advance(5)
    vod.publish("A", "B", sub_app_id=7)
    handles = list(vod.pull(SubAppId=7).values())
    vod.call("ConfirmEvents", SubAppId=7, EventHandles=handles)
    vod.api.faults.script({"PullEvents": "throttled"})
    vod.call("PullEvents")
    log = [(c.action, c.sub_app_id, c.secret_id, c.outcome, c.events, c.seconds) for c in vod.api.calls]
    assert log == [
        ("PullEvents", 7, SECRET_ID, "ResourceNotFound", 0, 5.0),
        ("PullEvents", 7, SECRET_ID, "ok", 2, 0.0),
        ("ConfirmEvents", 7, SECRET_ID, "ok", 2, 0.0),
        ("PullEvents", None, None, "fault:throttled", 0, 0.0),
    ]
    assert [c.arrived_at for c in vod.api.calls][1] == 1_700_000_005.0
