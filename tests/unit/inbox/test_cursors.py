"""Cursors, and the candidates read from behind them, on every database."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_vod.events.parse import VodEvent, parse_event, read_event
from airflow_vod.exceptions import InboxError
from airflow_vod.inbox import InboxStore


def test_a_cursor_begins_where_it_is_told(inbox: InboxStore, open_inbox: Callable[..., InboxStore]) -> None:
    """The first call creates the cursor; later ones, in any process, read where it is, whatever start they give."""
    assert inbox.cursors.get("watcher", "queue", 7) == 7
    assert inbox.cursors.get("watcher", "queue", 9) == 7
    assert open_inbox().cursors.get("watcher", "queue", 9) == 7
    assert inbox.cursors.get("Watcher", "queue", 1) == 1
    assert inbox.cursors.get("watcher", "other", 2) == 2


def test_a_cursor_only_moves_forward(inbox: InboxStore) -> None:
    """A late writer, or one that moves a cursor that does not exist, changes nothing and gets False."""
    inbox.cursors.get("watcher", "queue", 5)
    moves = [inbox.cursors.advance("watcher", "queue", to) for to in (7, 7, 6, 8)]
    assert moves == [True, False, False, True]
    assert inbox.cursors.get("watcher", "queue", 0) == 8
    assert not inbox.cursors.advance("nobody", "queue", 9)
    assert inbox.cursors.get("nobody", "queue", 0) == 0


def test_of_many_who_begin_at_once_one_decides(inbox: InboxStore) -> None:
    """Threads that create the same cursor at the same time all get the same position."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda start: inbox.cursors.get("watcher", "queue", start), range(8)))
    assert len(set(answers)) == 1


@pytest.mark.parametrize("name", ["", "a\nb", "w" * 256])
def test_names_are_checked(inbox: InboxStore, name: str) -> None:
    """A name that cannot be stored unchanged is refused."""
    with pytest.raises(InboxError):
        inbox.cursors.get(name, "queue", 0)


def test_a_cursor_outlives_pruning(inbox: InboxStore) -> None:
    """Pruning keeps cursors however old they are: without one its follower would start all over."""
    inbox.cursors.get("watcher", "queue", 5)
    inbox.prune(-3600)
    assert inbox.cursors.get("watcher", "queue", 0) == 5


def upload(file_id: str) -> VodEvent:
    """The event of an upload."""
    return parse_event({"EventType": "NewFileUpload", "FileUploadEvent": {"FileId": file_id}})


def deletion(*file_ids: str) -> VodEvent:
    """The event of a deletion."""
    return parse_event({"EventType": "FileDeleted", "FileDeleteEvent": {"FileIdSet": list(file_ids)}})


def pull(vod_task_id: str) -> VodEvent:
    """The event of a finished pull upload."""
    return parse_event({"EventType": "PullComplete", "PullCompleteEvent": {"TaskId": vod_task_id, "FileId": "1"}})


def test_candidates(open_inbox: Callable[..., InboxStore]) -> None:
    """Candidates are selected by type, VOD task, file, position and time, oldest first; unparsed events are left out."""
    now = [1000.0]
    inbox = open_inbox(clock=lambda: now[0])
    inbox.receive("queue", [upload("1"), upload("2"), deletion("1", "2")], "pull")
    now[0] = 2000.0
    inbox.receive("queue", [pull("Pull-1"), pull("pull-1"), read_event("unreadable")], "pull")
    inbox.receive("other", [upload("3")], "pull")

    def found(**wanted: object) -> list[int]:
        return [event.position for event in inbox.candidates("queue", **wanted)]

    assert found() == [1, 2, 3, 4, 5]
    assert found(limit=2) == [1, 2]
    assert found(after=2) == [3, 4, 5]
    assert found(since=1000.0) == [1, 2, 3, 4, 5]
    assert found(since=1000.5) == [4, 5]
    assert found(event_types=["NewFileUpload"]) == [1, 2]
    assert found(event_types=["NewFileUpload", "FileDeleted"]) == [1, 2, 3]
    assert found(vod_task_id="Pull-1") == [4]
    assert found(file_id="2") == [2, 3]
    assert found(event_types=["NewFileUpload"], file_id="2", after=2) == []
    assert found(vod_task_id="no\nid") == []
    assert inbox.candidates("queue", after=3, limit=1)[0].event() == pull("Pull-1")
