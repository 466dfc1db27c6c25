"""An action sees only parameters that it has, each of its type."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_vod.emulator.errors import ApiError
from airflow_vod.emulator.parameters import INTEGER, OBJECTS, STRING, STRINGS, read
from airflow_vod.emulator.request import Request

SCHEMA = {"SubAppId": INTEGER, "TaskId": STRING, "EventHandles": STRINGS, "FileInfos": OBJECTS}


def post(body: bytes, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """What an action sees of a body."""
    return read(Request("POST", {}, body), SCHEMA, required)


def test_null_and_absent_are_the_same():
    """A null is no value, and an empty body no parameters."""
    assert post(b'{"SubAppId":null,"TaskId":"t"}') == {"TaskId": "t"}
    assert post(b"") == {}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"Foo":1}', "UnknownParameter"),
        (b'{"SubAppId":"1"}', "InvalidParameter"),
        (b'{"SubAppId":true}', "InvalidParameter"),
        (b'{"SubAppId":-1}', "InvalidParameter"),
        (b'{"SubAppId":1.5}', "InvalidParameter"),
        (b'{"EventHandles":"h"}', "InvalidParameter"),
        (b'{"EventHandles":[1]}', "InvalidParameter"),
        (b'{"FileInfos":["f"]}', "InvalidParameter"),
        (b'{"SubAppId":1}', "MissingParameter"),
        (b'{"TaskId":null}', "MissingParameter"),
        (b"[]", "InvalidParameter"),
        (b"{", "InvalidParameter"),
        (b"\xff", "InvalidParameter"),
        (b"[" * 100_000, "InvalidParameter"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_wrong_parameters_are_refused_by_the_right_code(body: bytes, code: str):
    """Each kind of mistake has its own code."""
    with pytest.raises(ApiError) as caught:
        post(body, ("TaskId",))
    assert caught.value.code == code


def test_a_query_is_read_like_a_body():
    """GET flattens lists and objects; they come out as JSON would have said it."""
    query = "SubAppId=5&EventHandles.1=b&EventHandles.0=a&FileInfos.0.FileId=f&TaskId="
    assert read(Request("GET", {}, query=query), SCHEMA) == {
        "SubAppId": 5,
        "EventHandles": ["a", "b"],
        "FileInfos": [{"FileId": "f"}],
        "TaskId": "",
    }


def test_a_query_that_contradicts_itself_is_refused():
    """A value cannot be a string and a list at once."""
    with pytest.raises(ApiError):
        read(Request("GET", {}, query="TaskId=a&TaskId.0=b"), SCHEMA)
