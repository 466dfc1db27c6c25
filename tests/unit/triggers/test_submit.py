from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_vod.inbox.generations import begins
from airflow_vod.inbox.submissions import Submission
from airflow_vod.triggers import submit
from airflow_vod.triggers.submit import VodSubmittedTaskTrigger
from tests.airflow_fixtures import SENSOR_MARKS, SUB_APP_ID, Vod
from tests.relays import client_of
from tests.unit.test_submission import EDIT, request

pytestmark = SENSOR_MARKS


def trigger_of(started: Submission, **changes: Any) -> VodSubmittedTaskTrigger:
    """What waits for it, in the triggerer."""
    arguments: dict[str, Any] = {
        "vod_task_id": started.vod_task_id,
        "vod_conn_id": "vod_default",
        "waiter": "dag/run/task",
    }
    made = VodSubmittedTaskTrigger(submission_key=started.key, attempt=1, **arguments | changes)
    made.task_instance = SimpleNamespace(dag_id="dag", run_id="run", task_id="task", map_index=-1)  # type: ignore[assignment]
    return made


@pytest.fixture
def started(vod: Vod) -> Submission:
    """A VOD task that has not begun, started by the first try."""
    vod.emulator.hold_tasks("WAITING", sub_app_id=SUB_APP_ID)
    asked = request()
    begun = begins(asked, vod.queue, 1)
    vod.store.submissions.begin(begun)
    answer = client_of(vod.emulator).call("EditMedia", {**EDIT, "SessionId": begun.session_id})
    vod.store.submissions.note_started(begun, answer["TaskId"])
    found = vod.store.submissions.read(begun)
    assert found is not None
    return found


def airflow_says(state: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Airflow tell the state of the task as its API does."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    def get_task_states(**_: object) -> Any:
        return {"run": {"task": state}}

    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", staticmethod(get_task_states))


def state_of(vod: Vod, started: Submission) -> str:
    """What has become of it."""
    found = vod.store.submissions.read(started)
    assert found is not None
    return found.state


def test_it_survives_serialization(started: Submission) -> None:
    """What Airflow stores makes the same trigger again, and has no secret in it."""
    path, arguments = trigger_of(started, abort_on_kill=False).serialize()
    assert path == "airflow_vod.triggers.submit.VodSubmittedTaskTrigger"
    again = VodSubmittedTaskTrigger(**arguments)
    assert (again.submission_key, again.attempt, again.abort_on_kill) == (started.key, 1, False)
    assert again.serialize() == (path, arguments)


@pytest.mark.parametrize(
    ("state", "after"),
    [("failed", "aborted"), ("success", "aborted"), (None, "aborted"), ("deferred", "started")],
)
def test_a_kill(vod: Vod, started: Submission, monkeypatch: pytest.MonkeyPatch, state: str | None, after: str) -> None:
    """Whoever marks or clears the task ends its VOD task; a triggerer that was only stalled does not."""
    airflow_says(state, monkeypatch)
    asyncio.run(trigger_of(started).on_kill())
    assert state_of(vod, started) == after
    assert vod.emulator.calls.count("ManageTask") == (after == "aborted")


def test_a_kill_that_is_not_to_abort(vod: Vod, started: Submission, monkeypatch: pytest.MonkeyPatch) -> None:
    """abort_on_kill=False leaves the VOD task alone."""
    airflow_says("failed", monkeypatch)
    asyncio.run(trigger_of(started, abort_on_kill=False).on_kill())
    assert vod.emulator.calls.count("ManageTask") == 0


def test_a_kill_after_a_new_try_has_begun(vod: Vod, started: Submission, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task was cleared and its next try waits for the same VOD task already: that is not aborted."""
    airflow_says("running", monkeypatch)
    vod.store.submissions.take_over(started, 9, 2)
    asyncio.run(trigger_of(started).on_kill())
    assert state_of(vod, started) == "started"


@pytest.mark.parametrize(("is_new", "after"), [(True, "started"), (False, "aborted")])
def test_before_airflow_3_3(
    vod: Vod, started: Submission, monkeypatch: pytest.MonkeyPatch, is_new: bool, after: str
) -> None:
    """Older versions tell a trigger nothing but that it ends; it finds out itself whether its task was ended."""
    monkeypatch.setattr(submit, "AIRFLOW_V_3_3_PLUS", is_new)
    airflow_says("failed", monkeypatch)
    asyncio.run(trigger_of(started).cleanup())
    assert state_of(vod, started) == after


def test_a_wait_that_has_ended(vod: Vod, started: Submission, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trigger that has fired has nothing to abort, whatever the task's state is by then."""
    monkeypatch.setattr(submit, "AIRFLOW_V_3_3_PLUS", False)
    airflow_says("running", monkeypatch)
    vod.emulator.finish_task(str(started.vod_task_id), sub_app_id=SUB_APP_ID)

    async def wait() -> Any:
        made = trigger_of(started)
        payloads = [event.payload async for event in made.run()]
        await made.cleanup()
        return payloads

    assert asyncio.run(wait()) == [{"status": "found"}]
    assert vod.emulator.calls.count("ManageTask") == 0
