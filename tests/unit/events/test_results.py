"""The result of a task says what VOD said, no more and no less."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_vod.events.parse import event_of_detail, parse_event
from airflow_vod.events.results import Finding, Outcome, ResultFile, TaskResult, outcome_of, result_of
from airflow_vod.events.types import EVENT_TYPES
from airflow_vod.exceptions import EventParseError, ResultError
from tests.samples import is_plain_json
from tests.unit import vendor

DATA = Path(__file__).parents[1] / "data"


def concat(*files, **more):
    """Make a ConcatComplete event of these files."""
    payload = {"TaskId": "concat-1", "FileInfoSet": list(files), **more}
    return parse_event({"EventType": "ConcatComplete", "ConcatCompleteEvent": payload})


def edit_media(**payload):
    """Make an EditMediaComplete event."""
    payload = {"TaskId": "edit-1", "Status": "FINISH", "ErrCode": 0, "ErrCodeExt": "", "Message": "", **payload}
    return parse_event({"EventType": "EditMediaComplete", "EditMediaCompleteEvent": payload})


GOOD = {"ErrCode": 0, "Message": "", "FileId": "11", "FileUrl": "http://example.com/a.mp4", "FileType": "mp4"}
BAD = {"ErrCode": -1, "Message": "no", "FileId": None, "FileUrl": "", "FileType": "m3u8"}


def test_concat_succeeds_when_every_file_is_good():
    """The vendor's sample succeeds with both of its files in order."""
    result = result_of(parse_event((DATA / "normal_callback.json").read_bytes()))
    assert result.outcome is Outcome.SUCCEEDED
    assert [file.type for file in result.files] == ["m3u8", "mp4"]
    assert (result.error_code, result.message) == (0, None)
    assert result.files[1] == ResultFile(
        "14508071098244929440", "http://125676836723.vod2.myqcloud.com/xxx/xxx/f0.mp4", "mp4", kind="Concat"
    )


def test_concat_partly_fails_when_some_files_are_bad():
    """A mixed set is partly failed, and the bad file keeps its place, type and error."""
    result = result_of(concat(BAD, GOOD))
    assert result.outcome is Outcome.PARTLY_FAILED
    assert result.files[0] == ResultFile(None, None, "m3u8", -1, "no", kind="Concat")
    assert result.error_code == -1
    assert result.message == "1 of 2 outputs failed; the first: Concat: no"


@pytest.mark.parametrize("bad", [BAD, {**BAD, "ErrCode": "4"}, {"FileType": "mp4"}, {}, "x", ["x"], 7])
def test_concat_fails_when_no_file_is_good(bad):
    """A set without any good file has failed, however the bad one looks."""
    result = result_of(concat(bad))
    assert result.outcome is Outcome.FAILED
    assert len(result.files) == 1
    assert result.files[0].url is None
    assert result.message


@pytest.mark.parametrize("empty", [[], None, {}, "", "x", 3])
def test_concat_fails_without_files(empty):
    """A set that names nothing is no success, and the message says why."""
    payload = {"TaskId": "concat-1", "FileInfoSet": empty}
    result = result_of(parse_event({"EventType": "ConcatComplete", "ConcatCompleteEvent": payload}))
    assert result.outcome is Outcome.FAILED
    assert "without naming any output" in result.message


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ({"ErrCode": 70000, "Message": "busy"}, 70000),
        ({"ErrCode": "60000"}, 60000),
        ({"ErrCodeExt": "InternalError"}, "InternalError"),
        ({"ErrCode": 60000, "ErrCodeExt": "SourceFileError.Bad"}, "SourceFileError.Bad"),
        ({"ErrCode": 70000.0}, 70000),
        ({"ErrCode": [1]}, "unreadable"),
        ({"ErrCode": 1e300}, "unreadable"),
        ({"Status": "FAIL"}, "FAIL"),
    ],
)
def test_edit_media_that_finished_with_an_error_failed(errors, code):
    """FINISH means ended, not succeeded."""
    result = result_of(edit_media(**errors))
    assert result.outcome is Outcome.FAILED
    assert result.error_code == code


