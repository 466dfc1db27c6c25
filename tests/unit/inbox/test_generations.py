from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_vod.events.results import Outcome, TaskResult
from airflow_vod.exceptions import SubmissionError, SubmissionLostError, SubmissionRefusedError
from airflow_vod.inbox.generations import TaskRequest, begins, decide, is_refusal, key_of, next_session_id
from airflow_vod.inbox.submissions import STATES, Submission
from airflow_vod.tencent.actions import ACTIONS, SESSION_ID_LIMIT

EDIT = {"InputType": "File", "FileInfos": [{"FileId": "1"}]}


def request(**changes: Any) -> TaskRequest:
    """Ask for a splice, as the first try of a task does."""
    key = key_of("dag", "run", "task", -1)
    defaults = {"action": ACTIONS["EditMedia"], "parameters": EDIT, "key": key, "submitter": "dag/run/task"}
    return TaskRequest(**{**defaults, "life": 2, "attempt": 1, **changes})


def before(state: str, **changes: Any) -> Submission:
    """What an earlier try has left."""
    task = None if state in ("intended", "lost") else "Edit-1"
    return replace(begins(request(), "queue", 1), state=state, vod_task_id=task, message="said so", **changes)


def failure(code: int | str) -> TaskResult:
    """How a VOD task has failed."""
    return TaskResult("Edit-1", "EditMediaComplete", Outcome.FAILED, error_code=code, message="no")


SAME, NEW, REFUSED, LOST = "the same task", "a new task", SubmissionRefusedError, SubmissionLostError
RETRY, CLEARED, AGAIN = {"attempt": 2}, {"attempt": 2, "life": 3}, {}
TABLE: dict[str, tuple[Any, Any, Any]] = {
    # State      the same try, again   the next try   after it was cleared
    "intended": (SAME, SAME, SAME),
    "started": (SAME, SAME, SAME),
    "done": (SAME, SAME, NEW),
    "failed": (SAME, NEW, NEW),
    "refused": (REFUSED, REFUSED, NEW),
    "aborted": (SAME, NEW, NEW),
    "lost": (LOST, LOST, NEW),
}


def outcome(current: Submission, asked: TaskRequest, failed: TaskResult | None = None) -> Any:
    """Decide, in the table's words."""
    try:
        decision = decide(current, asked, failed)
    except (SubmissionRefusedError, SubmissionLostError) as error:
        return type(error)
    assert decision.generation in (None, 2)
    assert bool(decision.why) == bool(decision.generation)
    return NEW if decision.generation else SAME


@pytest.mark.parametrize("state", STATES)
def test_what_a_request_means(state: str) -> None:
    """Every state that a submission can be in says whether a retry or a clear means its task or a new one."""
    assert tuple(outcome(before(state), request(**who)) for who in (AGAIN, RETRY, CLEARED)) == TABLE[state]


@pytest.mark.parametrize("state", sorted(STATES.keys() - {"refused", "lost"}))
@pytest.mark.parametrize("changes", [{}, {"life": 3}])
def test_a_late_try_starts_nothing(state: str, changes: dict[str, Any]) -> None:
    """A try that hung until a later one, perhaps of the cleared task, had done its work starts no VOD task."""
    assert outcome(before(state, attempt=3), request(attempt=2, **changes)) == SAME


@pytest.mark.parametrize("state", STATES)
def test_a_late_try_takes_nothing_that_it_did_not_ask_for(state: str) -> None:
    """A DAG run that was created again begins with try 1: it gets no VOD task of something else, and is told the way."""
    asked = request(attempt=2, parameters={**EDIT, "ProcedureName": "x"})
    with pytest.raises(SubmissionError, match=r"ProcedureName changed.* until it is at try 3"):
        decide(before(state, attempt=3), asked)
    assert decide(before(state, attempt=3), replace(asked, attempt=3)).generation == 2


@pytest.mark.parametrize("state", STATES)
def test_other_parameters_are_another_task(state: str) -> None:
    """Whatever became of the task before: it was made of something else, and the reason names what."""
    decision = decide(before(state), request(parameters={**EDIT, "ProcedureName": "x"}))
    assert decision.generation == 2
    assert "ProcedureName changed" in decision.why


def test_the_order_of_parameters_does_not_matter() -> None:
    """The same parameters in another order, also inside, are the same."""
    backwards = {"FileInfos": [{"FileId": "1"}], "InputType": "File"}
    assert outcome(before("started"), request(parameters=backwards)) == SAME


@pytest.mark.parametrize(("code", "expected"), [(70000, NEW), (40000, SAME), (60000, SAME), ("InvalidInput.X", SAME)])
def test_a_task_that_failed_while_nobody_looked(code: int | str, expected: str) -> None:
    """The next try starts a new task, unless that would be refused as well: then it reports the failure."""
    assert outcome(before("started"), request(**RETRY), failure(code)) == expected
    assert outcome(before("started"), request(**CLEARED), failure(code)) == NEW
    assert outcome(before("started"), request(), failure(code)) == SAME  # a rescheduled task: each look is a process


def test_refusals() -> None:
    """Codes of bad input and of a bad source are refusals, those of VOD's own troubles are not."""
    refused = [40000, 60000, "InvalidInput.FileId", "SourceFileError.Codec"]
    assert [
        code for code in [*refused, 70000, "InternalError", "ABORTED", None] if is_refusal(failure(code))
    ] == refused  # type: ignore[arg-type]


def test_session_ids() -> None:
    """Whoever asks for the same gets the same SessionId; another queue, key, generation or parameter has another one."""
    asked = request()
    ids = [
        begins(asked, "queue", 1),
        begins(asked, "other", 1),
        begins(asked, "queue", 2),
        begins(request(key=key_of("dag", "run", "task", 0)), "queue", 1),
        begins(request(parameters={**EDIT, "Definition": 20}), "queue", 1),
    ]
    texts = [each.session_id for each in ids]
    assert len({*texts, next_session_id(texts[0])}) == 6
    assert begins(request(attempt=7, life=9), "queue", 1).session_id == texts[0]
    assert all(len(each) <= SESSION_ID_LIMIT for each in texts)
    assert begins(request(session_id="mine"), "queue", 3).session_id == "mine"


def test_what_is_sent() -> None:
    """SessionId and SessionContext go with the request where the action takes them; the user's own context stays."""
    assert request().parameters_with("s") == {**EDIT, "SessionId": "s", "SessionContext": "s"}
    own = {**EDIT, "SessionContext": "mine"}
    assert request(parameters=own).parameters_with("s") == {**own, "SessionId": "s"}
    assert request(action=ACTIONS["CreateAigcAudioTask"]).parameters_with("s") == EDIT
    assert request(action=ACTIONS["SimpleHlsClip"]).parameters_with("s") == {**EDIT, "SessionContext": "s"}


def test_no_parameter_is_kept() -> None:
    """The inbox keeps digests: a signed URL in a parameter is in none of a submission's fields."""
    begun = begins(request(parameters={"MediaUrl": "http://x/?sign=secret"}), "queue", 1)
    assert "secret" not in repr(begun)
    assert begun.parameters.keys() == {"MediaUrl"}
    assert "secret" not in repr(request(parameters={"MediaUrl": "http://x/?sign=secret"}))
