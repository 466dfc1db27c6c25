"""The core that starts VOD tasks, against the emulator: what is asked, what is never asked twice, and what people are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from airflow_vod import submission
from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.exceptions import (
    InboxUnavailableError,
    SubmissionLostError,
    SubmissionRefusedError,
    SubmissionUnknownError,
    VodAuthenticationError,
    VodThrottledError,
    VodTransientError,
)
from airflow_vod.inbox import InboxStore
from airflow_vod.inbox.generations import TaskRequest, begins, key_of
from airflow_vod.inbox.submissions import Submission
from airflow_vod.submission import Submitter
from airflow_vod.tencent.actions import ACTIONS, WINDOW
from tests.relays import SUB_APP_ID, client_of
from tests.samples import Clock

EDIT = {"InputType": "File", "FileInfos": [{"FileId": "1"}]}
AUDIO = {"ModelName": "m", "ModelVersion": "1", "Prompt": "p"}


@dataclass
class Stage:
    """An application, an inbox, and who starts tasks."""

    vod: Emulator
    inbox: InboxStore
    submitter: Submitter
    sessions: list[str] = field(default_factory=list)
    """The SessionIds of the requests sent, in order."""

    def __post_init__(self) -> None:
        client = self.submitter._client
        really = client.call

        def call(action: str, params: Any = None, **more: Any) -> Any:
            if "SessionId" in (params or {}):
                self.sessions.append(params["SessionId"])
            return really(action, params, **more)

        client.call = call  # type: ignore[method-assign]

    def submit(self, **changes: Any) -> Submission:
        """Ask for a task."""
        return self.submitter.submit(request(**changes))

    def faults(self, *faults: str, action: str = "EditMedia") -> None:
        """Let calls go wrong, one after the other."""
        self.vod.faults.script({action: faults})

    def started(self) -> int:
        """How many tasks VOD has started."""
        return self.vod.starts.count(sub_app_id=SUB_APP_ID)

    def asked(self, action: str = "EditMedia") -> int:
        """How often VOD was called."""
        return self.vod.calls.count(action)

    def recorded(self) -> Submission:
        """What the inbox has."""
        found = self.inbox.submissions.latest(self.submitter._queue, request().key)
        assert found is not None
        return found


def request(**changes: Any) -> TaskRequest:
    """A splice."""
    key = key_of("dag", "run", "task", -1)
    defaults = {"action": ACTIONS["EditMedia"], "parameters": EDIT, "key": key, "submitter": "dag/run/task"}
    return TaskRequest(**{**defaults, "life": 2, "attempt": 1, **changes})


MakeStage = Callable[..., Stage]


@pytest.fixture
def make(open_inbox: Callable[..., InboxStore], monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeStage]:
    """Make a stage; arguments are options of the emulator."""
    monkeypatch.setattr(submission, "_PAUSE", 0.05)
    running: list[Emulator] = []

    def make_one(*, clock: Clock | None = None, patience: float = 20.0, **options: Any) -> Stage:
        vod = Emulator(options=EmulatorOptions(**{"task_seconds": 0.2, **options})).start()
        running.append(vod)
        inbox = open_inbox(clock=clock) if clock else open_inbox()
        return Stage(vod, inbox, Submitter(client_of(vod), inbox, settle=0.0 if clock else 0.1, patience=patience))

    yield make_one
    for vod in running:
        vod.stop()


@pytest.fixture(params=["sqlite"])
def database(request: pytest.FixtureRequest) -> str:
    """The campaign has the other one."""
    return str(request.param)


def test_one_call_starts_one_task(make: MakeStage) -> None:
    """Where nothing goes wrong VOD gets one request and no question; the id is in the inbox."""
    stage = make()
    started = stage.submit()
    assert started.state == "started"
    assert started.vod_task_id in {start.vod_task_id for start in stage.vod.starts}
    assert [call.action for call in stage.vod.calls] == ["EditMedia"]
    assert stage.submit(attempt=2).vod_task_id == started.vod_task_id
    assert stage.started() == stage.asked() == 1


def test_the_intent_comes_first(make: MakeStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """VOD hears nothing of a task that could not be written down."""
    stage = make()

    def fail(*_: object) -> bool:
        raise InboxUnavailableError("no")

    monkeypatch.setattr(stage.inbox.submissions, "begin", fail)
    with pytest.raises(InboxUnavailableError):
        stage.submit()
    assert stage.asked() == 0


def test_an_id_that_could_not_be_written_is_found_again(make: MakeStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The inbox breaks off after VOD's answer: the next try finds the task."""
    stage = make()
    with monkeypatch.context() as patch:

        def fail(*_: object) -> bool:
            raise InboxUnavailableError("no")

        patch.setattr(stage.inbox.submissions, "note_started", fail)
        with pytest.raises(InboxUnavailableError):
            stage.submit()
    assert stage.recorded().state == "intended"
    assert stage.submit(attempt=2).vod_task_id
    assert stage.started() == 1


