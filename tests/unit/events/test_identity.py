"""Two events that can be read differently are two, and one event is one however it comes."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from random import Random
from typing import Any

import pytest

from airflow_vod.emulator.legacy import legacy_form
from airflow_vod.events.parse import UnparsedEvent, VodEvent, event_of_detail, parse_event, read_event
from airflow_vod.events.results import result_of
from airflow_vod.events.types import EVENT_TYPES, EventType
from airflow_vod.exceptions import ResultError
from tests.unit import vendor

from .generated import changed, pairs, payload_of, with_noise

PAIRS = int(os.environ.get("VOD_TEST_EVENT_PAIRS", "3000"))
"""`make test-events` generates 50,000."""
SEEDS = range(10)
SAMPLES = json.loads((Path(__file__).parents[1] / "data" / "both_forms.json").read_text())

seeded = pytest.mark.parametrize("seed", SEEDS)


def body_of(row: EventType, payload: dict[str, Any]) -> dict[str, Any]:
    """An event as a callback of form 3.0."""
    return {"EventType": row.name, row.field: payload}


def reading_of(event: VodEvent | UnparsedEvent) -> Any:
    """Everything of an event that somebody acts upon: ids, state, outcome, files, findings and errors."""
    if isinstance(event, UnparsedEvent):
        return "not an event"
    known = (event.event_type, event.vod_task_id, event.file_id, event.status, event.finished)
    try:
        result = result_of(event).to_dict()
    except ResultError:
        result = {}
    row = EVENT_TYPES.get(event.event_type)
    if row and row.stated is not None:  # form 2.0 says less: descriptions are not compared
        for name in ("outputs", *(["message"] if result.get("outcome") == "succeeded" else [])):
            result.pop(name, None)
        for each in (*result.get("files", ()), *result.get("findings", ())):
            for name in ("metadata", "name", "label"):
                each.pop(name, None)
    return json.dumps([known, result], sort_keys=True)


@seeded
def test_two_readings_never_share_a_key(seed: int) -> None:
    """Of two generated bodies, one key means one reading; a body that cannot be read never has the key of one that can."""
    shared = different = unreadable = 0
    for row, first, second in pairs(seed, PAIRS // len(SEEDS)):
        one, other = read_event(body_of(row, first)), read_event(body_of(row, second))
        unreadable += isinstance(other, UnparsedEvent)
        if one.key == other.key:
            shared += 1
            assert reading_of(one) == reading_of(other), (seed, row.name, first, second)
        elif reading_of(one) != reading_of(other):
            different += 1
    # The generator reaches both sides of the line, and what is beyond reading.
    assert shared > PAIRS / len(SEEDS) / 50
    assert different > PAIRS / len(SEEDS) / 5
    assert unreadable > PAIRS / len(SEEDS) / 200


@seeded
def test_what_comes_again_has_its_key(seed: int) -> None:
    """Another order, another handle, a signature and fields that hold nothing make no other event, readable or not."""
    random = Random(seed)
    rows = list(EVENT_TYPES.values())
    for _ in range(PAIRS // len(SEEDS)):
        row = random.choice(rows)
        payload = payload_of(random, row)
        if random.random() < 0.5:
            payload = changed(random, payload)
        body = body_of(row, payload)
        first = read_event(body)
        noisy = with_noise(random, body) | {"EventHandle": str(random.random()), "Sign": "x", "T": 1}
        again = read_event(noisy)
        assert again.key == first.key, (seed, body, noisy)
        assert read_event(json.dumps(body)).key == first.key


@seeded
def test_every_road_gives_one_key(seed: int) -> None:
    """An event that both forms can state has one key from the queue, either callback, and the task API."""
    random = Random(seed)
    for _ in range(PAIRS // len(SEEDS) // 3):
        event_type = random.choice(list(SAMPLES))
        row = EVENT_TYPES[event_type]
        payload = stated_by_both(random, copy.deepcopy(SAMPLES[event_type]["v3.0"][row.field]))
        body = body_of(row, payload)
        roads = [vendor.on_the_wire(event_type, row.field, payload), json.dumps(body), legacy_form(body)]
        events = [parse_event(each) for each in roads]
        if row.detail and "TaskId" in payload and payload.get("Status", "FINISH") == "FINISH":
            events.append(event_of_detail({"Status": "FINISH", row.detail: payload}, payload["TaskId"]))
        assert len({event.key for event in events}) == 1, (seed, body)
        assert len({reading_of(event) for event in events if event.finished}) <= 1, (seed, body)


def stated_by_both(random: Random, value: Any, name: str = "") -> Any:
    """Vary a sample of form 3.0 in what form 2.0 can say too."""
    if isinstance(value, list):
        return [stated_by_both(random, item, name) for item in value if random.random() < 0.9 or len(value) == 1]
    if isinstance(value, dict):
        value = {key: stated_by_both(random, item, key) for key, item in value.items()}
        if "ErrCode" in value and random.random() < 0.3:
            value |= {"ErrCode": random.choice((30009, 30010, -1))}
            value |= {"Message": random.choice(("no", ""))} if "Message" in value else {}
            if "Output" in value:  # a sub-task: one that failed has no output
                value |= {"Status": "FAIL", "Output": None}
        return value
    if name in ("TaskId", "FileId", "FileIdSet") or name.endswith(("Url", "UrlSet")):
        return value + random.choice(("", "1", "2"))
    if name == "Definition" and value:
        return random.choice((10, 20, 30))
    return random.choice(("block", "review", "pass")) if name == "Suggestion" else value


def test_an_unreadable_body_takes_nobodys_place() -> None:
    """A copy of an event that cannot be read is kept beside it, and is no duplicate of it."""
    good = {"TaskId": "Concat-1", "FileInfoSet": [{"ErrCode": 0, "FileId": "1", "FileUrl": "http://x/f.mp4"}]}
    row = EVENT_TYPES["ConcatComplete"]
    readable = read_event(body_of(row, good))
    for odd in ([""], [[]], [None, {}], {"a": 1}, True):
        unreadable = read_event(body_of(row, {**good, "Status": odd}))
        assert isinstance(unreadable, UnparsedEvent), odd
        assert unreadable.key != readable.key
    for nothing in ([], {}, "", None, {"a": ""}):
        again = read_event(body_of(row, {**good, "Status": nothing}))
        assert isinstance(again, VodEvent)
        assert again.key == readable.key


@pytest.mark.parametrize(
    ("event_type", "one", "other"),
    [
        ("ConcatComplete", {"FileInfoSet": [{"ErrCode": 0}]}, {"FileInfoSet": [{"ErrCode": 0}, {}]}),
        ("ConcatComplete", {"FileInfoSet": [{"ErrCode": 0}]}, {"FileInfoSet": [{"ErrCode": 0}, None]}),
        ("ConcatComplete", {"FileInfoSet": [{"ErrCode": 0}]}, {"FileInfoSet": [{"ErrCode": 0}, ""]}),
        ("ConcatComplete", {"FileInfoSet": [{}, {"ErrCode": 0}]}, {"FileInfoSet": [{"ErrCode": 0}, {}]}),
        ("EditMediaComplete", {"Output": {"FileId": "1"}}, {"ErrCode": [[]], "Output": {"FileId": "1"}}),
        ("EditMediaComplete", {"ErrCode": "", "Output": {"FileId": "1"}}, {"ErrCode": [""], "Output": {"FileId": "1"}}),
        (
            "ProcedureStateChanged",
            {"MediaProcessResultSet": [{"Type": "a", "X": {"ErrCode": 0}}]},
            {"MediaProcessResultSet": [{"Type": "a", "X": {"ErrCode": 0}}, ""]},
        ),
    ],
)
def test_different_facts_have_different_keys(event_type: str, one: dict[str, Any], other: dict[str, Any]) -> None:
    """An output of which nothing is known counts, as does an error that cannot be read."""
    row = EVENT_TYPES[event_type]
    first, second = (parse_event(body_of(row, {"TaskId": "a", **each})) for each in (one, other))
    assert first.key != second.key


@pytest.mark.parametrize("nothing", ["", [], {}, None, {"a": None}])
def test_what_says_nothing_is_read_as_nothing(nothing: Any) -> None:
    """A code or a state that holds nothing is neither an error nor another event."""
    row = EVENT_TYPES["EditMediaComplete"]
    payload = {"TaskId": "a", "Output": {"FileId": "1"}}
    event = parse_event(body_of(row, payload | {"ErrCode": nothing, "Status": nothing, "Message": nothing}))
    assert event.key == parse_event(body_of(row, payload)).key
    assert result_of(event).outcome == "succeeded"
