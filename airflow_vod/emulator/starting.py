"""What an action that starts tasks does.

Invariants: a refused request starts nothing; a request is counted in `Starts` in the same moment as it starts something, before
its answer is sent, so that an answer that gets lost does not change the count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow_vod.emulator.content import file_id
from airflow_vod.emulator.errors import ApiError
from airflow_vod.emulator.outputs import SECONDS, Job, meta_data, url_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_vod.emulator.application import Application
    from airflow_vod.emulator.starter import Starter

MAX_SESSION_ID = 50
"""Characters (documented)."""
MAX_SESSION_CONTEXT = 1000
"""Characters (documented)."""


def start(app: Application, starter: Starter, params: Mapping[str, Any]) -> dict[str, Any]:
    """Carry out a request.

    :param app: the application.
    :param starter: the action.
    :param params: as given, by their names on the wire.
    :return: the members of the answer.
    :raises ApiError: when it is refused.
    """
    session_id = params.get("SessionId") or ""
    if len(session_id) > MAX_SESSION_ID:
        raise ApiError("InvalidParameterValue.SessionIdTooLong", f"At most {MAX_SESSION_ID} characters are allowed.")
    if len(params.get("SessionContext") or "") > MAX_SESSION_CONTEXT:
        text = f"At most {MAX_SESSION_CONTEXT} characters are allowed."
        raise ApiError("InvalidParameterValue.SessionContextTooLong", text)
    starter.check(params)
    app.use_session(starter, session_id)
    answer = _FORMS[starter.form](app, starter, params)
    app.note_start(starter.action, session_id, answer[starter.answers])
    return answer


def _task(app: Application, starter: Starter, params: Mapping[str, Any]) -> dict[str, Any]:
    return {"TaskId": app.runner.start(starter.kind, params, starter.action)}


def _flow(app: Application, starter: Starter, params: Mapping[str, Any]) -> dict[str, Any]:
    started = app.runner.flow(params["ProcedureName"], params, starter.action)
    return {
        "TaskId": started.procedure,
        "ReviewAudioVideoTaskId": started.review,
        "ImportMediaKnowledgeTaskIdSet": list(started.knowledge),
    }


def _clip(app: Application, starter: Starter, params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a clip at once; what makes it permanent is announced as such, and may go on with a task flow."""
    job = Job(uuid4().hex, params, app.sub_app_id, 0.0)
    stored = bool(params.get("IsPersistence"))
    output = file_id(job.vod_task_id) if stored else ""
    answer = {
        "Url": url_of(job, output or "clip", "playlist.m3u8"),
        "FileId": output,
        "MetaData": meta_data("m3u8", SECONDS),
    }
    followed = app.runner.follow(params.get("Procedure") or "" if stored else "", output)
    if stored:
        app.announce_persistence(output, starter.action)
    return {**answer, starter.answers: followed.procedure}


_FORMS = {"task": _task, "flow": _flow, "clip": _clip}