@pytest.mark.parametrize("fault", ["drop_response", "truncate", "garbage_json", "http_500", "html_200", "drop_request"])
@pytest.mark.parametrize("late", [0.0, 0.3])
def test_a_lost_answer(make: MakeStage, fault: str, late: float) -> None:
    """Whatever comes instead of an answer, the task is found or the request repeated with the same SessionId."""
    stage = make(listing_delay=late, patience=5.0)
    stage.faults(fault)
    assert stage.submit().vod_task_id
    assert stage.started() == 1
    assert len(set(stage.sessions)) == 1


@pytest.mark.parametrize(
    "hidden", [{"listed_session_id": False}, {"listed_session_id": False, "listed_session_context": False}]
)
@pytest.mark.parametrize("context", [None, "the user's own"])
def test_a_task_that_is_listed_without_its_session(
    make: MakeStage, hidden: dict[str, bool], context: str | None
) -> None:
    """It is told from the many others by its details, also by who uses one SessionContext for all."""
    stage = make(**hidden)
    parameters = EDIT if context is None else {**EDIT, "SessionContext": context}
    others = [stage.submit(key=key_of(number), parameters=parameters).vod_task_id for number in range(3)]
    stage.faults("drop_response")
    found = stage.submit(parameters=parameters)
    assert stage.started() == 4
    assert found.vod_task_id not in others
    assert [start.session_id for start in stage.vod.starts][-1] == found.session_id


def test_a_task_on_the_second_page(make: MakeStage) -> None:
    """A busy application has more tasks than one page of the list holds."""
    stage = make(rate_limit=None)
    stage.faults("drop_response")
    client, session = stage.submitter._client, iter(range(999))
    original = client.call
    calls = []

    def call(action: str, *args: Any, **more: Any) -> Any:
        if action == "DescribeTasks" and not calls:
            calls.append(action)
            for _ in range(120):
                original("EditMedia", {**EDIT, "SessionId": f"other-{next(session)}"})
        return original(action, *args, **more)

    client.call = call  # type: ignore[method-assign]
    found = stage.submit()
    assert stage.asked("DescribeTasks") == 2
    assert next(iter(stage.vod.starts)).vod_task_id == found.vod_task_id


def test_another_inbox_finds_the_task_too(make: MakeStage, tmp_path: Any) -> None:
    """The inbox is lost between two tries: VOD recognises the SessionId, for it does not depend on the inbox."""
    stage = make()
    first = stage.submit()
    store = InboxStore.open(f"sqlite:///{tmp_path / 'other.db'}")
    again = Submitter(client_of(stage.vod), store, settle=0.1, patience=2.0).submit(request(attempt=2))
    store.close()
    assert again.vod_task_id == first.vod_task_id
    assert stage.started() == 1


def test_a_refusal_is_final(make: MakeStage) -> None:
    """VOD refuses a parameter: nothing is repeated, the next try is told the same, and a clear asks with another SessionId."""
    stage = make(refusal_uses_session=True)
    stage.faults("error:InvalidParameterValue.FileId:no such file")
    with pytest.raises(SubmissionRefusedError, match="no such file"):
        stage.submit()
    with pytest.raises(SubmissionRefusedError, match="no such file"):
        stage.submit(attempt=2)
    assert (stage.asked(), stage.started(), stage.recorded().state) == (1, 0, "refused")
    assert stage.submit(attempt=3, life=3).vod_task_id
    assert stage.started() == 1