def test_edit_media_succeeds():
    """A finished edit names its file; a number as id becomes a string, and "0" is no error."""
    output = {"FileType": "mp4", "FileUrl": "http://example.com/a.mp4", "FileId": 5285890784246869930}
    result = result_of(edit_media(ErrCode="0", Output=output, ProcedureTaskId="p-1", SessionContext="run 1"))
    assert result.outcome is Outcome.SUCCEEDED
    assert result.files == (ResultFile("5285890784246869930", "http://example.com/a.mp4", "mp4", kind="EditMedia"),)
    assert result.follow_up_task_ids == ("p-1",)
    assert result.session_context == "run 1"


def test_edit_media_that_failed_has_no_good_file():
    """What a failed task left behind is reported together with the error and does not make it a partial success."""
    output = {"FileType": "mp4", "FileUrl": "http://example.com/a.mp4", "FileId": "5"}
    result = result_of(edit_media(ErrCode=70000, Output=output))
    assert result.outcome is Outcome.FAILED
    assert [(file.file_id, file.error_code) for file in result.files] == [("5", 70000)]
    assert "submitting the task again" in result.message


@pytest.mark.parametrize("status", ["PROCESSING", "WAITING", "processing"])
def test_an_unfinished_task_has_no_result(status):
    """An event that reports progress raises instead of giving a result."""
    with pytest.raises(ResultError, match="EditMediaComplete"):
        result_of(edit_media(Status=status))


def test_an_aborted_task_failed():
    """ABORTED, which only DescribeTaskDetail reports, is a failed result."""
    event = event_of_detail({"TaskType": "EditMedia", "Status": "ABORTED", "EditMediaTask": None}, "edit-1")
    result = result_of(event)
    assert (result.outcome, result.error_code, result.vod_task_id) == (Outcome.FAILED, "ABORTED", "edit-1")


def test_an_aborted_task_failed_whatever_it_made():
    """A file that was there before the end does not make a partial success of an abortion."""
    assert result_of(concat(GOOD, Status="ABORTED")).outcome is Outcome.FAILED


def test_nothing_is_no_output():
    """Outputs that VOD leaves empty are left out."""
    assert result_of(edit_media(Output={}, MetaData=None)).outputs == {}
    assert result_of(edit_media(Output={"MediaName": "a"})).outputs == {"Output": {"MediaName": "a"}}


def test_a_type_that_the_table_lacks_has_a_result_by_the_usual_places():
    """The error of a file counts even for an unknown type."""
    payload = {"TaskId": "t", "Status": "FINISH", "FileInfoSet": [GOOD, {"ErrCode": -1}]}
    result = result_of(parse_event({"EventType": "NewComplete", "NewCompleteEvent": payload}))
    assert (result.outcome, result.error_code, len(result.files)) == (Outcome.PARTLY_FAILED, -1, 2)


# Every type of the table, with fixtures made of the vendor's own models

ENDING = [row for row in EVENT_TYPES.values() if row.ends_task]
every_type = pytest.mark.parametrize("row", ENDING, ids=lambda row: row.name)

NOT_FILES = [
    r"^\S+ (.*/)?Input",  # what the task was given
    r"^(Procedure|Reduce)\S+ FileUrl$",  # the file that it read
    r"SetFileUrl$",  # lists of findings, for a short time only; to be found in `outputs`
    r"(Review|AiContentReview).*/SegmentSet/Url$",  # pictures that prove a finding
    r"/CovImgUrl$",  # the cover of a highlight or segment, which is a file itself
    r"^TranscodeComplete CoverUrl$|MediaBasicInfo/CoverUrl$|/SourceInfo/|PullComplete MediaBasicInfo/MediaUrl$",
    r"/PreviewFileUrl$|WechatUrl$",
]


def structure_of(row):
    """Give the structure of a type; EventContent documents ProcessImageAsync by its settings only."""
    return vendor.detail_fields()[row.detail] if row.detail else vendor.payload_fields()[row.field]


def full(row):
    """Fill a type's structure as a task that succeeded would."""
    return {**vendor.example(structure_of(row)), **({row.verdict[0]: row.verdict[1]} if row.verdict else {})}


