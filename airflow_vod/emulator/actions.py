"""What each action of the VOD API does, and which parameters it has.

Invariant: an action either ends its exchange once (now or, for a held PullEvents, later) or raises an `ApiError`.

Source: VOD API 2018-07-17, the pages of the actions below.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_vod.emulator.content import to_json, with_handle
from airflow_vod.emulator.errors import ApiError, bad_value, missing
from airflow_vod.emulator.parameters import INTEGER, OBJECT, OBJECTS, STRING, STRINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_vod.emulator.application import Application
    from airflow_vod.emulator.exchange import Exchange
    from airflow_vod.emulator.queue import Delivery

Parameters = dict[str, Any]


def _members(content: Mapping[str, Any]) -> bytes:
    return to_json(content)[1:-1]


def pull_events(app: Application, params: Parameters, exchange: Exchange) -> None:
    """Hand out up to 16 events, now or within the hold."""
    mode = app.options.pull_in_push_mode if app.config.mode == "PUSH" else "serve"
    if mode == "error":
        raise ApiError("FailedOperation", "The event notification mode is not PULL.")
    queue = app.queue if mode == "serve" else app.silence

    def answer(deliveries: Sequence[Delivery]) -> None:
        if deliveries:
            exchange.deliver(queue, [d.handle for d in deliveries])
            events = b",".join([with_handle(d.handle, d.body) for d in deliveries])
            exchange.succeed(b'"EventSet":[%b]' % events, len(deliveries))
        elif app.options.empty == "resource_not_found":
            exchange.refuse(ApiError("ResourceNotFound", "no event"))
        else:
            exchange.succeed(b'"EventSet":null' if app.options.empty == "null" else b'"EventSet":[]')

    exchange.wait_in(queue, answer)


def confirm_events(app: Application, params: Parameters, exchange: Exchange) -> None:
    """Remove delivered events from the queue."""
    handles = params["EventHandles"]
    if not 0 < len(handles) <= 16:
        raise bad_value("EventHandles", f"1 to 16 handles are allowed, got {len(handles)}")
    exchange.events = len(handles)
    policy = app.options.bad_handle
    if policy == "all_or_nothing" and (not all(map(app.queue.good, handles)) or len(set(handles)) < len(handles)):
        raise bad_value("EventHandles", "a handle is unknown or has expired, nothing was confirmed")
    if app.queue.confirm(handles) and policy != "lenient":
        raise bad_value("EventHandles", "a handle is unknown or has expired")
    exchange.succeed(b"", len(handles))


def describe_events_state(app: Application, params: Parameters, exchange: Exchange) -> None:
    """Tell about how many events wait."""
    exchange.succeed(_members({"CountOfEventsToPull": app.events_to_pull()}))


def describe_event_config(app: Application, params: Parameters, exchange: Exchange) -> None:
    """Show how the application is told of events."""
    exchange.succeed(_members(app.config.describe()))


def modify_event_config(app: Application, params: Parameters, exchange: Exchange) -> None:
    """Change how the application is told of events; what is not given stays."""
    checks: dict[str, tuple[str, Callable[[str], bool]]] = {
        "Mode": ("mode", ("PUSH", "PULL").__contains__),
        "NotificationUrl": ("notification_url", lambda url: not url or urlsplit(url).scheme in ("http", "https")),
        "SignKey": ("sign_key", lambda key: re.fullmatch(r"[A-Za-z0-9]{0,32}", key) is not None),
    }
    for kind in ("UploadMedia", "DeleteMedia", "Persistence"):
        prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", kind).lower()
        checks[f"{kind}CompleteEventSwitch"] = (f"{prefix}_complete_event_switch", ("ON", "OFF").__contains__)
    changes = {}
    for name, (attribute, allowed) in checks.items():
        if name in params:
            if not allowed(params[name]):
                raise ApiError("InvalidParameter", f"The value of parameter `{name}` is not valid.")
            changes[attribute] = params[name]
    for attribute, value in changes.items():
        setattr(app.config, attribute, value)
    exchange.succeed(b"")


def describe_task_detail(app: Application, params: Parameters, exchange: Exchange) -> None:
    """Show a task."""
    task = app.tasks.get(params["TaskId"])
    if task is None:
        raise ApiError(app.options.unknown_task, "The task does not exist.")
    exchange.succeed(_members(task.describe(null_fields=app.options.null_fields)))


def edit_media(app: Application, params: Parameters, exchange: Exchange) -> None:
    """Start a task that splices files or cuts a stream."""
    kind = params["InputType"]
    if kind not in ("File", "Stream"):
        raise ApiError("InvalidParameterValue.InputType", "InputType must be File or Stream.")
    sources = "FileInfos" if kind == "File" else "StreamInfos"
    if not params.get(sources):
        raise missing(sources)
    key = "FileId" if kind == "File" else "StreamId"
    if not all(isinstance(source.get(key), str) and source[key] for source in params[sources]):
        raise missing(f"{sources}.N.{key}")
    exchange.succeed(_members({"TaskId": app.submit_edit(params)}))


@dataclass(frozen=True, slots=True)
class Action:
    """One row of the table of actions."""

    run: Callable[[Application, Parameters, Exchange], None]
    parameters: Mapping[str, str]
    required: tuple[str, ...] = ()
    lists_sub_app_error: bool = False
    """Whether its page lists InvalidParameterValue.SubAppId."""


_COMMON = {"SubAppId": INTEGER, "ExtInfo": STRING}
_APP = {"SubAppId": INTEGER}
ACTIONS: Mapping[str, Action] = {
    "PullEvents": Action(pull_events, _COMMON),
    "ConfirmEvents": Action(confirm_events, {**_COMMON, "EventHandles": STRINGS}, ("EventHandles",)),
    "DescribeEventsState": Action(describe_events_state, _APP),
    "DescribeEventConfig": Action(describe_event_config, _APP),
    "ModifyEventConfig": Action(
        modify_event_config,
        {
            **_APP,
            "Mode": STRING,
            "NotificationUrl": STRING,
            "UploadMediaCompleteEventSwitch": STRING,
            "DeleteMediaCompleteEventSwitch": STRING,
            "PersistenceCompleteEventSwitch": STRING,
            "SignKey": STRING,
        },
    ),
    "DescribeTaskDetail": Action(describe_task_detail, {**_APP, "TaskId": STRING}, ("TaskId",), True),
    "EditMedia": Action(
        edit_media,
        {
            **_COMMON,
            "InputType": STRING,
            "FileInfos": OBJECTS,
            "StreamInfos": OBJECTS,
            "Definition": INTEGER,
            "ProcedureName": STRING,
            "OutputConfig": OBJECT,
            "SessionContext": STRING,
            "TasksPriority": INTEGER,
            "SessionId": STRING,
        },
        ("InputType",),
        True,
    ),
}