def test_a_refused_key(make: MakeStage) -> None:
    """Credentials are refused: nothing was started, and the next try asks anew."""
    stage = make()
    stage.faults("auth_failure")
    with pytest.raises(VodAuthenticationError):
        stage.submit()
    assert stage.submit(attempt=2).vod_task_id
    assert stage.started() == 1


def test_a_refusal_after_a_lost_answer(make: MakeStage) -> None:
    """A refusal of the repeated request says nothing about the first: the task may have been started."""
    stage = make(listing_delay=1.0, patience=3.0)
    stage.faults("drop_response", "error:InvalidParameterValue.FileId:deleted meanwhile")
    with pytest.raises(Exception, match="deleted meanwhile") as raised:
        stage.submit()
    assert not isinstance(raised.value, SubmissionRefusedError)
    assert stage.recorded().state == "intended"
    assert stage.submit(attempt=2).vod_task_id
    assert stage.started() == 1


def test_throttling_is_waited_out(make: MakeStage) -> None:
    """A request over the limit was not carried out; where the limit lasts, the error says so and the next try asks again."""
    stage = make(patience=0.5)
    stage.faults("throttled", "throttled")
    assert stage.submit().vod_task_id
    stage.faults(*["throttled"] * 50)
    with pytest.raises(VodThrottledError):
        stage.submit(key=key_of("other"))


def test_a_session_id_that_a_refusal_has_used_up(make: MakeStage) -> None:
    """VOD takes the repeated request for a duplicate although it has started nothing: another SessionId is taken."""
    stage = make(refusal_uses_session=True, patience=0.5)
    stage.faults("error:LimitExceeded:too many tasks")
    assert stage.submit().vod_task_id
    assert stage.started() == 1
    assert len(set(stage.sessions)) == 2


def test_a_duplicate_that_is_never_listed(make: MakeStage) -> None:
    """It is not started again, however often Airflow retries; the next try looks again."""
    stage = make(listing_delay=1000.0, patience=0.5)
    stage.faults("drop_response")
    for attempt in (1, 2):
        with pytest.raises(SubmissionUnknownError, match=r"SessionId af-.*the next try looks again"):
            stage.submit(attempt=attempt)
    assert stage.started() == 1


def test_an_intent_older_than_the_window(make: MakeStage) -> None:
    """VOD no longer recognises its SessionId: nothing is requested, the error has a remedy, and a clear after that is heard."""
    clock = Clock()
    stage = make(clock=clock, listing_delay=10.0**9)
    old = begins(request(), stage.submitter._queue, 1)
    assert stage.inbox.submissions.begin(old)
    clock.now += WINDOW
    for attempt, life in ((2, 2), (3, 2)):
        with pytest.raises(SubmissionLostError, match=f"(?s){old.session_id}.*console.*clear"):
            stage.submit(attempt=attempt, life=life)
    assert stage.asked() == 0
    assert stage.submit(attempt=4, life=4).generation == 2
    assert stage.started() == 1


def test_a_clear_before_anybody_was_told(make: MakeStage) -> None:
    """A clear is no consent to a second task by somebody who has not read that there may be a first."""
    clock = Clock()
    stage = make(clock=clock, listing_delay=10.0**9)
    stage.inbox.submissions.begin(begins(request(), stage.submitter._queue, 1))
    clock.now += WINDOW
    with pytest.raises(SubmissionLostError):
        stage.submit(attempt=2, life=3)
    assert stage.asked() == 0


@pytest.mark.parametrize(("allow", "expected"), [(False, 1), (True, 2)])
def test_an_action_without_session_id(make: MakeStage, allow: bool, expected: int) -> None:
    """At most once, and the error says what to do; at least once only where the user allows a second task."""
    stage = make()
    stage.faults("drop_response", action="CreateAigcAudioTask")
    audio: dict[str, Any] = {"action": ACTIONS["CreateAigcAudioTask"], "parameters": AUDIO, "allow_repeat": allow}
    if allow:
        assert stage.submit(**audio).vod_task_id
    else:
        for attempt in (1, 2):
            with pytest.raises(SubmissionLostError, match=r"no SessionId.*console.*clear"):
                stage.submit(attempt=attempt, **audio)
    assert stage.started() == expected