def finished(row, payload):
    """Make an event of this type."""
    return parse_event({"EventType": row.name, row.field: payload})


def urls(value, path=""):
    """Yield where every URL of an example lies, and the URL."""
    for name, item in value.items():
        for one in item if isinstance(item, list) else [item]:
            if isinstance(one, dict):
                yield from urls(one, f"{path}{name}/")
            elif str(one).startswith("http"):
                yield f"{path}{name}", one


def put(value, path, new):
    """Write to a path of an example."""
    step, _, rest = path.partition(".")
    child = value[step.removesuffix("[]")]
    if rest:
        put(child[0] if step.endswith("[]") else child, rest, new)
    else:
        value[step] = new


@every_type
def test_a_full_example_succeeds_with_all_of_its_files(row):
    """Every URL in the vendor's structure is a file of the result, but for those listed here with the reason."""
    example = full(row)
    result = result_of(finished(row, example))
    assert (result.outcome, result.error_code) == (Outcome.SUCCEEDED, 0)
    told = [(where, url) for where, url in urls(example)]
    expected = [u for where, u in told if not any(re.search(out, f"{row.name} {where}") for out in NOT_FILES)]
    assert sorted(file.url for file in result.files if file.url) == sorted(expected)
    assert all(file.error_code == 0 for file in result.files)
    started = r"(^|/|\.)(Procedure|ReviewAudioVideo)TaskIds?(\[\])?$"
    places = [
        place for place, _ in vendor.leaves(structure_of(row)) if re.search(started, place) and "Input" not in place
    ]
    assert len(result.follow_up_task_ids) == len(places)
    assert TaskResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result


@every_type
def test_a_full_example_has_files_or_outputs(row):
    """No type of the table gives an empty result."""
    result = result_of(finished(row, full(row)))
    assert result.files or result.outputs


@every_type
def test_an_error_is_seen_wherever_the_vendor_keeps_one(row):
    """Each error code in the vendor's structure, set alone, makes the result fail or partly fail with this code."""
    structure = structure_of(row)
    places = [
        p for p, field in vendor.leaves(structure) if field.name in {"ErrCode", "ErrCodeExt"} and "Input" not in p
    ]
    assert places or row.name in {"RestoreMediaComplete", "PersistenceComplete"}
    for place in places:
        for code in (70000, "70000", "InternalError.Some"):
            example = full(row)
            put(example, place, code)
            result = result_of(finished(row, example))
            assert result.outcome is not Outcome.SUCCEEDED, place
            assert str(result.error_code) == str(code), place


@every_type
def test_a_failed_status_is_seen_wherever_the_vendor_keeps_one(row):
    """FAIL in any place that documents it makes the result fail or partly fail, without any code."""
    structure = structure_of(row)
    for place in [p for p, field in vendor.leaves(structure) if field.name == "Status" and "FAIL" in field.text]:
        example = full(row)
        put(example, place, "FAIL")
        result = result_of(finished(row, example))
        assert result.outcome is not Outcome.SUCCEEDED, place
        assert result.error_code == "FAIL", place


@pytest.mark.parametrize("name", sorted(set(vendor.detail_fields()) - {row.detail for row in ENDING}))
def test_tasks_that_only_the_task_api_knows(name):
    """A task without event type has a result by the usual places: its URLs, and its errors."""
    structure = vendor.detail_fields()[name]
    example = vendor.example(structure)
    result = result_of(event_of_detail({"Status": "FINISH", name: example}, "a"))
    assert result.outcome is Outcome.SUCCEEDED
    assert sorted(f.url for f in result.files) == sorted(u for where, u in urls(example) if "Input" not in where)
    failed = result_of(event_of_detail({"Status": "FINISH", name: {**example, "ErrCode": 70000}}, "a"))
    assert (failed.outcome, failed.error_code) == (Outcome.FAILED, 70000)


