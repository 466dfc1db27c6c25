"""An action sees only parameters that it has, each of its type."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_vod.emulator.errors import ApiError
from airflow_vod.emulator.parameters import Integer, Objects, Parameters, String, Strings, read
from airflow_vod.emulator.request import Request


class Schema(Parameters):
    """One parameter of each type; the first is required."""

    task_id: String
    event_handles: Strings = []
    file_infos: Objects = None
    tasks_priority: Integer = 0


def given(request: Request) -> dict[str, Any]:
    """The parameters of a request, by the names that clients use."""
    return read(request, Schema).model_dump(by_alias=True, exclude_unset=True)


def post(body: bytes) -> dict[str, Any]:
    """The parameters in a body."""
    return given(Request("POST", {}, body))


def refusal(request: Request) -> tuple[str, str]:
    """Code and message of a refused request."""
    with pytest.raises(ApiError) as caught:
        read(request, Schema)
    return caught.value.code, caught.value.message


def test_null_and_absent_are_the_same():
    """A null is no value, and an empty body has no parameters."""
    assert post(b'{"SubAppId":null,"TaskId":"t"}') == {"TaskId": "t"}
    assert refusal(Request("POST", {}, b"")) == refusal(Request("POST", {}, b"{}"))


def test_any_json_string_is_a_string():
    """Lone surrogates, which UTF-8 cannot hold, are accepted; integers reach up to 64 bits."""
    assert post(b'{"TaskId":"\\ud800","SubAppId":18446744073709551615}') == {"TaskId": "\ud800", "SubAppId": 2**64 - 1}


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (b'{"Foo":1}', "UnknownParameter", "`Foo`"),
        (b'{"task_id":"t"}', "UnknownParameter", "`task_id`"),
        (b'{"SubAppId":"1"}', "InvalidParameter", "`SubAppId` is not valid, it should be an integer"),
        (b'{"SubAppId":true}', "InvalidParameter", "an integer"),
        (b'{"SubAppId":-1}', "InvalidParameter", "an integer"),
        (b'{"SubAppId":1.0}', "InvalidParameter", "an integer"),
        (b'{"SubAppId":18446744073709551616}', "InvalidParameter", "an integer"),
        (b'{"TaskId":1}', "InvalidParameter", "a string"),
        (b'{"EventHandles":"h"}', "InvalidParameter", "a list of strings"),
        (b'{"EventHandles":["h",1]}', "InvalidParameter", "a list of strings"),
        (b'{"FileInfos":["f"]}', "InvalidParameter", "a list of objects"),
        (b'{"SubAppId":1}', "MissingParameter", "`TaskId`"),
        (b'{"TaskId":null}', "MissingParameter", "`TaskId`"),
        (b"[]", "InvalidParameter", "not a JSON object"),
        (b"{", "InvalidParameter", "not valid JSON"),
        (b"\xff", "InvalidParameter", "not valid JSON"),
        (b"[" * 100_000, "InvalidParameter", "not valid JSON"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_wrong_parameters_are_refused_with_the_right_code(body: bytes, code: str, words: str):
    """Each kind of mistake has its own code, and the message names the parameter or its type."""
    found, message = refusal(Request("POST", {}, body))
    assert found == code
    assert words in message


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"Foo":1,"SubAppId":"1"}', "Foo"),
        (b'{"SubAppId":"1","Foo":1}', "SubAppId"),
        (b'{"EventHandles":1,"SubAppId":"1"}', "EventHandles"),
    ],
)
def test_the_first_mistake_is_reported(body: bytes, name: str):
    """The mistake that comes first in the request decides, and what is missing comes last."""
    assert f"`{name}`" in refusal(Request("POST", {}, body))[1]


def test_a_query_is_read_like_a_body():
    """Lists and objects flattened by GET are read as if they came in JSON."""
    query = "SubAppId=5&EventHandles.1=b&EventHandles.0=a&FileInfos.0.FileId=f&TaskId="
    assert given(Request("GET", {}, query=query)) == {
        "SubAppId": 5,
        "EventHandles": ["a", "b"],
        "FileInfos": [{"FileId": "f"}],
        "TaskId": "",
    }


@pytest.mark.parametrize(
    "query",
    [
        "TaskId=a&TaskId.0=b",
        "TaskId=a&SubAppId=1.0",
        "TaskId=a&SubAppId=-1",
        "TaskId=a&SubAppId=" + "9" * 5000,
        "TaskId=a&FileInfos." + "9" * 5000 + "=b",
        "TaskId=a&FileInfos" + ".0" * 20_000 + "=b",
    ],
    ids=lambda query: query[:40],
)
def test_a_wrong_query_is_refused(query: str):
    """Contradictions, malformed numbers and excessive sizes are refused rather than crash."""
    assert refusal(Request("GET", {}, query=query))[0] == "InvalidParameter"
