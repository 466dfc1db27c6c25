"""What people read of a command: spans of time, columns, and text of others as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_vod.cli.output import age, table
from airflow_vod.exceptions import VodApiError, printable


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (3660, "1 h 1 min"),
        (86399, "23 h 59 min"),
        (3 * 86400 + 4 * 3600, "3 d 4 h"),
    ],
)
def test_ages(seconds: float, words: str) -> None:
    """A span is written in its two largest units, and no unit is full."""
    assert age(seconds) == words


@given(st.text())
def test_any_text_is_printed_as_text(text: str) -> None:
    """Whatever a text holds, also half a character, it is one line that a terminal shows and does not obey."""
    shown = printable(text)
    assert shown.isprintable()
    shown.encode()
    if text.isprintable():
        assert shown == text


def test_an_error_of_the_api_is_one_line() -> None:
    """What VOD, or whoever answers in its place, says in an error does not forge lines of a log."""
    error = VodApiError("PullEvents", "Odd\x1b[2J", "no\n2026-11-26 INFO all is well \u202e", "r\r")
    assert str(error) == r"PullEvents: Odd\x1b[2J: no\n2026-11-26 INFO all is well \u202e (request id r\r). [vod-api]"


def test_columns() -> None:
    """Columns are as wide as their widest cell, and a cell stays in its column."""
    assert list(table(("A", "BB"), [("long", 1), ("x\n", "y")])) == ["A     BB", "long  1", "x\\n   y"]
