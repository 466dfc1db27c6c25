"""The same event has one key from every source, and anything that is not an event is reported as such."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_vod.events.key import MAX_DEPTH
from airflow_vod.events.parse import UnparsedEvent, VodEvent, event_of_detail, parse_event, read_event
from airflow_vod.events.types import EVENT_TYPES
from airflow_vod.exceptions import EventParseError
from tests.unit import vendor

DATA = Path(__file__).parents[1] / "data"
TASK_ID = "Concat-1edb7eb88a599d05abe451cfc541cfbd"

words = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffd"), min_size=1, max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def vendor_samples():
    """Give one event in the vendor's samples from each of the three sources."""
    pulled = json.loads((DATA / "reliable_callback.json").read_text())["Response"]["EventSet"][0]
    return [pulled, (DATA / "normal_callback.json").read_bytes(), (DATA / "legacy_callback.json").read_text()]


def event(event_type="EditMediaComplete", field="EditMediaCompleteEvent", **payload):
    """Parse an event with this payload."""
    return parse_event({"EventType": event_type, field: payload})


class TestKey:
    """One event, one key."""

    def test_the_vendors_sample_from_three_sources(self):
        """Pull, callback of form 3.0 and callback of form 2.0 give one event."""
        events = [parse_event(sample) for sample in vendor_samples()]
        assert len({event.key for event in events}) == 1
        for event in events:
            assert (event.event_type, event.vod_task_id, event.finished) == ("ConcatComplete", TASK_ID, True)
            assert event.payload["FileInfoSet"][1]["FileType"] == "mp4"
            assert len(event.key) == 64

    @given(
        task=words,
        files=st.lists(
            st.fixed_dictionaries(
                {"ErrCode": st.sampled_from([0, -1, 4])},
                optional={"Message": words, "FileId": st.integers(0, 2**64 - 1), "FileUrl": words, "FileType": words},
            ),
            max_size=4,
        ),
        handle=st.text(),
        empty=st.sampled_from([None, "", [], {}]),
    )
    def test_any_splice_from_any_source(self, task, files, handle, empty):
        """Handles, signatures, empty values, the order of names, numbers as ids and the form make no difference."""
        pulled = {
            "EventHandle": handle,
            "FileUploadEvent": None,
            "EventType": "ConcatComplete",
            "ConcatCompleteEvent": {"TaskId": task, "FileInfoSet": [{"Extra": empty, **file} for file in files]},
        }
        strings = [{name: str(v) if name == "FileId" else v for name, v in reversed(file.items())} for file in files]
        pushed = {
            "ConcatCompleteEvent": {"FileInfoSet": strings, "TaskId": task, "Extra": empty},
            "EventType": "ConcatComplete",
            "Sign": "0123",
            "T": 1790000000,
        }
        names = {
            "ErrCode": "status",
            "Message": "message",
            "FileId": "fileId",
            "FileUrl": "fileUrl",
            "FileType": "fileType",
        }
        legacy = {
            "version": "4.0",
            "eventType": "ConcatComplete",
            "data": {"vodTaskId": task, "fileInfo": [{names[n]: v for n, v in file.items()} for file in files]},
        }
        events = [parse_event(pulled), parse_event(json.dumps(pushed)), parse_event(json.dumps(legacy).encode())]
        assert len({event.key for event in events}) == 1
        assert len({event.vod_task_id for event in events}) == 1
        assert not {"EventHandle", "Sign", "T"} & {name for event in events for name in event.raw}

    @pytest.mark.parametrize(
        ("event_type", "data", "payload"),
        [
            (
                "TranscodeComplete",
                {
                    "status": 0,
                    "message": "",
                    "vodTaskId": "t",
                    "fileId": "1",
                    "fileName": "n",
                    "duration": 599,
                    "playSet": [{"url": "http://x/a.mp4", "definition": 10, "vbitrate": 9, "vheight": 4, "vwidth": 6}],
                },
                {
                    "ErrCode": 0,
                    "TaskId": "t",
                    "FileId": "1",
                    "FileName": "n",
                    "Duration": 599,
                    "PlayInfoSet": [{"Url": "http://x/a.mp4", "Definition": 10, "Bitrate": 9, "Height": 4, "Width": 6}],
                },
            ),
            (
                "ClipComplete",
                {"vodTaskId": "t", "srcFileId": "1", "fileInfo": {"status": -1, "message": "no", "fileType": "mp4"}},
                {"TaskId": "t", "SrcFileId": "1", "FileInfo": {"ErrCode": -1, "Message": "no", "FileType": "mp4"}},
            ),
            (
                "CreateImageSpriteComplete",
                {
                    "status": 0,
                    "vodTaskId": "t",
                    "fileId": "1",
                    "definition": 10,
                    "totalCount": 4,
                    "imageSpriteUrl": ["http://x/1.jpg"],
                    "webVttUrl": "http://x/1.vtt",
                },
                {
                    "ErrCode": 0,
                    "TaskId": "t",
                    "FileId": "1",
                    "Definition": 10,
                    "TotalCount": 4,
                    "ImageSpriteUrlSet": ["http://x/1.jpg"],
                    "WebVttUrl": "http://x/1.vtt",
                },
            ),
            (
                "CreateSnapshotByTimeOffsetComplete",
                {
                    "vodTaskId": "t",
                    "fileId": "1",
                    "picInfo": [{"status": 0, "timeOffset": 300, "url": "http://x/1.jpg"}],
                },
                {
                    "TaskId": "t",
                    "FileId": "1",
                    "SnapshotInfoSet": [{"ErrCode": 0, "TimeOffset": 300, "Url": "http://x/1.jpg"}],
                },
            ),
            (
                "ConcatComplete",  # as in the oldest samples: one outcome for all files
                {"status": 0, "message": "", "vodTaskId": "t", "fileInfo": [{"fileId": "1"}, {"fileId": "2"}]},
                {"TaskId": "t", "FileInfoSet": [{"ErrCode": 0, "FileId": "1"}, {"ErrCode": 0, "FileId": "2"}]},
            ),
        ],
    )
    def test_the_legacy_form_of_each_type_of_2017(self, event_type, data, payload):
        """What form 2.0 can say, it says under the key of form 3.0."""
        legacy = parse_event({"version": 4, "eventType": event_type, "data": data})
        assert legacy.key == event(event_type, EVENT_TYPES[event_type].field, **payload).key
        assert legacy.finished

    def test_the_legacy_form_may_contradict_itself(self):
        """A failure that is stated for all files is not forgotten because each file is said to be good."""
        data = {"status": -1, "message": "no", "vodTaskId": "t", "fileInfo": [{"status": 0, "fileId": "1"}]}
        assert parse_event({"eventType": "ConcatComplete", "data": data}).payload["ErrCode"] == -1

    def test_contents_differ(self):
        """Another task, another status or another type is another event."""
        base = {"TaskId": "a", "Status": "FINISH"}
        events = [event(**base), event(**{**base, "TaskId": "A"}), event(**{**base, "Status": "PROCESSING"})]
        events.append(event("ComposeMediaComplete", "ComposeMediaCompleteEvent", **base))
        assert len({event.key for event in events}) == 4

    @pytest.mark.parametrize("row", EVENT_TYPES.values(), ids=lambda row: row.name)
    def test_every_type_by_pull_callback_and_task_detail(self, row):
        """What the official models send for a type is parsed to one key, by DescribeTaskDetail too."""
        payload = vendor.example(vendor.payload_fields()[row.field])
        pulled = vendor.on_the_wire(row.name, row.field, payload)
        events = [parse_event(pulled), parse_event(json.dumps({"EventType": row.name, row.field: payload}))]
        if row.detail and "TaskId" in payload:
            detail = {"TaskType": "x", "Status": "FINISH", **dict.fromkeys(vendor.detail_fields()), row.detail: payload}
            events.append(event_of_detail(detail, payload["TaskId"]))
        assert len({(event.event_type, event.key) for event in events}) == 1
        assert events[0].payload == payload
        assert events[0].finished == (row.ends_task and "TaskId" in payload)


