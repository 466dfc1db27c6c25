"""The serialized form of events."""

from __future__ import annotations

import json

from airflow_vod.emulator.content import ALWAYS_PRESENT, concat_complete, event_body, file_id, to_json, with_handle


def test_an_event_is_served_as_it_was_published():
    """Every key is served, including those unknown to the schema; only the handle is added."""
    event = {"EventHandle": "old", "EventType": "X", "XEvent": {"TaskId": "t", "名": "值"}, "Surprise": [1, None]}
    served = json.loads(with_handle("new", event_body(event, null_fields=False)))
    assert served == {**event, "EventHandle": "new"}


def test_fields_that_do_not_apply_are_null_when_asked():
    """The older payload fields are always present; a given value takes precedence over null."""
    event = {"EventType": "ConcatComplete", "ConcatCompleteEvent": {"TaskId": "t"}}
    served = json.loads(event_body(event, null_fields=True))
    assert served["ConcatCompleteEvent"] == {"TaskId": "t"}
    assert {name for name, value in served.items() if value is None} == {*ALWAYS_PRESENT} - {"ConcatCompleteEvent"}


def test_malformed_events_can_be_published():
    """Malformed events can be served: without a type, empty, with half a surrogate pair."""
    assert with_handle("h", event_body({}, null_fields=False)) == b'{"EventHandle":"h"}'
    assert json.loads(event_body({"EventType": "\ud800"}, null_fields=False)) == {"EventType": "\ud800"}


def test_json_is_compact_utf8():
    """JSON is compact and not escaped needlessly."""
    assert to_json({"a": [1, "值"]}) == '{"a":[1,"值"]}'.encode()


def test_a_splice_needs_no_more_than_urls():
    """A URL yields the type and a stable file id; a mapping overrides any field."""
    event = concat_complete("Concat-1", ["http://x/v.f6.m3u8", {"ErrCode": -1, "Message": "no", "FileId": None}])
    good, bad = event["ConcatCompleteEvent"]["FileInfoSet"]
    assert good == {
        "ErrCode": 0,
        "Message": "",
        "FileId": file_id("http://x/v.f6.m3u8"),
        "FileUrl": "http://x/v.f6.m3u8",
        "FileType": "m3u8",
    }
    assert (bad["ErrCode"], bad["FileId"], bad["FileUrl"]) == (-1, None, "")
    assert len(good["FileId"]) == 20
