"""Every action that starts a task starts one, and the official typed SDK parses whatever is said about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tencentcloud.vod.v20180717 import models

from airflow_vod.emulator import Emulator, EmulatorOptions, ManualClock, Procedure, TaskFailure
from airflow_vod.emulator.starters import STARTERS

from .samples import REQUESTS
from .test_sdk import call, client_of

SILENT = {
    "CreateAigcAudioTask",
    "CreateAigcVideoRedrawTask",
    "CreateSceneAigcVideoTask",
    "TextToSpeechAsync",
    "VideoDepthEstimation",
    "CreateAigcSubject",
    "CreateAigcAudioClone",
    "CloneVoiceAsync",
    "DesignVoiceAsync",
    "ImportMediaKnowledge",
}
"""Whose end no event type announces (EventContent has no field for it)."""
WITHOUT_SESSION = {
    "CreateAigcAudioTask",
    "CreateComplexAdaptiveDynamicStreamingTask",
    "ImportMediaKnowledge",
    "LiveRealTimeClip",
    "ProcessMediaByMPS",
    "SimpleHlsClip",
    "WeChatMiniProgramPublish",
}
"""Whose request has no SessionId."""
CLIPS = {"LiveRealTimeClip", "SimpleHlsClip"}
"""Which answer at once, and whose id is that of the task flow which goes on with the clip."""


@pytest.fixture
def vod() -> Iterator[Emulator]:
    """An emulator with a manual clock, and a task flow that does everything."""
    options = EmulatorOptions(procedures={"everything": Procedure(review=True, knowledge_imports=2)}, hold=0)
    with Emulator(clock=ManualClock(), options=options) as vod:
        yield vod


def payload(event: Any) -> Any:
    """The only field of an event, besides type and handle, that has a value."""
    filled = {k: v for k, v in event._serialize().items() if k not in ("EventType", "EventHandle")}
    ((_, value),) = filled.items()
    return value


def pull(vod: Emulator) -> list[Any]:
    """The events that wait, as the SDK parses them."""
    if not vod.queue().visible:
        return []
    return call(client_of(vod), "PullEvents").EventSet


def test_the_table_has_every_action_that_answers_a_task_id():
    """All 41 actions whose answer names a task are in the table, and no others."""
    not_starting = {"DescribeMediaInfos"}
    named = {
        name.removesuffix("Response")
        for name in dir(models)
        if name.endswith("Response")
        and {"TaskId", "VodTaskId"} & set(getattr(models, name)()._serialize(allow_none=True))
    }
    assert set(STARTERS) == set(REQUESTS)
    assert len(STARTERS) == 41
    assert set(STARTERS) <= named - not_starting
    assert {name for name, starter in STARTERS.items() if not starter.takes_session} == WITHOUT_SESSION


@pytest.mark.parametrize("fails", [False, True], ids=["succeeds", "fails"])
@pytest.mark.parametrize("action", sorted(REQUESTS))
def test_a_task_is_answered_described_listed_and_announced(vod: Emulator, action: str, fails: bool):
    """From the answer to the event, the official client's models contain exactly what was served, and agree."""
    client = client_of(vod)
    if fails:
        vod.fail_next_task(
            TaskFailure(60000, "SourceFileError.Download", "gone"), "Procedure" if action in CLIPS else action
        )
    answer = call(client, action, **REQUESTS[action])
    task_id = answer.VodTaskId if action == "LiveRealTimeClip" else answer.TaskId
    assert vod.starts.count(action) == len(vod.starts) == 1
    assert next(iter(vod.starts)).vod_task_id == task_id
    assert call(client, "DescribeTaskDetail", TaskId=task_id).Status == "PROCESSING"
    assert pull(vod) == []
    vod.clock.advance(2)
    detail = call(client, "DescribeTaskDetail", TaskId=task_id)
    assert detail.Status == "FINISH"
    (content,) = [v for v in detail._serialize().values() if isinstance(v, dict)]
    assert content["TaskId"] == task_id
    assert ("gone" in str(content)) is fails
    listed = {task.TaskId: task for task in call(client, "DescribeTasks", Limit=100).TaskSet}
    assert (listed[task_id].Status, listed[task_id].TaskType) == ("FINISH", detail.TaskType)
    ours = [event for event in map(payload, pull(vod)) if event.get("TaskId") == task_id]
    if action == "ProcessImageAsync":
        return  # its event says nothing: see below
    assert ours == ([] if action in SILENT else [content])


@pytest.mark.parametrize("action", sorted(set(REQUESTS) - WITHOUT_SESSION))
def test_session_id_and_context_come_back(vod: Emulator, action: str):
    """What the request gave is in the list, and in the detail as far as its schema has it."""
    request = {**REQUESTS[action], "SessionId": "once", "SessionContext": "mine"}
    task_id = call(client_of(vod), action, **request).TaskId
    assert vod.starts.count(action, "once") == 1
    listed = {task.TaskId: task for task in call(client_of(vod), "DescribeTasks").TaskSet}
    assert (listed[task_id].SessionId, listed[task_id].SessionContext) == ("once", "mine")
    detail = call(client_of(vod), "DescribeTaskDetail", TaskId=task_id)._serialize()
    (content,) = [v for v in detail.values() if isinstance(v, dict)]
    assert (content["SessionId"], content["SessionContext"]) == ("once", "mine")


def test_an_image_s_event_says_nothing(vod: Emulator):
    """The schema of its event has no task id and no status, so that only DescribeTaskDetail tells of its end."""
    call(client_of(vod), "ProcessImageAsync", **REQUESTS["ProcessImageAsync"])
    vod.clock.advance(2)
    (event,) = pull(vod)
    assert event.EventType == "ProcessImageAsyncCompleteEvent"
    assert event.ProcessImageAsyncCompleteEvent._serialize() == {}