class TestPayload:
    """Where the content lies."""

    @pytest.mark.parametrize(
        "field", ["EditMediaCompleteEvent", "EditMediaComplete", "SomethingElse"], ids=["table", "slip", "only object"]
    )
    def test_it_is_found_under_any_name(self, field):
        """The table's name, the slip of VOD's samples and the only object there lead to one event."""
        body = {"EventType": "EditMediaComplete", "FileUploadEvent": None, "Empty": {}, field: {"TaskId": "a"}}
        assert parse_event(body).key == event(TaskId="a").key

    @pytest.mark.parametrize("row", EVENT_TYPES.values(), ids=lambda row: row.name)
    def test_the_only_payload_names_the_type(self, row):
        """One of VOD's samples of ComposeMediaComplete names no EventType: the field of the content tells it."""
        content = {"TaskId": "1256768367-ComposeMedia-f5ac8127b3b6b85cdc13f237c6005d8", "Status": "FINISH"}
        nulls = dict.fromkeys(other.field for other in EVENT_TYPES.values() if other is not row)
        for nothing in ({}, {"EventType": None}, {"EventType": ""}):
            read = parse_event({"EventHandle": "h", **nulls, row.field: content, **nothing})
            assert read.event_type == row.name
            assert read.key == event(row.name, row.field, **content).key
        with pytest.raises(EventParseError, match="holds 2"):
            parse_event({row.field: content, "Other": content})

    @pytest.mark.parametrize("field", ["RemoveWatermarkCompleteEvent", "RemoveWatermarkComplete", "RemoveWatermark"])
    def test_a_known_name_goes_before_other_objects(self, field):
        """Something that VOD adds beside the content does not hide it."""
        body = {"EventType": "RemoveWatermark", "Extra": {"TaskId": "b"}, field: {"TaskId": "a"}}
        assert parse_event(body).vod_task_id == "a"

    def test_an_unknown_type_is_an_event(self):
        """A type that VOD adds tomorrow has a task id and an end all the same."""
        new = event("NewComplete", "NewThing", TaskId="a", Status="FINISH")
        assert (new.event_type, new.vod_task_id, new.finished) == ("NewComplete", "a", True)

    @pytest.mark.parametrize(
        ("payload", "file_id"),
        [
            ({"FileId": 5285890784246869930}, "5285890784246869930"),
            ({"FileId": "", "Output": {"FileId": "7"}, "Input": {"FileId": "8"}}, "7"),
            ({"Input": {"FileId": "8"}}, "8"),
            ({"SrcFileId": "1", "FileInfo": {"FileId": "2"}}, "2"),
            ({"SrcFileId": "1", "FileInfo": {"FileId": ""}}, "1"),
            ({"FileInfoSet": [{"FileId": "1"}]}, "1"),
            ({"FileInfoSet": [{"FileId": "1"}, {"FileId": "2"}]}, None),
            ({"FileIdSet": [24961954183381008]}, "24961954183381008"),
        ],
    )
    def test_the_file_that_it_is_about(self, payload, file_id):
        """An event is about its own file, else the one made, else the one read; about none if there are many."""
        assert event(**payload).file_id == file_id

    def test_what_a_store_cannot_take_is_replaced(self):
        """NaN, NUL, lone surrogates and integers over 64 bits do not reach a database."""
        body = (
            '{"EventType":"X","XEvent":{"TaskId":"a","n":NaN,"i":[Infinity,1],"s":"\\u0000\\ud800","b":BIG}}'.replace(
                "BIG", str(10**30)
            )
        )
        read = parse_event(body)
        assert read.payload == {"TaskId": "a", "i": [{}, 1], "s": "\ufffd\ufffd", "b": str(10**30)}

    @pytest.mark.parametrize("status", ["PROCESSING", "WAITING", "processing"])
    def test_it_is_not_finished_while_its_task_goes_on(self, status):
        """PROCESSING and WAITING do not end a task, nor does an upload, whatever task it starts."""
        assert not event(TaskId="a", Status=status).finished
        assert not event(Status="FINISH").finished
        assert not event("NewFileUpload", "FileUploadEvent", FileId="1", ProcedureTaskId="p", TaskId="a").finished


