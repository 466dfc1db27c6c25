"""Starts VOD tasks exactly once: whoever dies, and whatever answer is lost, one request starts one task.

Invariants: VOD is asked to start a task only after the intent, with its SessionId, is committed in the inbox; a request whose
answer is not known is repeated with the same SessionId or not at all; another SessionId is used only where it is known that
the one before has started nothing, or that its task has ended or is not wanted any more. Where none of that can be known, nothing
is started, and the error says what a person must look for.

Which of these applies is decided in `airflow_vod.inbox.generations`; the table there is the one in ``docs/submit.md``.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_vod.exceptions import (
    SubmissionLostError,
    SubmissionRefusedError,
    SubmissionUnknownError,
    VodApiError,
    VodAuthenticationError,
    VodInvalidRequestError,
    VodThrottledError,
)
from airflow_vod.inbox.generations import TaskRequest, begins, decide, next_session_id
from airflow_vod.inbox.lookup import look, next_event
from airflow_vod.inbox.submissions import ABORTED, DONE, FAILED, INTENDED, LOST, REFUSED, STARTED, Submission
from airflow_vod.tencent.actions import ACTIONS, DUPLICATE_CODES, WINDOW
from airflow_vod.tencent.errors import NotSentError
from airflow_vod.tencent.pacing import pacer
from airflow_vod.tencent.search import find_task

if TYPE_CHECKING:
    from airflow_vod.events.results import TaskResult
    from airflow_vod.inbox import InboxStore
    from airflow_vod.tencent.client import VodClient
    from airflow_vod.tencent.settings import VodSettings

log = logging.getLogger(__name__)

SETTLE = 10.0  # seconds after a request whose answer is not known before it may be repeated
PATIENCE = 120.0  # seconds for which one try looks for a task that VOD has started without telling its id
_MARGIN = 3600.0  # seconds before the end of VOD's window at which it is no longer relied on
_HOPELESS = 3600.0  # seconds after which a task that VOD knows to be a duplicate, but does not list, is given up
_PAUSE = 1.0  # seconds between two looks


@dataclass
class _Known:
    """What one try knows about the requests with one SessionId."""

    unsent: bool
    """Whether it is certain that none of them has been carried out."""
    is_duplicate: bool = False
    """Whether VOD takes the latest for a duplicate."""
    error: VodApiError | None = None
    """What VOD said last."""


class Submitter:
    """Starts VOD tasks of one application.

    :param client: the application.
    :param store: the inbox.
    :param settle: seconds after a request whose answer is not known before it may be repeated.
    :param patience: seconds for which a call of `submit` looks for a task whose id VOD has not told.
    """

    def __init__(
        self,
        client: VodClient,
        store: InboxStore,
        *,
        settle: float = SETTLE,
        patience: float = PATIENCE,
    ) -> None:
        self._client = client
        self._store = store
        self._submissions = store.submissions
        self._queue = client.settings.queue
        self._settle = settle
        self._patience = patience

    def submit(self, request: TaskRequest) -> Submission:
        """Start the task that is requested, or find the one that was started for the same request before.

        :param request: what is to be started, and for whom.
        :return: with the id of the task.
        :raises SubmissionRefusedError: VOD refuses the request.
        :raises SubmissionUnknownError: whether VOD has started the task cannot be found out now; call this again later.
        :raises SubmissionLostError: it cannot be found out at all.
        :raises VodApiError: VOD cannot be asked, and nothing has been started.
        :raises InboxUnavailableError: nothing has been requested that a later call does not find.
        """
        while True:
            current = self._submissions.latest(self._queue, request.key)
            decision = decide(current, request, self._failure(current, request))
            if decision.generation is None and current is not None:
                self._submissions.take_over(current, request.life, request.attempt)
                if current.vod_task_id is not None:
                    log.info("VOD task %s was started for this before", current.vod_task_id)
                    return current
                log.info(
                    "VOD was asked to start this before (SessionId %s), without a known answer", current.session_id
                )
                return self._carry_out(current, request, unsent=False)
            if current is not None:
                log.info("A new VOD task is started, because %s", decision.why)
                self._leave(current)
            begun = begins(request, self._queue, decision.generation or 1)
            if self._submissions.begin(begun):
                return self._carry_out(self._read(begun), request, unsent=True)

    def _read(self, submission: Submission) -> Submission:
        current = self._submissions.read(submission)
        if current is None:
            raise SubmissionUnknownError(
                f"The record of {submission.submitter} was removed from the inbox while VOD was asked to start its task."
            )
        return current

    def _failure(self, current: Submission | None, request: TaskRequest) -> TaskResult | None:
        """Say how the task of an earlier try has failed, as far as the inbox knows."""
        if current is None or current.state != STARTED or current.vod_task_id is None:
            return None
        failed = look(self._store, self._queue, [current.vod_task_id]).failed(request.on_partial)
        return failed[0] if failed else None

    # One submission

    def _carry_out(self, current: Submission, request: TaskRequest, *, unsent: bool) -> Submission:
        """Ask VOD until the id of the task is known.

        :param unsent: whether it is certain that no request with this SessionId has been carried out.
        """
        known = _Known(unsent)
        give_up_monotonic = time.monotonic() + self._patience
        while current.vod_task_id is None:
            if known.is_duplicate or not known.unsent:
                since_intent = not (known.unsent or request.session_id)
                if found := self._find(current, request.session_context(current.session_id), since_intent=since_intent):
                    return self._note_started(current, found, ())
                self._check_hope(current, request, known)
            settled = current.read_at - current.called_at >= self._settle
            may_ask = not known.is_duplicate and (known.unsent or (request.is_repeatable and settled))
            if may_ask and (started := self._ask(current, request, known)) is not None:
                return started
            if time.monotonic() >= give_up_monotonic:
                self._give_up(current, request, known)
                give_up_monotonic = time.monotonic() + self._patience
            time.sleep(min(_PAUSE, self._settle) * random.uniform(0.5, 1.0))  # noqa: S311
            current = self._read(current)
        return current

    def _ask(self, current: Submission, request: TaskRequest, known: _Known) -> Submission | None:
        """Ask VOD once to start the task.

        :param known: what is learnt is written there.
        :return: the submission with its task; None where it is not known, or another process has settled it.
        """
        action = request.action
        if not self._submissions.note_call(current):
            return None
        pacer(self._client.settings.account, action.name).wait()  # last, so that nothing shifts the calls
        try:
            answer = self._client.call(action.name, request.parameters_with(current.session_id), tries=1)
        except VodApiError as error:
            self._judge(error, current, known)
            return None
        vod_task_id = action.task_id(answer)
        if vod_task_id is None:
            why = f"{action.name} was carried out at once and started no task, so there is nothing to wait for."
            self._submissions.set_state(current, REFUSED, why, of={INTENDED})
            raise SubmissionRefusedError(why)
        return self._note_started(current, vod_task_id, action.other_task_ids(answer))

    def _judge(self, error: VodApiError, current: Submission, known: _Known) -> None:
        """Note what an error means, or raise it."""
        known.error = error
        if error.code in DUPLICATE_CODES and ACTIONS[current.action].takes_session_id:
            log.info("VOD has had SessionId %s before (%s); looking for its task", current.session_id, error.code)
            known.is_duplicate = True
        elif isinstance(error, (NotSentError, VodThrottledError)):
            log.info("VOD does not take the request now, trying again: %s", error)
        elif not isinstance(error, (VodInvalidRequestError, VodAuthenticationError)):
            log.warning("VOD did not say whether it has started the task: %s", error)
            known.unsent = False
        elif not known.unsent:
            raise error  # an earlier request may have been carried out all the same
        elif isinstance(error, VodInvalidRequestError):
            self._submissions.set_state(current, REFUSED, error.text, of={INTENDED})
            raise SubmissionRefusedError(error.text) from error
        else:
            self._submissions.set_state(current, FAILED, error.text, of={INTENDED})
            raise error

    def _give_up(self, current: Submission, request: TaskRequest, known: _Known) -> None:
        """End a try that has learnt nothing for too long, unless another SessionId can be taken.

        :raises VodError: it ends.
        """
        if known.unsent and not known.is_duplicate and known.error is not None:
            raise known.error
        if known.unsent and request.session_id is None:
            # VOD has refused all that was sent with this SessionId, and knows it all the same: it is used up.
            log.info("VOD has used up SessionId %s without starting a task; another is taken", current.session_id)
            self._submissions.renew(current, next_session_id(current.session_id))
            known.is_duplicate = False
            return
        if known.is_duplicate and current.read_at - current.intended_at > _HOPELESS:
            raise self._lost(current, "VOD knows the SessionId, but lists no task with it")
        raise SubmissionUnknownError(
            f"VOD does not tell whether it has started {current.action} for {current.submitter} (SessionId "
            f"{current.session_id}). Nothing is requested anew until it does; the next try looks again."
        )

    def _find(self, current: Submission, session_context: str | None, *, since_intent: bool) -> str | None:
        """Look for a task that was started with the SessionId of a submission: in the inbox, then at VOD.

        :param session_context: its ``SessionContext``; None where that is not known.
        :param since_intent: whether it was not started before the submission was intended.
        """
        from airflow_vod.events.matching import EventMatch

        action, since_at = ACTIONS[current.action], current.intended_at if since_intent else None
        if not (action.takes_session_id or action.takes_session_context):
            return None
        name = "session_id" if action.takes_session_id else "session_context"
        match = EventMatch.of(None, {name: current.session_id})
        event, _ = next_event(self._store, self._queue, match, since=since_at or 0.0)
        if event is not None and event.vod_task_id is not None:
            return event.vod_task_id
        try:
            return find_task(self._client, current.session_id, session_context, since_at)
        except VodApiError as error:
            log.warning("VOD does not list its tasks now: %s", error)
            return None

    def _check_hope(self, current: Submission, request: TaskRequest, known: _Known) -> None:
        """Give a submission up whose request cannot be repeated without the risk of a second task.

        :raises SubmissionLostError: it is.
        """
        action = request.action
        if known.unsent:
            return
        if not request.is_repeatable:
            if action.takes_session_context and current.read_at - current.called_at < self._patience:
                return  # VOD may list it yet
            raise self._lost(current, f"{action.name} has no SessionId by which VOD would recognise a repeated request")
        if action.takes_session_id and current.read_at - current.intended_at > WINDOW - _MARGIN:
            raise self._lost(current, f"VOD recognises a SessionId for {WINDOW / 86400:g} days only")

    def _lost(self, current: Submission, reason: str) -> SubmissionLostError:
        when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(current.called_at))
        why = (
            f"At {when} VOD was asked for {current.action} (SessionId {current.session_id}), and its answer was lost. {reason}, "
            "so nothing is requested again. Look in the VOD console for a task of that time. If there is none, or its files "
            "are not wanted, clear this Airflow task: that starts a new one."
        )
        self._submissions.set_state(current, LOST, why, of={INTENDED})
        return SubmissionLostError(why)

    def _note_started(self, current: Submission, vod_task_id: str, others: Sequence[str]) -> Submission:
        written = self._submissions.note_started(current, vod_task_id, others)
        current = self._read(current)
        if not written and current.vod_task_id != vod_task_id:
            log.error("VOD has started %s as well as %s: abort one of them", vod_task_id, current.vod_task_id)
        log.info("VOD task %s: %s for %s", current.vod_task_id, current.action, current.submitter)
        return current

    # What becomes of its task

    def note_done(self, submission: Submission) -> None:
        """Write down that the result is handed over, so that who asks again asks for a new task.

        :raises InboxUnavailableError: the result is unknown; try again.
        """
        self._submissions.set_state(submission, DONE, None, of={STARTED})

    def note_failed(self, submission: Submission, reason: str, *, refused: bool) -> None:
        """Write down that VOD ended the task without success.

        :param reason: for people.
        :param refused: whether another try cannot succeed either.
        :raises InboxUnavailableError: the result is unknown; try again.
        """
        self._submissions.set_state(submission, REFUSED if refused else FAILED, reason, of={STARTED})

    def _leave(self, current: Submission) -> None:
        """Let go of a submission that is replaced: its task is not wanted any more."""
        if current.state == INTENDED:
            found = self._find(current, None, since_intent=True)
            if found is None:
                log.warning(
                    "VOD may have started a task with SessionId %s, which nobody waits for any more", current.session_id
                )
                return
            current = self._note_started(current, found, ())
        if current.state == STARTED and not look(self._store, self._queue, [str(current.vod_task_id)]).complete:
            self.abort(current, "it is replaced by another one")

    def abort(self, submission: Submission, why: str) -> bool:
        """Ask VOD to abort a task. It does so only while the task waits to begin (VOD API, ManageTask).

        :param submission: with a task.
        :param why: for people.
        :return: whether it is aborted.
        :raises InboxUnavailableError: it is aborted, but that is not written down.
        """
        parameters = {"TaskId": submission.vod_task_id, "OperationType": "Abort"}
        try:
            self._client.call("ManageTask", parameters, tries=1)
        except VodApiError as error:
            log.warning(
                "VOD task %s goes on, and is paid for, although %s: VOD aborts only tasks that have not begun. It says: %s",
                submission.vod_task_id,
                why,
                error,
            )
            return False
        log.info("VOD has aborted task %s, because %s", submission.vod_task_id, why)
        self._submissions.set_state(submission, ABORTED, why, of={STARTED})
        return True


def abort_task(settings: VodSettings, store: InboxStore, key: str, why: str, *, attempt: int) -> None:
    """Abort the VOD task that was started for somebody, unless a later try waits for it.

    :param settings: the application.
    :param store: the inbox.
    :param key: of the submission.
    :param why: for people.
    :param attempt: the number of the try that waited for it.
    """
    from airflow_vod.tencent.client import VodClient

    current = store.submissions.latest(settings.queue, key)
    if current is None or current.state != STARTED or current.attempt > attempt:
        return
    client = VodClient(settings)
    try:
        Submitter(client, store).abort(current, why)
    finally:
        client.close()
