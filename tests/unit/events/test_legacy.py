"""Form 2.0 of callbacks gives the events that form 3.0 gives, and what is not documented is kept as it came."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from airflow_vod.emulator.legacy import legacy_form
from airflow_vod.events.matching import EventMatch
from airflow_vod.events.parse import UnparsedEvent, event_of_detail, parse_event, read_event
from airflow_vod.events.results import result_of
from airflow_vod.events.types import EVENT_TYPES
from tests.unit import vendor

SAMPLES = json.loads((Path(__file__).parents[1] / "data" / "both_forms.json").read_text())
"""Per event type, the vendor's sample of form 2.0, and the same event in the vendor's structure of form 3.0."""

every_type = pytest.mark.parametrize("event_type", SAMPLES)


def roads(event_type: str, payload: dict[str, Any]) -> dict[str, Any]:
    """One event by every road: the queue, a callback of each form, and the task API."""
    row = EVENT_TYPES[event_type]
    body = {"EventType": event_type, row.field: payload}
    events = {
        "queue": parse_event(vendor.on_the_wire(event_type, row.field, payload)),
        "callback 3.0": parse_event(json.dumps(body)),
        "callback 2.0": parse_event(json.dumps(legacy_form(body))),
    }
    if row.detail and "TaskId" in payload:
        detail = {"Status": "FINISH", "TaskType": "x", **dict.fromkeys(vendor.detail_fields()), row.detail: payload}
        events["reconcile"] = event_of_detail(detail, payload["TaskId"])
    return events


@every_type
def test_one_key_by_every_road(event_type: str) -> None:
    """Queue, callback of form 3.0, callback of form 2.0 and DescribeTaskDetail give one event."""
    payload = SAMPLES[event_type]["v3.0"][EVENT_TYPES[event_type].field]
    if payload.get("Status") == "PROCESSING":  # the task API only tells of ends
        payload = {**payload, "Status": "FINISH"}
    events = roads(event_type, payload)
    assert len(events) == (4 if "TaskId" in payload else 3)
    assert {name: event.key for name, event in events.items()} == dict.fromkeys(events, events["queue"].key)
    assert {(e.event_type, e.vod_task_id, e.file_id, e.status, e.finished) for e in events.values()} == {
        (event_type, payload.get("TaskId"), events["queue"].file_id, payload.get("Status"), events["queue"].finished)
    }


@every_type
def test_the_vendors_sample_is_the_same_event(event_type: str) -> None:
    """What only the sample of form 2.0 has (who recorded it, an encryption key's address) makes no other event of it."""
    assert parse_event(SAMPLES[event_type]["v2.0"]).key == parse_event(SAMPLES[event_type]["v3.0"]).key


@every_type
def test_the_results_agree(event_type: str) -> None:
    """Both forms have one result, but for what only one of them says of a file."""
    payload = SAMPLES[event_type]["v3.0"][EVENT_TYPES[event_type].field]
    results = []
    for event in roads(event_type, {**payload, "Status": "FINISH"} if "Status" in payload else payload).values():
        if event.finished:
            result = result_of(event).to_dict()
            del result["outputs"]
            for each in (*result["files"], *result["findings"]):
                for name in ("metadata", "name", "label"):
                    each.pop(name, None)
            results.append({**result, "message": None if result["outcome"] == "succeeded" else result["message"]})
    assert all(result == results[0] for result in results)
    assert len(results) in (0, 4)


def test_what_is_matched_by_its_source_context() -> None:
    """A match by context, source, name or URL counts for both forms."""
    for form in ("v2.0", "v3.0"):
        event = parse_event(SAMPLES["NewFileUpload"][form])
        context = "rtmp://54xx.livepush.myqcloud.com/live?bizid=54xx&record=mp4&xx"
        for match in (
            {"source_context": context},
            {"source": "Record"},
            {"file_id": "5285890784273533167"},
            {"MediaBasicInfo.Name": "Animal World"},
            {"MediaBasicInfo.SourceInfo.LiveRecordInfo.StreamId": "54xx_45"},
        ):
            assert EventMatch.of("NewFileUpload", match).counts(event), (form, match)
        assert not EventMatch.of(match={"source_context": "other"}).counts(event)


@pytest.mark.parametrize("word", ["ClientUpload", "ServerUpload"])
def test_the_words_for_an_upload(word: str) -> None:
    """Form 2.0 has two words for what form 3.0 calls Upload."""
    event = parse_event({"eventType": "NewFileUpload", "data": {"fileId": "1", "sourceType": word}})
    assert EventMatch.of(match={"source": "Upload"}).counts(event)


def test_deletions_of_different_parts_are_different_events() -> None:
    """Form 2.0 cannot say which part of a file was deleted; two such events of form 3.0 are two."""
    whole = copy.deepcopy(SAMPLES["FileDeleted"]["v3.0"])
    keys = {parse_event(whole).key}
    for definition in (10, 20):
        whole["FileDeleteEvent"]["FileDeleteResultInfo"][0]["DeleteParts"] = [
            {"Type": "TranscodeFiles", "Definition": definition}
        ]
        keys.add(parse_event(whole).key)
    assert len(keys) == 3


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"MetaData": {"Duration": 61}}, True),
        ({"FileName": "other"}, True),
        ({"TaskId": "other"}, False),
        ({"FileId": "other"}, False),
        ({"Status": "FINISH"}, False),
        ({"ErrCode": 70000}, False),
        ({"ErrCodeExt": "InternalError"}, False),
        ({"SessionContext": "other"}, False),
        ({"MediaProcessResultSet": []}, False),
        ({"AiContentReviewResultSet": []}, False),
    ],
    ids=str,
)
def test_what_makes_another_event_of_a_procedure(change: dict[str, Any], same: bool) -> None:
    """Ids, state, errors and outputs make another event; a description of the same does not."""
    payload = SAMPLES["ProcedureStateChanged"]["v3.0"]["ProcedureStateChangeEvent"]
    key = parse_event({"EventType": "ProcedureStateChanged", "ProcedureStateChangeEvent": payload}).key
    other = parse_event({"EventType": "ProcedureStateChanged", "ProcedureStateChangeEvent": payload | change}).key
    assert (other == key) is same