class TestNoEvent:
    """Bodies that are not events."""

    @pytest.mark.parametrize(
        "body",
        [
            *("", "[]", "{}", "null", "7", '"x"', "{", b"\xff", b"", "[" * 100_000, 3, None, [], object(), 1.5),
            {"EventType": "X"},
            {"EventType": "X", "A": {"a": 1}, "B": {"b": 1}},
            {"EventType": "X", "XEvent": []},
            {"EventType": ["X"], "XEvent": {"a": 1}},
            {"EventType": "", "XEvent": {"a": 1}},
            {"XEvent": {"TaskId": "a"}},
            {"eventType": "X", "data": []},
            {"EventType": "X", "XEvent": {"a": object()}},
            {"EventType": "X", "XEvent": {"a": 10**5000}},
            '{"EventType":"X","XEvent":{"a":' + "[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH + "}}",
            *(
                {"EventType": "X", "XEvent": {"TaskId": bad}}
                for bad in ("a\n", "a\0", "\x9b", "\ud800", "x" * 256, [1], True)
            ),
            {"EventType": "x" * 256, "XEvent": {"a": 1}},
            {"EventType": "X", "XEvent": {"TaskId": "a", "FileId": "\x1b[31m"}},
        ],
        ids=lambda body: None if isinstance(body, dict) or type(body) is object else repr(body)[:40],
    )
    def test_it_is_kept_as_such(self, body):
        """A body that is no event raises for the one reader, and the other keeps it as storable JSON with the reason."""
        with pytest.raises(EventParseError):
            parse_event(body)
        unparsed = read_event(body)
        assert isinstance(unparsed, UnparsedEvent)
        assert unparsed.error
        json.dumps(unparsed.raw, allow_nan=False).encode()
        assert unparsed.key == read_event(body).key

    def test_nothing_of_it_is_lost(self):
        """Different bytes that are not text stay distinguishable."""
        assert read_event(b"\xff{").raw == "\\xff{"
        assert read_event(bytearray(b"\xff{")) == read_event(b"\xff{") != read_event(b"\xfe{")

    @pytest.mark.parametrize("name", [7, 10**5000, None], ids=["int", "huge int", "None"])
    def test_a_name_that_is_no_string_is_replaced(self, name):
        """JSON has strings as names, and so has an event built in Python."""
        assert all(isinstance(key, str) for key in event(TaskId="a", Output={name: 1}).payload["Output"])

    def test_its_key_survives_redelivery(self):
        """A new event handle does not make another unparsed event; the type that it claims is kept."""
        first, second = (read_event({"EventHandle": handle, "EventType": "X"}) for handle in "ab")
        assert first == second
        assert first.event_type == "X"

    @given(json_values | st.binary() | st.text())
    def test_reading_is_total(self, body):
        """Whatever arrives can be kept."""
        json.dumps(read_event(body).raw, allow_nan=False).encode()

    @given(st.dictionaries(words, json_values, max_size=3), words, st.sampled_from(["EventType", "eventType"]))
    def test_what_was_kept_reads_the_same(self, payload, event_type, form):
        """The stored form of an event, read again, is that event."""
        read = read_event({form: event_type, "EventHandle": "h", "data" if form == "eventType" else "XEvent": payload})
        if isinstance(read, VodEvent):
            assert parse_event(json.dumps(read.raw, allow_nan=False)) == read
            assert "EventHandle" not in read.raw


