from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from tencentcloud.vod.v20180717 import models

from airflow_vod.exceptions import VodSettingsError
from airflow_vod.operators.submit import VodSubmitOperator
from airflow_vod.tencent.actions import ACTIONS, action_of, check_parameters

EDIT = ACTIONS["EditMedia"]


def test_the_table_is_the_vendors() -> None:
    """The table has every action of the official SDK whose answer holds a task id, with what its request takes."""
    found = {}
    for name, model in inspect.getmembers(models, inspect.isclass):
        if not name.endswith("Response") or name in ("DescribeTaskDetailResponse", "DescribeTasksResponse"):
            continue
        ids = {field.lstrip("_") for field in vars(model()) if re.search("TaskId", field)}
        if ids:
            takes = {field.lstrip("_") for field in vars(getattr(models, f"{name[:-8]}Request")())}
            found[name[:-8]] = (ids, "SessionId" in takes, "SessionContext" in takes)
    assert len(ACTIONS) == 41
    assert found == {
        row.name: ({row.id_field, *row.other_id_fields}, row.takes_session_id, row.takes_session_context)
        for row in ACTIONS.values()
    }


def test_which_tasks_vod_does_not_announce() -> None:
    """An action is announced unless EventContent has no field for its task; the operator then expects no event."""
    fields = {field.lstrip("_") for field in vars(models.EventContent())}
    silent = {row.name for row in ACTIONS.values() if not row.announced}
    assert len(silent) == 10
    for name in silent:
        stem = re.sub("^Create|Task$|Async$", "", name)
        assert [field for field in fields if stem.lower() in field.lower()] == [], name
        assert VodSubmitOperator(task_id="x", action=name).event_type == ()
    assert VodSubmitOperator(task_id="x", action="EditMedia").event_type is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("EditMedai", "did you mean EditMedia"),
        ("editmedia", "did you mean EditMedia"),
        ("Nonsense", "VOD does not have.*EditMedia"),
        ("DescribeMediaInfos", "starts no task.*get_client"),
        (7, "name of an action"),
        (None, "name of an action"),
    ],
)
def test_what_is_no_action(name: Any, message: str) -> None:
    """An unknown action is answered with the nearest names, one that starts no task with how to call it."""
    with pytest.raises(VodSettingsError, match=f"(?s){message}"):
        action_of(name)


@pytest.mark.parametrize(
    ("action", "parameters", "context", "message"),
    [
        ("EditMedia", "[]", None, "must be a dictionary"),
        ("EditMedia", [1], None, "must be a dictionary"),
        ("EditMedia", {"file_id": "1"}, None, "'file_id'.*capital letter"),
        ("EditMedia", {1: "1"}, None, "capital letter"),
        ("EditMedia", {"SubAppId": 1}, None, "sub_app_id"),
        ("EditMedia", {"SessionContext": "a"}, "b", "given twice"),
        ("EditMedia", {}, "x" * 1001, "1001 characters.*at most 1000"),
        ("EditMedia", {"SessionContext": "x" * 1001}, None, "at most 1000"),
        ("EditMedia", {"SessionId": "x" * 51}, None, "SessionId is 51 characters"),
        ("EditMedia", {"SessionId": 7}, None, "SessionId is 7"),
        ("SimpleHlsClip", {"SessionId": "x"}, None, "takes none"),
        ("CreateAigcAudioTask", {}, "x", "takes none"),
    ],
)
def test_wrong_parameters(action: str, parameters: Any, context: str | None, message: str) -> None:
    """What cannot be right is refused with the parameter's name and the remedy, before anything is sent."""
    with pytest.raises(VodSettingsError, match=f"(?s){message}"):
        check_parameters(ACTIONS[action], parameters, context)


def test_right_parameters() -> None:
    """A SessionId of the user's own is taken, and so is the longest context."""
    check_parameters(EDIT, {"SessionId": "x" * 50, "FileInfos": []}, "x" * 1000)


def test_the_ids_in_an_answer() -> None:
    """Where one request starts several tasks, all their ids are found, one by one or in a list."""
    answer = {"TaskId": "1", "ReviewAudioVideoTaskId": "2", "ImportMediaKnowledgeTaskIdSet": ["3", "4"]}
    action = ACTIONS["ProcessMediaByProcedure"]
    assert (action.task_id(answer), action.other_task_ids(answer)) == ("1", ["2", "3", "4"])
    assert (
        action.other_task_ids({"TaskId": "1", "ReviewAudioVideoTaskId": "", "ImportMediaKnowledgeTaskIdSet": None})
        == []
    )
    assert ACTIONS["LiveRealTimeClip"].task_id({"VodTaskId": "", "Url": "x"}) is None
