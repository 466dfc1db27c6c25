"""What an event must be to count."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_vod.events.matching import NAMES, EventMatch, seconds_of
from airflow_vod.events.parse import VodEvent, parse_event
from airflow_vod.exceptions import VodSettingsError
from airflow_vod.inbox import EventHeader, InboxStore, StoredEvent
from airflow_vod.inbox.lookup import SMALL, event_to_dict, event_to_small_dict, takes

UPLOAD = parse_event(
    {
        "EventType": "NewFileUpload",
        "FileUploadEvent": {
            "FileId": "5285890700000000001",
            "MediaBasicInfo": {
                "Name": "a.mp4",
                "ClassId": 7,
                "SourceInfo": {"SourceType": "Upload", "SourceContext": "order 9"},
                "TagSet": ["red", "blue"],
            },
            "MetaData": {"Duration": 1.5, "Live": True},
        },
    }
)
DELETION = parse_event({"EventType": "FileDeleted", "FileDeleteEvent": {"FileIdSet": ["1", "2"]}})
EDIT = parse_event(
    {
        "EventType": "EditMediaComplete",
        "EditMediaCompleteEvent": {
            "TaskId": "Edit-1",
            "Status": "FINISH",
            "ErrCode": 0,
            "SessionId": "s",
            "SessionContext": "c",
            "Output": {"FileId": "3", "FileUrl": "http://example.com/3.mp4"},
        },
    }
)


@pytest.mark.parametrize(
    ("event", "match"),
    [
        (UPLOAD, {}),
        (UPLOAD, {"file_id": "5285890700000000001"}),
        (UPLOAD, {"file_id": 5285890700000000001}),
        (UPLOAD, {"source": "Upload"}),
        (UPLOAD, {"source_context": "order 9"}),
        (UPLOAD, {"MediaBasicInfo.Name": "a.mp4"}),
        (UPLOAD, {"MediaBasicInfo.ClassId": "7"}),
        (UPLOAD, {"MediaBasicInfo.ClassId": 7}),
        (UPLOAD, {"MediaBasicInfo.TagSet[]": "blue"}),
        (UPLOAD, {"MetaData.Duration": 1.5}),
        (UPLOAD, {"MetaData.Live": True}),
        (UPLOAD, {"MetaData.Live": "true"}),
        (UPLOAD, {"source": "Upload", "MediaBasicInfo.Name": "a.mp4"}),
        (DELETION, {"file_id": "1"}),
        (DELETION, {"file_id": "2"}),
        (EDIT, {"vod_task_id": "Edit-1"}),
        (EDIT, {"file_id": "3"}),
        (EDIT, {"session_id": "s"}),
        (EDIT, {"session_context": "c"}),
    ],
    ids=str,
)
def test_what_counts(event: VodEvent, match: dict[str, Any]) -> None:
    """An event counts if it holds each value at its place, as text."""
    assert EventMatch.of(None, match).counts(event)
    assert EventMatch.of(["Other", event.event_type], match).counts(event)
    assert EventMatch.of(event.event_type, match).may_count(header_of(event))
    assert not EventMatch.of("Other", match).counts(event)
    assert not EventMatch.of("Other", match).may_count(header_of(event))


@pytest.mark.parametrize(
    ("event", "match"),
    [
        (UPLOAD, {"file_id": "528589070000000000"}),
        (UPLOAD, {"file_id": " 5285890700000000001"}),
        (UPLOAD, {"source": "upload"}),
        (UPLOAD, {"MediaBasicInfo.Name": "a.mp"}),
        (UPLOAD, {"MediaBasicInfo.TagSet": "blue"}),
        (UPLOAD, {"MediaBasicInfo.Missing": "x"}),
        (UPLOAD, {"source": "Upload", "MediaBasicInfo.Name": "b.mp4"}),
        (UPLOAD, {"vod_task_id": "Edit-1"}),
        (DELETION, {"file_id": "3"}),
        (EDIT, {"vod_task_id": "Edit-2"}),
        (EDIT, {"vod_task_id": "edit-1"}),
    ],
    ids=str,
)
def test_what_does_not_count(event: VodEvent, match: dict[str, Any]) -> None:
    """An event that lacks one value, or has it almost, does not count."""
    assert not EventMatch.of(None, match).counts(event)


def header_of(event: VodEvent) -> EventHeader:
    """The fields of an event that the inbox returns without its body."""
    return EventHeader(1, event.vod_task_id, event.event_type, event.finished, event.file_id)


def test_headers_keep_out_what_cannot_count() -> None:
    """By its header alone, an event of another file or VOD task is known not to count; one of several files is not."""
    assert not EventMatch.of(match={"file_id": "1"}).may_count(header_of(UPLOAD))
    assert EventMatch.of(match={"file_id": "3"}).may_count(header_of(DELETION))
    assert not EventMatch.of(match={"vod_task_id": "1"}).may_count(header_of(EDIT))
    assert not EventMatch.of().may_count(EventHeader(1, None, None, False, None))


@pytest.mark.parametrize(
    ("event_type", "match", "words"),
    [
        ([], None, "no event could match"),
        (7, None, "event_type is 7"),
        ("NewFileUpload ", None, "event_type holds 'NewFileUpload ', which no event has"),
        (["FileDeleted", "New FileUpload"], None, "event_type holds 'New FileUpload', which no event has"),
        ("NewFileUpload\u200b", None, "which no event has"),
        ("", None, "names such as NewFileUpload"),
        ("None", None, "names such as NewFileUpload"),
        ("concatcomplete", None, "VOD writes it ConcatComplete"),
        (None, "file", "must be a dictionary"),
        (None, {"task_id": "1"}, "unknown name 'task_id'"),
        (None, {"mediaBasicInfo.Name": "1"}, "unknown name"),
        (None, {"MediaBasicInfo..Name": "1"}, "unknown name"),
        (None, {"": "1"}, "unknown name"),
        (None, {"file_id": None}, "match['file_id'] is None"),
        (None, {"file_id": "None"}, "Check the template"),
        (None, {"file_id": " "}, "Check the template"),
        (None, {"file_id": ["1"]}, "must be the text or number"),
    ],
    ids=str,
)
def test_mistakes_are_named(event_type: Any, match: Any, words: str) -> None:
    """What can match nothing is refused, and the message says what it is."""
    with pytest.raises(VodSettingsError) as caught:
        EventMatch.of(event_type, match)
    assert words in str(caught.value)


def test_a_type_that_is_not_in_the_table_is_taken() -> None:
    """VOD adds event types; those can be waited for before this package knows them."""
    assert EventMatch.of("BrandNewComplete").event_types == ("BrandNewComplete",)


def test_order_does_not_matter() -> None:
    """The same demands in another order are equal, and so is what they are written as."""
    one = EventMatch.of(["B", "A", "B"], {"source": "Upload", "file_id": "1"})
    other = EventMatch.of(("A", "B"), {"file_id": "1", "source": "Upload"})
    assert one == other
    assert str(one) == "A or B, file_id = '1', source = 'Upload'" == str(other)


@pytest.mark.parametrize(
    "since",
    [
        1767225600,
        1767225600.0,
        "1767225600",
        "1767225600.0",
        "2026-01-01T00:00:00Z",
        "2026-01-01 08:00:00+08:00",
        "2026-01-01T00:00:00",
        "2026-01-01",
        " 2026-01-01 ",
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1, 8, tzinfo=timezone(timedelta(hours=8))),
        datetime(2026, 1, 1),
    ],
    ids=repr,
)
def test_points_in_time(since: Any) -> None:
    """A point in time may be written in every usual way."""
    assert seconds_of(since) == 1767225600.0


@pytest.mark.parametrize(
    "since", ["", "None", None, True, -1, 1e12, "tomorrow", [], float("nan"), "20260101000000000"], ids=repr
)
def test_what_is_no_point_in_time(since: Any) -> None:
    """Anything that is not a time is rejected, milliseconds included."""
    with pytest.raises(VodSettingsError, match="since is"):
        seconds_of(since)


@pytest.fixture
def stored(tmp_path: Path) -> StoredEvent:
    """An event of a finished VOD task, from an inbox."""
    store = InboxStore.open(f"sqlite:///{tmp_path / 'inbox.db'}", clock=lambda: 1767225600.0)
    store.receive("queue", [EDIT], "pull")
    found = store.get("queue", 1)
    store.close()
    assert found is not None
    return found


def test_an_event_as_dictionary(stored: StoredEvent) -> None:
    """Who waited gets the event under stable keys, as plain JSON, and the result of a finished VOD task."""
    event = event_to_dict(stored)
    assert json.loads(json.dumps(event)) == event
    assert {name: event[name] for name in event if name not in ("payload", "result")} == {
        "key": EDIT.key,
        "event_type": "EditMediaComplete",
        "vod_task_id": "Edit-1",
        "file_id": "3",
        "status": "FINISH",
        "queue": "queue",
        "position": 1,
        "received_at": 1767225600.0,
    }
    assert event["payload"] == EDIT.payload
    assert event["result"]["outcome"] == "succeeded"
    assert event_to_small_dict(stored) == event


def test_a_large_event_as_dictionary(tmp_path: Path) -> None:
    """A large event omits its payload, which stays available in the inbox."""
    large = parse_event({"EventType": "FileDeleted", "FileDeleteEvent": {"FileIdSet": [str(n) for n in range(5000)]}})
    store = InboxStore.open(f"sqlite:///{tmp_path / 'inbox.db'}")
    store.receive("queue", [large], "pull")
    found = store.get("queue", 1)
    assert found is not None
    event = event_to_small_dict(found)
    assert event["payload"] is None
    assert event["key"] == large.key
    assert len(json.dumps(event)) < SMALL
    again = store.get(event["queue"], event["position"])
    assert again is not None
    assert event_to_dict(again)["payload"] == large.payload
    store.close()


def test_what_cannot_be_read_does_not_count(stored: StoredEvent) -> None:
    """An event that only an older version could parse does not block others."""
    assert takes(EventMatch.of(), stored)
    assert not takes(EventMatch.of(), replace(stored, text='"no event"'))


def test_every_name_works() -> None:
    """Each name that may be asked for is known by some event."""
    asked = {"file_id": UPLOAD, "source": UPLOAD, "source_context": UPLOAD}
    asked |= {"vod_task_id": EDIT, "session_id": EDIT, "session_context": EDIT}
    assert set(asked) == set(NAMES)
