from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from airflow_vod.exceptions import InboxError
from airflow_vod.inbox import InboxStore
from airflow_vod.inbox.submissions import KEPT, KEPT_UNKNOWN, STATES, Submission, Submissions
from tests.samples import Clock

KEY = "k" * 64


def intent(owner: str = "one", generation: int = 1, key: str = KEY) -> Submission:
    """A task that is going to be started."""
    return Submission("queue", key, generation, "session", "EditMedia", {"X": "1"}, "dag/run/task", owner, 2, 1)


@pytest.fixture
def submissions(inbox: InboxStore) -> Submissions:
    """None yet."""
    return inbox.submissions


def test_one_process_begins(submissions: Submissions) -> None:
    """Of two processes that write the same key and generation, the second is told that it has not begun."""
    assert submissions.begin(intent("one"))
    assert not submissions.begin(intent("two"))
    found = submissions.latest("queue", KEY)
    assert found is not None
    assert found == replace(
        intent("one"), intended_at=found.intended_at, called_at=found.intended_at, read_at=found.read_at
    )
    assert found.read_at >= found.intended_at > 0


def test_the_latest_generation_counts(submissions: Submissions) -> None:
    """A key has its newest generation; another key and another queue have none."""
    assert submissions.latest("queue", KEY) is None
    for generation in (1, 2, 10):
        assert submissions.begin(intent(generation=generation))
    found = submissions.latest("queue", KEY)
    assert found is not None
    assert found.generation == 10
    assert submissions.latest("queue", "other") is submissions.latest("other", KEY) is None


def test_a_task_id_stays(submissions: Submissions) -> None:
    """The id that was written first is never replaced, and is found again by itself."""
    submissions.begin(intent())
    assert submissions.note_started(intent(), "Edit-1", ["Review-1"])
    assert not submissions.note_started(intent(), "Edit-2")
    found = submissions.of_task("queue", "Edit-1")
    assert found is not None
    assert (found.state, found.vod_task_id, found.other_task_ids) == ("started", "Edit-1", ("Review-1",))
    assert submissions.of_task("queue", "Edit-2") is None


def test_vod_is_asked_only_for_an_open_intent(submissions: Submissions) -> None:
    """A process that was stalled must not ask for what was settled meanwhile, or has another SessionId."""
    submissions.begin(intent())
    assert submissions.note_call(intent())
    assert submissions.renew(intent(), "another")
    assert not submissions.note_call(intent())
    assert not submissions.renew(intent(), "a third")
    renewed = replace(intent(), session_id="another")
    assert submissions.note_call(renewed)
    submissions.note_started(renewed, "Edit-1")
    assert not submissions.note_call(renewed)


def test_states_follow_each_other(submissions: Submissions) -> None:
    """A state is written only where the one before is as expected, and a reason of any length fits."""
    submissions.begin(intent())
    assert not submissions.set_state(intent(), "aborted", None, of={"started"})
    submissions.note_started(intent(), "Edit-1")
    assert submissions.set_state(intent(), "failed", "x" * 9999, of={"started"})
    assert not submissions.set_state(intent(), "done", None, of={"started"})
    found = submissions.read(intent())
    assert found is not None
    assert found.state == "failed"
    assert found.message is not None


def test_an_impossible_state_is_refused(submissions: Submissions) -> None:
    """No database keeps a started task without its id."""
    submissions.begin(intent())
    with pytest.raises(InboxError):
        submissions.set_state(intent(), "done", None, of=STATES)


def test_a_later_try_takes_over(submissions: Submissions) -> None:
    """The newest try is on record, also where a process of an older one speaks last."""
    submissions.begin(intent())
    submissions.take_over(intent(), 3, 5)
    submissions.take_over(intent(), 3, 4)
    found = submissions.read(intent())
    assert found is not None
    assert (found.life, found.attempt) == (3, 5)


def test_pruning_keeps_what_vod_remembers(open_inbox: Callable[..., InboxStore]) -> None:
    """Nothing goes while VOD may recognise its SessionId, however short events are kept; what is unknown stays longer."""
    clock = Clock()
    inbox = open_inbox(clock=clock)
    inbox.submissions.begin(intent(key="known"))
    inbox.submissions.note_started(intent(key="known"), "Edit-1")
    inbox.submissions.begin(intent(key="unknown"))

    def kept() -> list[bool]:
        inbox.prune(60.0)
        return [inbox.submissions.latest("queue", key) is not None for key in ("known", "unknown")]

    clock.now += KEPT - 1
    assert kept() == [True, True]
    clock.now += 2
    assert kept() == [False, True]
    clock.now += KEPT_UNKNOWN
    assert kept() == [False, False]
    assert KEPT > 7 * 86400