class TestDetail:
    """The answer of DescribeTaskDetail as an event."""

    def test_the_id_that_was_asked_for_wins(self):
        """The id inside may be another one."""
        detail = {"Status": "FINISH", "EditMediaTask": {"TaskId": "other", "Status": "FINISH"}, "ConcatTask": None}
        event = event_of_detail(detail, "edit-1")
        assert (event.event_type, event.vod_task_id, event.finished) == ("EditMediaComplete", "edit-1", True)

    def test_the_structure_of_the_task_goes_before_others(self):
        """Where an answer holds more than one structure, the one with the id that was asked for is the task."""
        tasks = {"ProcedureTask": {"TaskId": "other", "Status": "FINISH"}, "EditMediaTask": {"TaskId": "a"}}
        assert event_of_detail({"Status": "FINISH", **tasks}, "a").event_type == "EditMediaComplete"

    @pytest.mark.parametrize(
        "detail",
        [
            {"Status": "PROCESSING", "EditMediaTask": {"TaskId": "a", "Status": "PROCESSING"}},
            {"Status": "WAITING"},
            {"Status": "FINISH", "TaskType": "EditMedia", "EditMediaTask": None, "ConcatTask": {}},
            {"Status": ["FINISH"], "EditMediaTask": {"TaskId": "a"}},
            {},
        ],
    )
    def test_it_may_tell_nothing(self, detail):
        """A task that goes on, or an answer without content, is no event."""
        assert event_of_detail(detail, "a") is None

    @pytest.mark.parametrize("task", [None, {"TaskId": "other", "Status": "PROCESSING", "ErrCode": 0}])
    def test_an_aborted_task_has_ended(self, task):
        """ABORTED is an end, with or without a structure, and it overrules the status inside."""
        event = event_of_detail({"TaskType": "EditMedia", "Status": "ABORTED", "EditMediaTask": task}, "a")
        assert (event.event_type, event.status, event.finished) == ("EditMediaComplete", "ABORTED", True)

    def test_a_stale_status_inside_is_overruled(self):
        """A task that has ended is finished, though its structure was written before."""
        event = event_of_detail({"Status": "FINISH", "EditMediaTask": {"TaskId": "a", "Status": "PROCESSING"}}, "a")
        assert (event.status, event.finished) == ("FINISH", True)

    def test_a_task_without_event_type_has_an_end_too(self):
        """A sensor can wait for any task that DescribeTaskDetail knows."""
        event = event_of_detail({"Status": "FINISH", "AigcAudioTask": {"TaskId": "a", "Status": "FINISH"}}, "a")
        assert (event.event_type, event.vod_task_id, event.finished) == ("AigcAudioComplete", "a", True)

    @given(st.dictionaries(st.sampled_from(["Status", "TaskType", "EditMediaTask", "X"]), json_values) | json_values)
    def test_reading_raises_nothing_else(self, detail):
        """Any answer gives an event, nothing, or EventParseError."""
        for status in ("FINISH", "ABORTED"):
            with contextlib.suppress(EventParseError):
                event_of_detail({**detail, "Status": status} if isinstance(detail, dict) else detail, "a")


