"""People list, export and replay events from a shell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_vod import cli
from airflow_vod.cli import events as events_cli
from airflow_vod.events.parse import read_event
from airflow_vod.hooks.config import open_inbox
from airflow_vod.inbox import InboxStore
from tests.airflow_fixtures import INBOX_OPTION
from tests.samples import concat_event, procedure_event, unparsed_event

Out = pytest.CaptureFixture[str]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InboxStore]:
    """An inbox with four events, one of them read."""
    url = f"sqlite:///{tmp_path / 'inbox.db'}"
    monkeypatch.setenv(INBOX_OPTION, url)
    store = open_inbox(url)
    events = [concat_event("a"), concat_event("b"), procedure_event("c", "PROCESSING"), unparsed_event()]
    store.receive("q", events, "pull")
    store.mark_read("q", [1], "dag/run/task")
    yield store
    store.close()
    open_inbox.cache_clear()


@pytest.mark.parametrize(
    ("words", "positions"),
    [
        ([], [4, 3, 2, 1]),
        (["--limit", "2"], [4, 3]),
        (["--unread"], [4, 3, 2]),
        (["--unparsed"], [4]),
        (["--type", "ConcatComplete"], [2, 1]),
        (["--vod-task-id", "b"], [2]),
        (["--outcome", "succeeded"], [2, 1]),
        (["--queue", "other"], []),
    ],
)
def test_list_and_export_filter_alike(store: InboxStore, capsys: Out, words: list[str], positions: list[int]) -> None:
    """Both answer the same events, newest first; the export has their bodies, one to a line."""
    assert cli.main(["events", "list", "--json", *words]) == 0
    assert [event["position"] for event in json.loads(capsys.readouterr().out)] == positions
    assert cli.main(["events", "export", *words]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["position"] for line in lines] == positions
    assert all("body" in line for line in lines)


def test_pages_make_a_whole(store: InboxStore, capsys: Out, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export of several pages has every event once."""
    monkeypatch.setattr(events_cli, "_PAGE", 3)
    assert cli.main(["events", "export"]) == 0
    assert [json.loads(line)["position"] for line in capsys.readouterr().out.splitlines()] == [4, 3, 2, 1]


def test_a_list_for_people(store: InboxStore, capsys: Out) -> None:
    """A line for each event under a line of headings; what strangers sent stays on its line and moves no cursor."""
    for number, said in enumerate(("\x1b[2J", "a\n4 5", "\u202egpj.exe", "\x9b31m")):
        event = read_event({"EventType": f"Odd{said}", "ConcatCompleteEvent": {"TaskId": said}, "n": number})
        store.receive("q", [event], "callback")
        store.mark_read("q", [number + 5], f"dag{said}")
    assert cli.main(["events", "list"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["QUEUE", "POSITION", "AGE", "SOURCE", "TYPE", "ABOUT", "OUTCOME", "READ", "BY"]
    assert [line.split()[:2] for line in lines] == [["q", str(position)] for position in range(8, 0, -1)]
    assert "dag/run/task" in lines[-1]
    assert all(line.isprintable() for line in lines)
    assert r"dag\x1b[2J" in lines[3]


def test_nothing_to_list(store: InboxStore, capsys: Out) -> None:
    """Who sees nothing learns which inbox was looked into; where the answer is for programs, it is an empty list."""
    assert cli.main(["events", "list", "--vod-task-id", "nobody's"]) == 0
    said = capsys.readouterr()
    assert (said.out, store.url in said.err) == ("", True)
    assert cli.main(["events", "list", "--vod-task-id", "nobody's", "--json"]) == 0
    assert capsys.readouterr().out.strip() == "[]"


def test_replay(store: InboxStore, capsys: Out) -> None:
    """A replayed event is the newest of its queue, unread; one that is not there is said not to be."""
    assert cli.main(["events", "replay", "q", "1"]) == 0
    assert "5" in capsys.readouterr().out
    event = store.get("q", 5)
    assert event is not None
    assert (event.vod_task_id, event.read_by) == ("a", None)
    assert cli.main(["events", "replay", "q", "1"]) == 1
    assert "no event" in capsys.readouterr().err