def test_a_procedure_partly_fails():
    """A failed transcoding keeps its place beside the good one, and follows the vendor's newer code."""
    good = {
        "Status": "SUCCESS",
        "ErrCode": 0,
        "Message": "SUCCESS",
        "Output": {"Url": "http://x/a.f20.mp4", "Definition": 20},
    }
    bad = {"Status": "FAIL", "ErrCode": 60000, "ErrCodeExt": "SourceFileError", "Message": "", "Output": None}
    bad["Input"] = {"Definition": 30}
    payload = {
        "TaskId": "p",
        "Status": "FINISH",
        "FileId": "1",
        "FileUrl": "http://x/a.mp4",
        "MediaProcessResultSet": [
            {"Type": "Transcode", "TranscodeTask": good},
            {"Type": "Transcode", "TranscodeTask": bad, "CoverBySnapshotTask": None},
        ],
    }
    result = result_of(finished(EVENT_TYPES["ProcedureStateChanged"], payload))
    assert result.outcome is Outcome.PARTLY_FAILED
    assert result.files == (
        ResultFile(None, "http://x/a.f20.mp4", "mp4", 0, None, 20, "Transcode"),
        ResultFile(None, None, None, "SourceFileError", None, 30, "Transcode"),
    )
    assert result.message == "1 of 2 outputs failed; the first: Transcode 30: error SourceFileError"
    assert result.file_id == "1"


@pytest.mark.parametrize("part", [{"Status": "PROCESSING", "ErrCode": 0}, {"Status": "WAITING"}])
def test_a_part_that_never_ended_is_no_success(part):
    """A part that is still running when its task has ended is reported as a failure with its status."""
    payload = {"TaskId": "p", "Status": "FINISH", "MediaProcessResultSet": [{"Type": "X", "XTask": part}]}
    result = result_of(finished(EVENT_TYPES["ProcedureStateChanged"], payload))
    assert (result.outcome, result.error_code) == (Outcome.FAILED, part["Status"])


def test_a_procedure_of_the_legacy_form():
    """Form 2.0 reports the parts of a procedure in a list of its own."""
    parts = [
        {"taskType": "Transcode", "status": "SUCCESS", "errCode": 0, "output": {"url": "http://x/20.mp4"}},
        {"taskType": "SampleSnapshot", "status": "SUCCESS", "errCode": 0, "output": {"imageUrls": ["http://x/1.png"]}},
        {"taskType": "CoverBySnapshot", "status": "SUCCESS", "errCode": 0, "output": {"imageUrl": "http://x/2.png"}},
        {"taskType": "SnapshotByTimeOffset", "status": "SUCCESS", "output": {"imgInfo": [{"url": "http://x/3.jpg"}]}},
    ]
    data = {"vodTaskId": "p", "status": "FINISH", "errCode": 0, "message": "", "processTaskList": parts}
    result = result_of(parse_event({"version": "4.0", "eventType": "ProcedureStateChanged", "data": data}))
    assert result.outcome is Outcome.SUCCEEDED
    assert [(file.url, file.type) for file in result.files] == [
        ("http://x/20.mp4", "mp4"),
        ("http://x/1.png", "png"),
        ("http://x/2.png", "png"),
        ("http://x/3.jpg", "jpg"),
    ]
    parts.append({"taskType": "Transcode", "status": "FAIL", "errCode": 30010, "message": "system"})
    result = result_of(parse_event({"version": "4.0", "eventType": "ProcedureStateChanged", "data": data}))
    assert (result.outcome, result.error_code) == (Outcome.PARTLY_FAILED, 30010)


