"""The VOD tasks that were to be started, and what became of each.

Invariants: a submission is in here before VOD hears of it; of one key and generation there is one row, whoever writes it; a VOD
task id that was written once is never replaced; no row is removed while VOD may still recognise its SessionId.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, case, delete, select, update

from airflow_vod.inbox.columns import ID_LENGTH
from airflow_vod.inbox.tables import vod_submission
from airflow_vod.inbox.values import checked_id, small_json, storable

if TYPE_CHECKING:
    from airflow_vod.inbox.database import Database

INTENDED, STARTED, DONE = "intended", "started", "done"
FAILED, REFUSED, ABORTED, LOST = "failed", "refused", "aborted", "lost"
STATES: Mapping[str, str] = {
    INTENDED: "VOD was asked to start it, or was about to be; its task id is not known",
    STARTED: "VOD has started it",
    DONE: "its result was handed over",
    FAILED: "VOD ended it without success, and another try may succeed",
    REFUSED: "VOD refuses what it is to be made of",
    ABORTED: "VOD was asked to abort it before it began, and did",
    LOST: "whether VOD has started it cannot be found out any more",
}
"""What a submission can be."""

KEPT = 9 * 86400.0
"""Seconds for which a submission is kept at least: VOD recognises a SessionId for up to seven days."""
KEPT_UNKNOWN = 90 * 86400.0
"""Seconds for which one is kept of which it is not known whether it started a task."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One VOD task that was to be started.

    :param queue: name of the application's queue.
    :param key: of whom it is to be started for; the same at each try.
    :param generation: 1 for the first task of this key, and one more for each that replaces another.
    :param session_id: the ``SessionId`` with which it is requested.
    :param action: the action of the VOD API.
    :param parameters: a digest of each parameter, by its name.
    :param submitter: its name, for people: ``dag/run/task``.
    :param owner: the process that wrote it.
    :param life: of the Airflow task: changes when somebody clears it, and not when Airflow retries it.
    :param attempt: the number of the try that waits for it, or did last.
    :param state: one of `STATES`.
    :param message: why it is in that state; None where that says it all.
    :param vod_task_id: the task; None while it is not known.
    :param other_task_ids: further tasks that the same request started.
    :param intended_at: Unix seconds by the database's clock.
    :param called_at: Unix seconds by the database's clock just before VOD was last asked to start it.
    :param read_at: Unix seconds by the database's clock when this was read.
    """

    queue: str
    key: str
    generation: int
    session_id: str
    action: str
    parameters: Mapping[str, str]
    submitter: str
    owner: str
    life: int
    attempt: int
    state: str = INTENDED
    message: str | None = None
    vod_task_id: str | None = None
    other_task_ids: Sequence[str] = field(default_factory=tuple)
    intended_at: float = 0.0
    called_at: float = 0.0
    read_at: float = 0.0


_COLUMNS = [vod_submission.c[each.name] for each in fields(Submission) if each.name != "read_at"]


class Submissions:
    """The submissions in one database.

    :param database: with the tables in it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        table, now = vod_submission.c, database.now
        of_queue, of_key = bindparam("of_queue", type_=table.queue.type), bindparam("of_key", type_=table.key.type)
        in_queue = table.queue == of_queue, table.key == of_key
        this = *in_queue, table.generation == bindparam("of_generation", type_=table.generation.type)
        columns = select(*_COLUMNS, now.label("read_at"))
        self._now = select(now.label("now"))
        self._read = columns.where(*this)
        self._latest = columns.where(*in_queue).order_by(table.generation.desc()).limit(1)
        self._of_task = columns.where(
            table.vod_task_id == bindparam("of_task", type_=table.vod_task_id.type), table.queue == of_queue
        )
        self._add = database.dialect.upsert(vod_submission, ())
        change = update(vod_submission).where(*this)
        same_session = table.session_id == bindparam("of_session", type_=table.session_id.type)
        self._note_call = change.where(same_session, table.state == INTENDED).values(called_at=now, updated_at=now)
        self._renew = change.where(same_session, table.state == INTENDED).values(
            session_id=bindparam("new_session"), called_at=now, updated_at=now
        )
        self._note_started = change.where(table.vod_task_id.is_(None)).values(
            vod_task_id=bindparam("task"),
            other_task_ids=bindparam("others"),
            state=STARTED,
            message=None,
            updated_at=now,
        )
        from_states = table.state.in_(bindparam("from_states", expanding=True, type_=table.state.type))
        self._set_state = change.where(from_states).values(
            state=bindparam("to_state"), message=bindparam("why"), updated_at=now
        )
        newer = bindparam("by_attempt", type_=table.attempt.type)
        life = bindparam("by_life", type_=table.life.type)
        self._take_over = change.values(
            life=case((table.attempt > newer, table.life), else_=life),
            attempt=case((table.attempt > newer, table.attempt), else_=newer),
            updated_at=now,
        )
        cutoff = bindparam("cutoff", type_=table.updated_at.type)
        old, is_unknown = delete(vod_submission).where(table.updated_at < cutoff), table.state.in_((INTENDED, LOST))
        self._prune = (old.where(~is_unknown), old.where(is_unknown))

    def latest(self, queue: str, key: str) -> Submission | None:
        """Read the newest submission of a key.

        :raises InboxUnavailableError: the database does not answer now.
        """
        return self._one(self._latest, {"of_queue": queue, "of_key": key})

    def read(self, submission: Submission) -> Submission | None:
        """Read a submission anew; None if it was removed.

        :raises InboxUnavailableError: the database does not answer now.
        """
        return self._one(self._read, _this(submission))

    def of_task(self, queue: str, vod_task_id: str) -> Submission | None:
        """Find the submission that started a VOD task; None if there is none in this inbox.

        :raises InboxUnavailableError: the database does not answer now.
        """
        return self._one(self._of_task, {"of_queue": queue, "of_task": vod_task_id})

    def _one(self, statement: Any, values: dict[str, Any]) -> Submission | None:
        with self._database.read() as connection:
            row = connection.execute(statement, values | self._database.times()).first()
        return None if row is None else _submission(row)

    def begin(self, submission: Submission) -> bool:
        """Write down that VOD is going to be asked to start a task.

        :param submission: its state and times are ignored.
        :return: False where another process has written down the same key and generation already: then it has begun.
        :raises InboxError: an id is not valid.
        :raises InboxUnavailableError: nothing is written, or the result is unknown; then `latest` tells.
        """
        row = _row(submission)
        with self._database.write() as connection:
            now = connection.execute(self._now, self._database.times()).scalar()
            connection.execute(self._add, row | {"intended_at": now, "called_at": now, "updated_at": now})
            written = connection.execute(self._read, _this(submission) | self._database.times()).one()
        return bool(written.owner == row["owner"])

    def note_call(self, submission: Submission) -> bool:
        """Write down that VOD is asked now.

        :return: False where that must not be: the submission is no longer `INTENDED`, or has another SessionId.
        :raises InboxUnavailableError: do not ask; the result is unknown.
        """
        return self._change(self._note_call, submission, of_session=submission.session_id)

    def renew(self, submission: Submission, session_id: str) -> bool:
        """Replace a SessionId with which VOD has started nothing.

        :return: False where the submission is no longer `INTENDED`, or has another SessionId.
        :raises InboxUnavailableError: the result is unknown; then `read` tells.
        """
        return self._change(self._renew, submission, of_session=submission.session_id, new_session=session_id)

    def note_started(self, submission: Submission, vod_task_id: str, others: Sequence[str] = ()) -> bool:
        """Write down the task that VOD has started.

        :return: False where one was written down before, which stays.
        :raises InboxUnavailableError: the result is unknown; try again.
        """
        values = {"task": checked_id(vod_task_id, "A VOD task id"), "others": json.dumps(list(others))}
        return self._change(self._note_started, submission, **values)

    def take_over(self, submission: Submission, life: int, attempt: int) -> None:
        """Write down which try waits for it now, unless a later one does.

        :raises InboxUnavailableError: the result is unknown; try again.
        """
        self._change(self._take_over, submission, by_life=life, by_attempt=attempt)

    def set_state(self, submission: Submission, state: str, why: str | None, *, of: Collection[str]) -> bool:
        """Write down what has become of it.

        :param state: one of `STATES`.
        :param why: for people; None where the state says it all.
        :param of: the states from which it may get there.
        :return: False where it is in another state.
        :raises InboxUnavailableError: the result is unknown; try again.
        """
        message = None if why is None else storable(why)
        return self._change(self._set_state, submission, to_state=state, why=message, from_states=sorted(of))

    def _change(self, statement: Any, submission: Submission, **values: Any) -> bool:
        with self._database.write() as connection:
            done = connection.execute(statement, _this(submission) | values | self._database.times())
            return bool(done.rowcount)

    def prune(self, now: float, older_than: float) -> int:
        """Remove submissions that nobody has touched for long.

        :param now: Unix seconds by the database's clock.
        :param older_than: seconds; never fewer than `KEPT`, and `KEPT_UNKNOWN` where the task id is not known.
        :return: how many were removed.
        :raises InboxUnavailableError: the database does not answer now.
        """
        cutoffs = (now - max(older_than, KEPT), now - max(older_than, KEPT_UNKNOWN))
        with self._database.write() as connection:
            pairs = zip(self._prune, cutoffs, strict=True)
            return sum(connection.execute(each, {"cutoff": cutoff}).rowcount for each, cutoff in pairs)


def _this(submission: Submission) -> dict[str, Any]:
    return {"of_queue": submission.queue, "of_key": submission.key, "of_generation": submission.generation}


def _row(submission: Submission) -> dict[str, Any]:
    return {
        "queue": checked_id(submission.queue, "The name of a queue"),
        "key": submission.key,
        "generation": submission.generation,
        "session_id": checked_id(submission.session_id, "A SessionId"),
        "action": checked_id(submission.action, "The name of an action"),
        "parameters": small_json(submission.parameters, "The digests of parameters"),
        "submitter": storable(submission.submitter),
        "owner": storable(submission.owner, ID_LENGTH),
        "life": submission.life,
        "attempt": submission.attempt,
        "state": INTENDED,
        "message": None,
        "vod_task_id": None,
        "other_task_ids": "[]",
    }


def _submission(row: Any) -> Submission:
    values = dict(row._mapping)
    return Submission(
        **values
        | {
            "parameters": json.loads(values["parameters"]),
            "other_task_ids": tuple(json.loads(values["other_task_ids"])),
        }
    )
