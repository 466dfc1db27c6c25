"""The control API, for other processes and shell users.

    POST   /_emulator/publish  {"event": {...}, "sub_app_id": 0}, or {"events": [{...}, ...]},
                               or, for a splice, {"vod_task_id": "...", "files": ["http://..."]}
    POST   /_emulator/tasks    {"vod_task_id": "...", "task_type": "EditMedia", "status": "FINISH", "detail": {...}}
    POST   /_emulator/tasks/hold    {"status": "WAITING", "action": "EditMedia"}: tasks to come stay there; null lets them go on
    POST   /_emulator/tasks/fail    {"failure": {"err_code": 60000}, "action": "EditMedia"}: the next task fails
    POST   /_emulator/tasks/finish  {"vod_task_id": "...", "failure": {...}}: the task ends now
    GET    /_emulator/starts   {"counters": action to SessionId to number, "starts": [...]}, newest last; ?limit=100
    POST   /_emulator/faults   {"script": {"ConfirmEvents": ["drop_response"]}},
                               or {"chaos": {"seed": 1, "odds": {"internal_error": 0.1}, "actions": ["PullEvents"]}}
    GET    /_emulator/faults   {"pending": ..., "ledger": [...]}
    DELETE /_emulator/faults   removes faults that have not fired
    GET    /_emulator/calls    {"counters": ..., "calls": [...]}, newest last; ?limit=100
    GET    /_emulator/queues   SubAppId to counts

Invariant: an invalid request is answered with HTTP 400 and the reason, and changes nothing. There is no authentication: bind the
emulator to the local machine only.
"""

from __future__ import annotations

import functools
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.responses import JSONResponse

from airflow_vod.emulator.content import concat_complete
from airflow_vod.emulator.options import TaskFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from starlette.requests import Request as HttpRequest

    from airflow_vod.emulator.api import VodApi
    from airflow_vod.emulator.runner import TaskRunner

    Handler = Callable[["Control", HttpRequest], Coroutine[Any, Any, JSONResponse]]

T = TypeVar("T")


def explained(handler: Handler) -> Handler:
    """Answer invalid requests with HTTP 400 and the reason.

    :param handler: of the control API; raises for an invalid request.
    :return: the wrapped handler.
    """

    @functools.wraps(handler)
    async def explain(control: Control, request: HttpRequest) -> JSONResponse:
        try:
            return await handler(control, request)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            return JSONResponse({"error": repr(error)}, status_code=400)

    return explain


class Control:
    """The handlers of the control API.

    :param api: the state.
    """

    def __init__(self, api: VodApi) -> None:
        self._api = api

    @explained
    async def publish(self, request: HttpRequest) -> JSONResponse:
        """Publish events."""
        given = await _json_object(request)
        events = list(given.get("events") or ())
        if "event" in given:
            events.append(given["event"])
        if "vod_task_id" in given:
            events.append(concat_complete(given["vod_task_id"], given.get("files") or ()))
        if not events or not all(isinstance(event, dict) for event in events):
            raise ValueError("give `event`, `events`, or `vod_task_id` with `files`; an event is an object")
        for event in events:
            self._api.publish(event, int(given.get("sub_app_id") or 0))
        return JSONResponse({"published": len(events)})

    @explained
    async def tasks(self, request: HttpRequest) -> JSONResponse:
        """Register a task for DescribeTaskDetail."""
        given = await _json_object(request)
        self._api.add_task(int(given.pop("sub_app_id", 0)), **given)
        return JSONResponse({"added": 1})

    @explained
    async def hold_tasks(self, request: HttpRequest) -> JSONResponse:
        """Hold the tasks to come at a status, or let them go on."""
        given = await _json_object(request)
        status, action = given["status"], given.get("action")
        self._with_runner(given, lambda runner: runner.script.hold(status, action))
        return JSONResponse({"held_at": status})

    @explained
    async def fail_task(self, request: HttpRequest) -> JSONResponse:
        """Let the next task fail."""
        given = await _json_object(request)
        failure, action = TaskFailure(**given.get("failure") or {}), given.get("action")
        self._with_runner(given, lambda runner: runner.script.fail_next(failure, action))
        return JSONResponse({"failure": asdict(failure)})

    @explained
    async def finish_task(self, request: HttpRequest) -> JSONResponse:
        """End a task now."""
        given = await _json_object(request)
        vod_task_id = given["vod_task_id"]
        failure = TaskFailure(**given["failure"]) if given.get("failure") else None
        self._with_runner(given, lambda runner: runner.finish(vod_task_id, failure))
        return JSONResponse({"finished": vod_task_id})

    @explained
    async def starts(self, request: HttpRequest) -> JSONResponse:
        """Return the newest started tasks and the counters."""
        starts = self._api.starts
        newest = [asdict(start) for start in _newest(starts, request)]
        return JSONResponse({"counters": starts.counters, "starts": newest})

    @explained
    async def add_faults(self, request: HttpRequest) -> JSONResponse:
        """Script faults, or make them random."""
        given = await _json_object(request)
        if "chaos" in given:
            self._api.faults.chaos(**given["chaos"])
        else:
            self._api.faults.script(given["script"])
        return await self.show_faults(request)

    async def show_faults(self, request: HttpRequest) -> JSONResponse:
        """Return faults that have not fired yet, and those that have."""
        faults = self._api.faults
        ledger = [asdict(fired) for fired in faults.ledger.copy()]
        return JSONResponse({"pending": faults.pending, "ledger": ledger})

    async def clear_faults(self, request: HttpRequest) -> JSONResponse:
        """Remove faults that have not fired yet."""
        self._api.faults.clear()
        return await self.show_faults(request)

    @explained
    async def calls(self, request: HttpRequest) -> JSONResponse:
        """Return the newest calls and the counters."""
        newest = [asdict(call) for call in _newest(self._api.calls, request)]
        return JSONResponse({"counters": self._api.calls.counters, "calls": newest})

    async def queues(self, request: HttpRequest) -> JSONResponse:
        """Return the counts of every queue used so far."""
        ids = self._api.sub_app_ids()
        return JSONResponse({str(sub_app_id): asdict(self._api.counts(sub_app_id)) for sub_app_id in ids})

    def _with_runner(self, given: dict[str, Any], run: Callable[[TaskRunner], None]) -> None:
        self._api.with_application(int(given.get("sub_app_id") or 0), lambda application: run(application.runner))


def _newest(log: Iterable[T], request: HttpRequest) -> list[T]:
    limit = int(request.query_params.get("limit", "100"))
    return list(log)[-limit:] if limit > 0 else []


async def _json_object(request: HttpRequest) -> dict[str, Any]:
    given = json.loads(await request.body())
    if not isinstance(given, dict):
        raise TypeError("the body must be a JSON object")
    return given
