"""What VOD reports as an error is one, and so is what nobody knows."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_vod.events.errors import Failure, code_of, failure_of, is_unfinished
from airflow_vod.events.parse import parse_event
from airflow_vod.events.results import Outcome, result_of


@pytest.mark.parametrize(
    ("part", "failure"),
    [
        ({}, None),
        ({"ErrCode": 0, "Message": "SUCCESS"}, None),
        ({"ErrCode": "0", "Status": "SUCCESS"}, None),
        ({"Status": "FINISH"}, None),
        ({"Status": "finish"}, None),
        ({"Status": 1}, None),  # RestoreMediaTask's, which VOD calls void
        ({"ErrCode": 70000}, (70000, "VOD failed internally; submitting the task again may help.")),
        ({"ErrCode": 70000, "ErrCodeExt": "InternalError", "Message": "no"}, ("InternalError", "no")),
        ({"ErrCode": {"a": 1}}, ("unreadable", None)),
        ({"Status": "FAIL"}, ("FAIL", "Status is FAIL")),
        ({"Status": "FAIL", "Message": "no"}, ("FAIL", "no")),
        ({"Status": "ABORTED", "ErrCode": 0}, ("ABORTED", "Status is ABORTED")),
        ({"Status": "processing"}, ("PROCESSING", "Status is PROCESSING")),
        ({"Status": "FAILED"}, ("FAILED", "Status is 'FAILED', which VOD does not document")),
        ({"Status": "RUN", "ErrCode": 0}, ("RUN", "Status is 'RUN', which VOD does not document")),
        ({"Status": "RUN", "Message": "on it"}, ("RUN", "Status is 'RUN', which VOD does not document: on it")),
        ("text", (None, "VOD sent a value that is not an output.")),
    ],
    ids=str,
)
def test_what_is_an_error(part: Any, failure: tuple[int | str | None, str | None] | None) -> None:
    """A code that is not 0, and every word but those of success; an unknown word is named."""
    assert failure_of(part) == (failure and Failure(*failure))


@pytest.mark.parametrize(
    ("part", "proven"),
    [
        ({"ErrCode": 0}, True),
        ({"Status": "SUCCESS"}, True),
        ({"ErrCodeExt": ""}, False),
        ({}, False),
        ({"Status": "RUN", "ErrCode": 0}, False),
    ],
    ids=str,
)
def test_what_proves_a_success(part: Any, proven: bool) -> None:
    """Where only the parts of a task can tell, silence is no success."""
    assert (failure_of(part, proof=True) is None) == proven


@pytest.mark.parametrize("word", ["FAILED", "RUN", "TIMEOUT", "x" * 200])
def test_an_unknown_word_is_no_success(word: str) -> None:
    """Of a task or of a part of it: the result failed, and its message names the word."""
    output = {"Output": {"FileId": "7", "FileUrl": "http://x/f0.mp4"}}
    task = {"TaskId": "t", "Status": word, "ErrCode": 0, **output}
    result = result_of(parse_event({"EventType": "EditMediaComplete", "EditMediaCompleteEvent": task}))
    assert (result.outcome, result.error_code) == (Outcome.FAILED, word)
    assert word[:20] in str(result.message)
    part = {"Type": "Transcode", "TranscodeTask": {"Status": word, "ErrCode": 0, "Output": {"Url": "http://x/f0.mp4"}}}
    procedure = {"TaskId": "t", "Status": "FINISH", "ErrCode": 0, "MediaProcessResultSet": [part]}
    result = result_of(parse_event({"EventType": "ProcedureStateChanged", "ProcedureStateChangeEvent": procedure}))
    assert (result.outcome, result.error_code) == (Outcome.FAILED, word)
    assert word[:20] in str(result.message)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (0, 0),
        ("0", 0),
        ("-1", -1),
        (7.0, 7),
        (True, 1),
        ("", None),
        (None, None),
        ([], None),
        ("No", "No"),
        ([1], "unreadable"),
    ],
)
def test_codes(value: Any, code: int | str | None) -> None:
    """A code is a number, a word, or a number in quotes."""
    assert code_of(value) == code


def test_what_goes_on() -> None:
    """Only VOD's two words say that a task goes on, in any case of letters."""
    assert [word for word in ("PROCESSING", "waiting", "RUN", "FINISH", None, 3) if is_unfinished(word)] == [
        "PROCESSING",
        "waiting",
    ]