@pytest.mark.parametrize(("module", "needed"), [("parse", []), ("results", ["pydantic"])])
def test_importing_is_cheap(module, needed):
    """Events need nothing but the standard library, results only pydantic, which Airflow has loaded anyway."""
    code = (
        f"import sys, airflow_vod.events.{module};"
        "print({m.partition('.')[0] for m in sys.modules} & {'airflow', 'sqlalchemy', 'tencentcloud', 'pydantic'})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str(set(needed))


def test_what_is_too_deep_is_kept_whole():
    """Two bodies that differ only far below what an event may be nested are two, each stored with all it holds."""
    deep = [
        {"EventType": "X", "EventHandle": handle, "XEvent": nested(leaf)}
        for handle, leaf in (("h1", 1), ("h2", 2), ("h3", 1))
    ]
    first, second, again = map(read_event, deep)
    assert isinstance(first, UnparsedEvent)
    assert first.key != second.key
    assert first.key == again.key
    assert json.loads(first.raw)["XEvent"] == nested(1)


def test_what_is_too_deep_is_one_event_from_any_source():
    """Neither the queue's handle and empty fields nor the form of a callback's body make another event of it."""
    content = {"EventType": "X", "XEvent": nested(1)}
    queued = content | {"EventHandle": "h", "FileUploadEvent": None, "YEvent": {"Nothing": None}}
    called_back = json.dumps(content | {"YEvent": {}, "Sign": "s", "T": 1})
    assert read_event(queued).key == read_event(called_back).key == read_event(called_back.encode()).key


def nested(leaf: int) -> dict:
    """An object far deeper than VOD's."""
    value: dict = {"leaf": leaf}
    for _ in range(2 * MAX_DEPTH):
        value = {"next": value}
    return value