def test_an_action_without_session_id_that_was_not_reached(make: MakeStage) -> None:
    """A refusal is an answer: nothing was started, so the next try may ask."""
    stage = make()
    stage.faults("auth_failure", action="CreateAigcAudioTask")
    audio: dict[str, Any] = {"action": ACTIONS["CreateAigcAudioTask"], "parameters": AUDIO}
    with pytest.raises(VodAuthenticationError):
        stage.submit(**audio)
    assert stage.submit(attempt=2, **audio).vod_task_id
    assert stage.started() == 1


def test_a_session_id_of_the_users_own(make: MakeStage) -> None:
    """It goes to VOD as it is, and whoever uses it again gets the task that VOD has started with it."""
    stage = make()
    first = stage.submit(session_id="mine")
    other = stage.submit(session_id="mine", key=key_of("other"))
    assert first.vod_task_id == other.vod_task_id
    assert stage.vod.starts.count(session_id="mine") == 1


def test_other_parameters_replace_the_task(make: MakeStage, caplog: pytest.LogCaptureFixture) -> None:
    """The one before is aborted if it has not begun, and named as going on if it has."""
    stage = make()
    stage.vod.hold_tasks("WAITING", sub_app_id=SUB_APP_ID)
    first = stage.submit()
    stage.vod.hold_tasks("PROCESSING", sub_app_id=SUB_APP_ID)
    with caplog.at_level("INFO"):
        second = stage.submit(attempt=2, parameters={**EDIT, "Definition": 20})
        assert f"aborted task {first.vod_task_id}" in caplog.text
        assert "Definition changed" in caplog.text
        third = stage.submit(attempt=3, parameters=EDIT)
    assert f"VOD task {second.vod_task_id} goes on, and is paid for" in caplog.text
    assert [each.generation for each in (first, second, third)] == [1, 2, 3]
    assert stage.started() == 3


def test_an_abort(make: MakeStage) -> None:
    """Only what has not begun is aborted, and what is aborted is started anew by the next try."""
    stage = make()
    stage.vod.hold_tasks("WAITING", sub_app_id=SUB_APP_ID)
    started = stage.submit()
    assert stage.submitter.abort(started, "nobody wants it")
    assert stage.recorded().state == "aborted"
    stage.vod.hold_tasks("PROCESSING", sub_app_id=SUB_APP_ID)
    again = stage.submit(attempt=2)
    assert again.generation == 2
    assert not stage.submitter.abort(again, "nobody wants it")
    assert stage.recorded().state == "started"


def test_an_abort_that_comes_too_late(make: MakeStage) -> None:
    """A triggerer that lets go of a wait aborts nothing that a later try waits for."""
    stage = make()
    stage.vod.hold_tasks("WAITING", sub_app_id=SUB_APP_ID)
    started = stage.submit()
    stage.submit(attempt=2)
    settings = stage.submitter._client.settings
    submission.abort_task(settings, stage.inbox, started.key, "late", attempt=1)
    assert stage.recorded().state == "started"
    submission.abort_task(settings, stage.inbox, started.key, "in time", attempt=2)
    assert stage.recorded().state == "aborted"


def test_two_processes_at_once(make: MakeStage) -> None:
    """Whoever comes second finds the intent of the first and starts nothing of its own."""
    stage = make(patience=5.0)
    begun = begins(request(), stage.submitter._queue, 1)
    stage.inbox.submissions.begin(begun)
    second = stage.submit(attempt=2)
    first = stage.submitter._carry_out(replace(begun, read_at=0.0), request(), unsent=True)
    assert first.vod_task_id == second.vod_task_id
    assert stage.started() == 1


def test_vod_is_away(make: MakeStage) -> None:
    """VOD cannot be reached at all: the error says so, and the next try asks."""
    stage = make(patience=0.2)
    stage.vod.stop()
    with pytest.raises(VodTransientError, match="Connection refused"):
        stage.submit()
    assert stage.recorded().state == "intended"
