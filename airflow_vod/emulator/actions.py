"""What each action of the VOD API does.

Invariant: an action either answers its exchange exactly once (now or, for a held PullEvents, later) or raises an `ApiError`.

Source: VOD API 2018-07-17, the pages of the actions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic
from urllib.parse import urlsplit

from pydantic.alias_generators import to_pascal

from airflow_vod.emulator.content import to_json, with_handle
from airflow_vod.emulator.errors import ApiError, bad_value
from airflow_vod.emulator.listing import page
from airflow_vod.emulator.parameters import (
    ConfirmEvents,
    DescribeTaskDetail,
    DescribeTasks,
    ManageTask,
    ModifyEventConfig,
    P,
    Parameters,
    PullEvents,
)
from airflow_vod.emulator.schemas import model_of
from airflow_vod.emulator.starters import STARTERS
from airflow_vod.emulator.starting import start

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_vod.emulator.application import Application
    from airflow_vod.emulator.exchange import Exchange
    from airflow_vod.emulator.queue import Delivery
    from airflow_vod.emulator.starter import Starter

MAX_HANDLES = 16
"""Per ConfirmEvents (documented)."""


def _members(content: Mapping[str, Any]) -> bytes:
    return to_json(content)[1:-1]


def pull_events(app: Application, params: PullEvents, exchange: Exchange) -> None:
    """Deliver up to 16 events, now or within the hold."""
    mode = app.options.pull_in_push_mode if app.config.mode == "PUSH" else "serve"
    if mode == "error":
        raise ApiError("FailedOperation", "The event notification mode is not PULL.")
    queue = app.queue if mode == "serve" else app.empty_queue

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


def confirm_events(app: Application, params: ConfirmEvents, exchange: Exchange) -> None:
    """Remove delivered events from the queue."""
    handles = params.event_handles
    if not 0 < len(handles) <= MAX_HANDLES:
        raise bad_value("EventHandles", f"1 to {MAX_HANDLES} handles are allowed, got {len(handles)}")
    exchange.events = len(handles)
    policy = app.options.bad_handle
    if policy == "all_or_nothing" and (not all(map(app.queue.valid, handles)) or len(set(handles)) < len(handles)):
        raise bad_value("EventHandles", "a handle is unknown or has expired, nothing was confirmed")
    if app.queue.confirm(handles) and policy != "lenient":
        raise bad_value("EventHandles", "a handle is unknown or has expired")
    exchange.succeed(b"", len(handles))


def describe_events_state(app: Application, params: Parameters, exchange: Exchange) -> None:
    """Return the approximate number of events to pull."""
    exchange.succeed(_members({"CountOfEventsToPull": app.events_to_pull()}))


def describe_event_config(app: Application, params: Parameters, exchange: Exchange) -> None:
    """Return how the application is notified of events."""
    exchange.succeed(_members(app.config.describe()))


_ON_OR_OFF = ("ON", "OFF").__contains__
_ALLOWED: Mapping[str, Callable[[str], bool]] = {
    "mode": ("PUSH", "PULL").__contains__,
    "notification_url": lambda url: not url or urlsplit(url).scheme in ("http", "https"),
    "sign_key": lambda key: re.fullmatch(r"[A-Za-z0-9]{0,32}", key) is not None,
    "upload_media_complete_event_switch": _ON_OR_OFF,
    "delete_media_complete_event_switch": _ON_OR_OFF,
    "persistence_complete_event_switch": _ON_OR_OFF,
}


def modify_event_config(app: Application, params: ModifyEventConfig, exchange: Exchange) -> None:
    """Change how the application is notified of events; fields that are not given keep their values."""
    changes = {name: getattr(params, name) for name in _ALLOWED if name in params.model_fields_set}
    for name, value in changes.items():
        if not _ALLOWED[name](value):
            raise ApiError("InvalidParameter", f"The value of parameter `{to_pascal(name)}` is not valid.")
    for name, value in changes.items():
        setattr(app.config, name, value)
    exchange.succeed(b"")


def describe_task_detail(app: Application, params: DescribeTaskDetail, exchange: Exchange) -> None:
    """Return a task."""
    task = app.tasks.get(params.task_id)
    if task is None:
        raise ApiError(app.options.unknown_task, "The task does not exist.")
    exchange.succeed(_members(task.describe(null_fields=app.options.null_fields)))


def describe_tasks(app: Application, params: DescribeTasks, exchange: Exchange) -> None:
    """Return a page of tasks."""
    exchange.succeed(_members(page(app.tasks, params, app.options)))


def manage_task(app: Application, params: ManageTask, exchange: Exchange) -> None:
    """Abort a task that waits."""
    if params.operation_type != "Abort":
        raise bad_value("OperationType", "it must be Abort")
    app.runner.abort(params.task_id)
    exchange.succeed(b"")


@dataclass(frozen=True, slots=True)
class Action(Generic[P]):
    """One action: what it does, and which parameters it has."""

    run: Callable[[Application, P, Exchange], None]
    parameters: type[P]
    lists_sub_app_error: bool = False
    """Whether its page lists InvalidParameterValue.SubAppId."""


def _start(starter: Starter) -> Action[Any]:
    def run(app: Application, params: Parameters, exchange: Exchange) -> None:
        given = params.model_dump(by_alias=True, exclude_unset=True)
        exchange.succeed(_members(start(app, starter, given)))

    return Action(run, model_of(starter.action), lists_sub_app_error=True)


ACTIONS: Mapping[str, Action[Any]] = {
    "PullEvents": Action(pull_events, PullEvents),
    "ConfirmEvents": Action(confirm_events, ConfirmEvents),
    "DescribeEventsState": Action(describe_events_state, Parameters),
    "DescribeEventConfig": Action(describe_event_config, Parameters),
    "ModifyEventConfig": Action(modify_event_config, ModifyEventConfig),
    "DescribeTaskDetail": Action(describe_task_detail, DescribeTaskDetail, lists_sub_app_error=True),
    "DescribeTasks": Action(describe_tasks, DescribeTasks),
    "ManageTask": Action(manage_task, ManageTask),
    **{action: _start(starter) for action, starter in STARTERS.items()},
}