@pytest.mark.parametrize(
    ("event_type", "word", "outcome"),
    [
        ("WechatPublishComplete", {"WechatStatus": "SUCCESS"}, Outcome.SUCCEEDED),
        ("WechatPublishComplete", {"WechatStatus": "AUDITNOTPASS"}, Outcome.FAILED),
        ("WechatMiniProgramPublishComplete", {"PublishResult": "Pass"}, Outcome.SUCCEEDED),
        ("WechatMiniProgramPublishComplete", {"PublishResult": "Rejected"}, Outcome.FAILED),
    ],
)
def test_a_publication_is_judged_by_its_own_word(event_type, word, outcome):
    """A publication that WeChat refused has failed though VOD's own code is 0."""
    payload = {"TaskId": "w", "Status": "FINISH", "ErrCode": 0, "Message": "", **word}
    result = result_of(finished(EVENT_TYPES[event_type], payload))
    assert result.outcome is outcome
    assert result.error_code == (0 if outcome is Outcome.SUCCEEDED else next(iter(word.values())))


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("http://example.com/a/b.MP4?x=/y.z#/w.q", "mp4"),
        ("https://example.com/playlist.f6.m3u8", "m3u8"),
        ("http://example.com", None),
        ("http://example.com/a.b/c", None),
        ("not a url.mp4", None),
        ("http://[", None),
        ("a://" * 50_000, None),
    ],
)
def test_the_type_of_a_file_that_vod_gives_no_type(url, kind):
    """Only the suffix of the path determines the type, nothing else in the URL."""
    result = result_of(finished(EVENT_TYPES["TranscodeComplete"], {"TaskId": "t", "PlayInfoSet": [{"Url": url}]}))
    assert [file.type for file in result.files] == [kind]


@pytest.mark.parametrize("event_type", ["NewFileUpload", "FileDeleted", "MediaCastStatusChanged", "NewThing"])
def test_what_ends_no_task_has_no_result(event_type):
    """An upload, a deletion, a cast or an unknown event without task id raises instead of giving a result."""
    event = parse_event({"EventType": event_type, "Payload": {"FileId": "1", "Status": "FINISH"}})
    with pytest.raises(ResultError, match=event_type):
        result_of(event)


# Whatever VOD sends

NAMES = sorted(
    {
        step.removesuffix("[]")
        for row in ENDING
        for part in row.parts
        for p in (part.path, *part.files)
        for step in p.split(".")
    }
    | {step.removesuffix("[]") for row in ENDING for path in (*row.files, *row.outputs) for step in path.split(".")}
    | {
        "ErrCode",
        "ErrCodeExt",
        "Message",
        "Status",
        "FileId",
        "FileUrl",
        "Url",
        "FileType",
        "Definition",
        "TranscodeTask",
    }
    | {"ProcedureTaskId", "ProcedureTaskIds", "SessionContext", "MediaBasicInfo", "Type", "MediaUrl", "WechatStatus"}
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["FAIL", "0", "PROCESSING"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=25,
)


@given(
    row=st.sampled_from([*ENDING, None]),
    payload=st.dictionaries(st.sampled_from(NAMES), anything, max_size=8),
    status=st.sampled_from(["FINISH", "", "ABORTED", 0]),
)
def test_a_parsed_end_has_a_result_that_survives_xcom(row, payload, status):
    """No content of an event that ends a task is too odd for a result, and JSON gives the result back as it was."""
    name, field = (row.name, row.field) if row else ("NewComplete", "NewCompleteEvent")
    try:
        event = parse_event({"EventType": name, field: {**payload, "TaskId": "t", "Status": status}})
    except EventParseError:
        return
    result = result_of(event)
    assert outcome_of(event) is result.outcome
    text = json.dumps(result.to_dict(), allow_nan=False)
    assert TaskResult.from_dict(json.loads(text)) == result
    assert is_plain_json(result.to_dict())
    assert (result.outcome is Outcome.SUCCEEDED) == (result.error_code == 0)
    if status == "ABORTED":
        assert result.outcome is Outcome.FAILED


# What comes back from XCom


def test_the_keys_in_xcom_are_stable():
    """These keys are what users' DAGs rely on: a change here breaks them."""
    value = result_of(concat(BAD, GOOD)).to_dict()
    assert list(value) == [
        *("vod_task_id", "event_type", "outcome", "files", "error_code", "message", "status", "file_id", "outputs"),
        *("session_id", "session_context", "follow_up_task_ids", "findings", "suggestion"),
    ]
    keys = ["file_id", "url", "type", "error_code", "message", "definition", "kind", "name", "metadata"]
    assert list(value["files"][0]) == keys
    assert [each.name for each in fields(Finding)] == ["kind", "definition", "suggestion", "label", *keys[3:5]]
    assert value["outcome"] == "partly_failed"
    assert type(value["outcome"]) is str
    for key in (*value, *keys, *(each.name for each in fields(Finding))):
        assert f"``{key}``" in TaskResult.to_dict.__doc__, key


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"outcome": "fine"}, "result.outcome is 'fine': Input should be 'succeeded', 'partly_failed' or 'failed'"),
        ({"outcome": None}, "result.outcome is None: Input should be 'succeeded'"),
        ({"event_type": 3}, "result.event_type is 3: Input should be a valid string"),
        ({"event_type": b"x"}, "result.event_type is b'x': Input should be a valid string"),
        ({"files": "abc"}, "result.files is 'abc': Input should be a valid tuple"),
        ({"files": None}, "result.files is None: Input should be a valid tuple"),
        ({"files": [{"url": 7}]}, "result.files[0].url is 7: Input should be a valid string"),
        ({"files": [{"definition": True}]}, "result.files[0].definition is True: Input should be a valid integer"),
        ({"files": [None]}, "result.files[0] is None: Input should be a dictionary"),
        ({"error_code": True}, "result.error_code is True: Input should be a valid integer or Input should be a valid"),
        ({"error_code": 1.0}, "result.error_code is 1.0: Input should be a valid integer"),
        ({"outputs": {"a": float("nan")}}, "result.outputs is {'a': nan}: Input should be plain JSON"),
        ({"outputs": {"a": object}}, "result.outputs is {'a': <class 'object'>}: Input should be plain JSON"),
        ({"outputs": []}, "result.outputs is []: Input should be a valid"),
        ({"follow_up_task_ids": [3]}, "result.follow_up_task_ids[0] is 3: Input should be a valid string"),
        ({"message": 10**5000}, "result.message is a huge int: Input should be a valid string"),
    ],
)
def test_what_is_no_result_is_refused(change, named):
    """The error names the key, its value, and what to pass instead."""
    value = {**result_of(concat(GOOD)).to_dict(), **change}
    with pytest.raises(ResultError, match=re.escape(named) + ".*sensor.output"):
        TaskResult.from_dict(value)