@pytest.mark.parametrize(
    ("event_type", "data", "words"),
    [
        ("EditMediaComplete", {"vodTaskId": "a", "status": "FINISH"}, "no form 2.0 of the event EditMediaComplete"),
        ("NewComplete", {"vodTaskId": "a", "status": 0}, "no form 2.0 of the event NewComplete"),
        ("ProcedureStateChanged", {"vodTaskId": "a", "processTaskList": [{"status": "SUCCESS"}]}, "a taskType"),
        ("ProcedureStateChanged", {"vodTaskId": "a", "processTaskList": ["x"]}, "a taskType"),
        ("ProcedureStateChanged", {"vodTaskId": "a", "aIAnalysisList": {}}, "aIAnalysisList of form 2.0 is a list"),
        ("FileDeleted", {"status": 0, "fileInfo": {"fileId": "1"}}, "a list of file ids"),
        ("FileDeleted", {"status": 0, "fileInfo": [{"fileId": "1", "parts": []}]}, "a list of file ids"),
        ("FileDeleted", {"status": 0}, "a list of file ids"),
        ("ConcatComplete", {}, "in an object `data`"),
        ("", {"vodTaskId": "a"}, "names its eventType"),
    ],
    ids=str,
)
def test_an_unknown_shape_is_kept_and_said_so(event_type: str, data: dict[str, Any], words: str) -> None:
    """What the vendor's page does not show is not guessed at: it is kept as it came, with the reason."""
    body = {"version": "4.0", "eventType": event_type, "data": data}
    kept = read_event(body)
    assert isinstance(kept, UnparsedEvent)
    assert words in kept.error
    assert kept.raw == body


def test_a_field_that_is_not_expected_breaks_nothing() -> None:
    """Any value may stand anywhere in form 2.0: it is an event, or is kept."""
    for event_type, forms in SAMPLES.items():
        for name in (*forms["v2.0"]["data"], "mediaBasicInfo", "fileInfo", "status"):
            for odd in (None, 7, "x", [], ["x"], [[]], {}, {"a": []}, [{"taskType": 3}]):
                read_event({**forms["v2.0"], "data": {**forms["v2.0"]["data"], name: odd}, "eventType": event_type})


@pytest.mark.parametrize(
    ("name", "item"),
    [
        (
            "MediaProcessResultSet",
            ("ImageSprites", "ImageSpriteTask", {"ImageUrlSet": ["http://x/1.jpg"], "WebVttUrl": "http://x/1.vtt"}),
        ),
        ("MediaProcessResultSet", ("AnimatedGraphics", "AnimatedGraphicTask", {"Url": "http://x/1.gif"})),
        (
            "AiAnalysisResultSet",
            (
                "Classification",
                "ClassificationTask",
                {"ClassificationSet": [{"Classification": "cat", "Confidence": 9.0}]},
            ),
        ),
        ("AiAnalysisResultSet", ("Tag", "TagTask", {"TagSet": [{"Tag": "cat", "Confidence": 9.0}]})),
    ],
)
def test_every_kind_of_sub_task(name: str, item: tuple[str, str, dict[str, Any]]) -> None:
    """A kind that the sample lacks is the same by every road too, with its output in the place of form 3.0."""
    kind, field, output = item
    result = {"Status": "SUCCESS", "ErrCode": 0, "Message": "", "Input": {"Definition": 10}, "Output": output}
    payload = {"TaskId": "t", "Status": "FINISH", "ErrCode": 0, "FileId": "1", name: [{"Type": kind, field: result}]}
    events = roads("ProcedureStateChanged", payload)
    assert {event.key for event in events.values()} == {events["queue"].key}
    assert events["callback 2.0"].payload[name] == [{"Type": kind, field: result}]
    results = [result_of(event) for event in events.values()]
    assert all((each.files, each.findings) == (results[0].files, results[0].findings) for each in results)
    assert (results[0].files or results[0].findings)[0].definition == 10


def test_a_cover_may_be_a_list() -> None:
    """The page calls the URL of a cover a list, though its samples show a text; both are read."""
    for url in ("http://x/1.jpg", ["http://x/1.jpg"]):
        task = {"taskType": "CoverBySnapshot", "status": "SUCCESS", "errCode": 0, "output": {"imageUrl": url}}
        data = {"vodTaskId": "t", "status": "FINISH", "errCode": 0, "processTaskList": [task]}
        result = result_of(parse_event({"eventType": "ProcedureStateChanged", "data": data}))
        assert [file.url for file in result.files] == ["http://x/1.jpg"]
