"""``airflow-vod events``: list, export and replay the events in the inbox.

Invariant: everything but ``replay`` only reads; untrusted content reaches a terminal without control characters.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from airflow_vod.cli.arguments import plain, positive
from airflow_vod.cli.output import age, table

if TYPE_CHECKING:
    from airflow_vod.inbox import InboxStore, StoredEvent

_PAGE = 500  # events per query
_HEADERS = ("QUEUE", "POSITION", "AGE", "SOURCE", "TYPE", "ABOUT", "OUTCOME", "READ BY")


def fill_events(parser: argparse.ArgumentParser) -> None:
    """Add what ``events`` takes.

    :param parser: that of the command.
    """
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="list events, newest first")
    listing.add_argument("--limit", type=positive, default=50, help="maximum number of events (default: %(default)s)")
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(run=_list)
    export = actions.add_parser("export", help="print events with their bodies, as JSON lines")
    export.add_argument("--limit", type=positive, default=None, help="maximum number of events (default: all)")
    export.set_defaults(run=_export)
    for each in (listing, export):
        each.add_argument("--queue", type=plain, help="only this queue, as named by `airflow-vod relay status`")
        each.add_argument("--type", type=plain, help="only this event type, such as ConcatComplete")
        each.add_argument("--vod-task-id", type=plain, help="only events about this VOD task")
        each.add_argument("--file-id", type=plain, help="only events about this media file")
        each.add_argument(
            "--outcome", choices=("succeeded", "partly_failed", "failed"), help="only events of tasks with this outcome"
        )
        each.add_argument("--unread", action="store_true", help="only events that no task has read")
        each.add_argument("--unparsed", action="store_true", help="only bodies that could not be parsed as events")
    replay = actions.add_parser("replay", help="make an event arrive again, for tasks that wait now")
    replay.add_argument("queue", metavar="QUEUE", type=plain, help="queue of the event, as shown by `events list`")
    replay.add_argument("position", metavar="POSITION", type=positive, help="its position there")
    replay.set_defaults(run=_replay)


def _list(arguments: argparse.Namespace) -> int:
    from airflow_vod.inbox.lines import header_of

    found = list(_events(arguments))
    if arguments.json:
        print(json.dumps([header_of(event) for event in found], indent=2), file=arguments.out)
        return 0
    if not found:
        print(f"The inbox {_inbox().url} has no such event.", file=sys.stderr)
        return 0
    for line in table(_HEADERS, map(_row, found)):
        print(line, file=arguments.out)
    return 0


def _row(event: StoredEvent) -> tuple[object, ...]:
    return (
        event.queue,
        event.position,
        age(time.time() - event.received_at),
        event.source,
        event.event_type or "unparsed",
        event.vod_task_id or event.file_id or "-",
        event.outcome or event.status or event.error or "-",
        event.read_by or "nobody yet",
    )


def _export(arguments: argparse.Namespace) -> int:
    from airflow_vod.inbox.lines import line_of

    for event in _events(arguments):
        arguments.out.write(line_of(event))
    return 0


def _replay(arguments: argparse.Namespace) -> int:
    position = _inbox().replay(arguments.queue, arguments.position)
    if position is None:
        print(f"There is no event {arguments.position} in queue {arguments.queue}. See `events list`.", file=sys.stderr)
        return 1
    print(f"Replayed: the event is now {position} of queue {arguments.queue}, unread.", file=arguments.out)
    return 0


def _inbox() -> InboxStore:
    from airflow_vod.hooks.config import inbox_url, open_inbox

    return open_inbox(inbox_url())


def _events(arguments: argparse.Namespace) -> Iterator[StoredEvent]:
    store, before, left = _inbox(), None, arguments.limit
    while left is None or left > 0:
        page = store.newest(
            arguments.queue,
            event_type=arguments.type,
            vod_task_id=arguments.vod_task_id,
            file_id=arguments.file_id,
            outcome=arguments.outcome,
            unread=True if arguments.unread else None,
            unparsed=True if arguments.unparsed else None,
            before=before,
            limit=_PAGE if left is None else min(left, _PAGE),
        )
        if not page:
            return
        yield from page
        before, left = page[-1].cursor, None if left is None else left - len(page)