@given(anything | st.dictionaries(st.sampled_from(list(result_of(concat(GOOD)).to_dict())), anything))
def test_from_dict_raises_nothing_else(value):
    """Whatever a task got from upstream is a result or a ResultError."""
    with contextlib.suppress(ResultError):
        assert TaskResult.from_dict(value).to_dict()


@pytest.mark.parametrize("key", ["event_type", "outcome", "files"])
def test_a_required_key_is_missing(key):
    """A dictionary without one of the three required keys is refused with the name of the key."""
    value = result_of(concat(GOOD)).to_dict()
    del value[key]
    with pytest.raises(ResultError, match=rf"result\.{key} is (missing|None)"):
        TaskResult.from_dict(value)


def test_a_result_of_an_earlier_version_can_be_read():
    """An XCom from before files had a kind gives a result that says nothing of what it did not know."""
    file = {"file_id": "1", "url": "http://x/a", "type": "mp4", "error_code": 0, "message": None, "definition": 20}
    value = {
        **{"vod_task_id": "t", "event_type": "ProcedureStateChanged", "outcome": "succeeded", "files": [file]},
        **{"error_code": 0, "message": None, "status": "FINISH", "file_id": "1", "outputs": {}, "session_id": None},
        **{"session_context": None, "follow_up_task_ids": []},
    }
    result = TaskResult.from_dict(json.loads(json.dumps(value)))
    assert result.files == (ResultFile("1", "http://x/a", "mp4", 0, None, 20),)
    assert (result.files[0].kind, result.files[0].metadata, result.findings, result.suggestion) == (None, {}, (), None)


def test_a_newer_version_may_add_keys():
    """Keys that this version does not know are left out, and optional ones may be missing."""
    value = {"event_type": "ConcatComplete", "outcome": "succeeded", "files": [{"url": "http://x/a"}], "new": 1}
    result = TaskResult.from_dict(value)
    assert result.files == (ResultFile(None, "http://x/a", None),)
