"""Faults of starting VOD tasks."""

from __future__ import annotations

import itertools
from typing import Any

from airflow_vod import submission
from airflow_vod.inbox.generations import Decision, TaskRequest
from airflow_vod.submission import Submitter
from tests.simulation.faults.planting import Set, fault_of

bug = fault_of("submissions")


@bug
def another_session_id_each_time(change: Set) -> None:
    """A repeated request has a SessionId of its own."""
    parameters_with, count = TaskRequest.parameters_with, itertools.count()
    change(
        TaskRequest,
        "parameters_with",
        lambda self, session_id: parameters_with(self, f"{session_id}{next(count)}"[-50:]),
    )


@bug
def every_request_is_repeatable(change: Set) -> None:
    """A request that VOD cannot recognise is repeated all the same."""
    change(TaskRequest, "is_repeatable", property(lambda self: True))


@bug
def nothing_was_sent(change: Set) -> None:
    """A try that takes over believes that nothing was sent before."""
    carry_out = Submitter._carry_out
    change(
        Submitter,
        "_carry_out",
        lambda self, current, request, *, unsent: carry_out(self, current, request, unsent=True),
    )


@bug
def duplicates_are_refusals(change: Set) -> None:
    """VOD's word that it has had a SessionId counts as a refusal."""
    change(submission, "DUPLICATE_CODES", frozenset())


@bug
def a_retry_means_a_new_task(change: Set) -> None:
    """Another try of the same Airflow task starts another VOD task."""
    decide = submission.decide

    def eager(current: Any, request: TaskRequest, failure: Any = None) -> Decision:
        if current is not None and current.vod_task_id is not None and current.attempt != request.attempt:
            return Decision(current.generation + 1, "it is tried again")
        return decide(current, request, failure)

    change(submission, "decide", eager)


@bug
def the_end_is_not_written(change: Set) -> None:
    """That a result was handed over is not written down."""
    change(Submitter, "note_done", lambda self, done: None)


@bug
def any_task_will_do(change: Set) -> None:
    """The newest task that VOD lists is taken for the one that was requested."""

    def newest(client: Any, *_: Any) -> str | None:
        listed = client.call("DescribeTasks", {"Limit": 1})["TaskSet"]
        return listed[0]["TaskId"] if listed else None

    change(submission, "find_task", newest)


@bug
def a_lost_answer_is_a_failure(change: Set) -> None:
    """A request whose answer was lost counts as one that was not carried out."""
    judge = Submitter._judge

    def forgetful(self: Submitter, error: Any, current: Any, known: Any) -> None:
        judge(self, error, current, known)
        known.unsent = True

    change(Submitter, "_judge", forgetful)
