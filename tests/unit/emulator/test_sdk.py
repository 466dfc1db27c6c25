"""The official typed SDK parses all answers without loss."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from tencentcloud.common import credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.vod.v20180717 import models, vod_client

from airflow_vod.emulator import Emulator, EmulatorOptions, ManualClock
from airflow_vod.emulator.actions import ACTIONS
from airflow_vod.emulator.content import ALWAYS_PRESENT
from airflow_vod.emulator.starters import STARTERS
from airflow_vod.emulator.tasks import ALWAYS_PRESENT as TASK_FIELDS


class RecordingClient(vod_client.VodClient):
    """The official client, which also records the body that it parsed."""

    served: dict[str, Any]

    def call(self, action: str, params: Any, options: Any = None, headers: Any = None) -> Any:
        """As the official one, and record the body."""
        body = super().call(action, params, options, headers)
        self.served = json.loads(body)["Response"]
        return body


def client_of(
    vod: Emulator, method: str = "POST", token: str | None = None, *, unsigned_payload: bool = False
) -> RecordingClient:
    """A client of an emulator."""
    http = HttpProfile(protocol="http", endpoint=vod.endpoint.removeprefix("http://"), reqMethod=method, reqTimeout=10)
    keys = credential.Credential(vod.secret_id, vod.secret_key, token)
    profile = ClientProfile(httpProfile=http)
    profile.unsignedPayload = unsigned_payload
    return RecordingClient(keys, "", profile)


@pytest.fixture
def vod() -> Iterator[Emulator]:
    """An emulator with a manual clock."""
    with Emulator(clock=ManualClock()) as vod:
        yield vod


def call(client: RecordingClient, action: str, **params: Any) -> Any:
    """Call an action and compare what the SDK parsed with what was served."""
    request = getattr(models, f"{action}Request")()
    request._deserialize(params)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # the SDK warns of fields that it does not know
        model = getattr(client, action)(request)
    assert without_nulls(model._serialize()) == without_nulls(client.served)
    assert not set(client.served) - set(model._serialize(allow_none=True))
    return model


def without_nulls(value: Any) -> Any:
    """A copy without null members: the SDK does not distinguish null from absent."""
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


EDIT = {
    "InputType": "File",
    "FileInfos": [{"FileId": "1", "StartTimeOffset": 1.5, "EndTimeOffset": 2.5}, {"FileId": "2"}],
    "OutputConfig": {"MediaName": "both", "Type": "mp4"},
    "SessionContext": "c",
    "SessionId": "s",
}


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_every_other_action_parses_without_a_difference(vod: Emulator, method: str):
    """For every action that starts no task, the official client's model contains exactly what was served."""
    client = client_of(vod, method)
    seen = set()

    def check(action: str, **params: Any) -> Any:
        seen.add(action)
        return call(client, action, **params)

    vod.publish_concat(
        "Concat-1", ["http://x/f0.mp4", {"ErrCode": 4, "FileId": None, "FileUrl": None, "FileType": "m3u8"}]
    )
    vod.hold_tasks("WAITING")
    waiting = call(client_of(vod), "EditMedia", **EDIT).TaskId
    vod.hold_tasks(None)
    finished = call(client_of(vod), "EditMedia", **{**EDIT, "SessionId": "t"}).TaskId
    vod.clock.advance(2)
    events = check("PullEvents").EventSet
    assert events[0].ConcatCompleteEvent.FileInfoSet[0].FileUrl == "http://x/f0.mp4"
    assert events[1].EditMediaCompleteEvent.Output.FileType == "mp4"
    assert check("DescribeTaskDetail", TaskId=finished).EditMediaTask.MetaData.Duration == 11
    check("ManageTask", TaskId=waiting, OperationType="Abort")
    tasks = {task.TaskId: task for task in check("DescribeTasks", Limit=100).TaskSet}
    assert (tasks[waiting].Status, tasks[finished].Status) == ("ABORTED", "FINISH")
    check("ConfirmEvents", EventHandles=[event.EventHandle for event in events])
    assert vod.queue().confirmed == len(events)
    check("DescribeEventsState", SubAppId=0)
    check("ModifyEventConfig", Mode="PUSH", NotificationUrl="http://x/", SignKey="k")
    assert check("DescribeEventConfig").Mode == "PUSH"
    assert seen == set(ACTIONS) - set(STARTERS)


def test_an_unfinished_and_a_failed_edit_parse_too(vod: Emulator):
    """A running task and a failed one, which have no output, are parsed."""
    from airflow_vod.emulator import TaskFailure

    vod.fail_tasks(TaskFailure())
    client = client_of(vod)
    task_id = call(client, "EditMedia", **EDIT).TaskId
    assert call(client, "DescribeTaskDetail", TaskId=task_id).Status == "PROCESSING"
    vod.clock.advance(2)
    assert call(client, "DescribeTaskDetail", TaskId=task_id).EditMediaTask.ErrCode == 70000


def test_the_fields_served_as_null_are_the_schema_s():
    """Every field in our tables exists in the SDK's models."""
    assert set(ALWAYS_PRESENT) < set(models.EventContent()._serialize(allow_none=True))
    assert set(TASK_FIELDS) < set(models.DescribeTaskDetailResponse()._serialize(allow_none=True))


def test_the_parameters_are_the_schema_s():
    """Every action has exactly the parameters of the SDK's request."""
    for name, action in ACTIONS.items():
        ours = {field.alias for field in action.parameters.model_fields.values()}
        assert ours == set(getattr(models, f"{name}Request")()._serialize(allow_none=True)), name


@pytest.mark.parametrize(("empty", "expected"), [("null", None), ("list", [])])
def test_other_forms_of_empty_parse(empty: Any, expected: Any):
    """Null and the empty list are parsed as such."""
    with Emulator(options=EmulatorOptions(hold=0, empty=empty)) as vod:
        assert call(client_of(vod), "PullEvents").EventSet == expected


def test_an_empty_queue_is_an_exception_of_the_sdk():
    """The exception contains code, message and request id."""
    with Emulator(options=EmulatorOptions(hold=0)) as vod, pytest.raises(TencentCloudSDKException) as caught:
        call(client_of(vod), "PullEvents")
    assert (caught.value.code, caught.value.message) == ("ResourceNotFound", "no event")
    assert caught.value.requestId


def test_the_sdk_s_other_ways_to_sign_are_understood():
    """Unsigned payloads and temporary credentials are accepted; a wrong key is not."""
    options = EmulatorOptions(tokens={"AKIDexample": "token"})
    with Emulator(options=options) as vod:
        call(client_of(vod, token="token", unsigned_payload=True), "DescribeEventsState")
        vod.accounts["AKIDexample"] = "another"
        with pytest.raises(TencentCloudSDKException) as caught:
            call(client_of(vod, token="token"), "DescribeEventsState")
        assert caught.value.code == "AuthFailure.SignatureFailure"


def test_a_charset_hides_errors_from_the_sdk(vod: Emulator):
    """With a charset in the content type, the official client takes an error for an empty success."""
    vod.faults.script({"DescribeEventsState": "charset"})
    client = client_of(vod)
    request = models.DescribeEventsStateRequest()
    request.SubAppId = -1
    assert client.DescribeEventsState(request).CountOfEventsToPull is None
    assert client.served["Error"]["Code"] == "InvalidParameter"
