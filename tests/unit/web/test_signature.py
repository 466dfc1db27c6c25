"""A signature counts only if it is complete, correct and not expired."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_vod.web.signature import Claim, claim_in, is_genuine, sign, without_claim

KEY, NOW = "4bTq8ZsVxW2c7Lm0", 1_800_000_000.0
GOOD = Claim(sign(KEY, "1800000600"), "1800000600")


def test_it_is_md5_of_key_and_expiry() -> None:
    """The signature is MD5(SignKey + T)."""
    assert GOOD.sign == hashlib.md5(b"4bTq8ZsVxW2c7Lm01800000600").hexdigest()
    assert is_genuine([GOOD], KEY, NOW)


def test_case_of_the_digits_does_not_matter() -> None:
    """Hexadecimal digits may be in upper or lower case."""
    assert is_genuine([Claim(GOOD.sign.upper(), GOOD.expires_at)], KEY, NOW)


@pytest.mark.parametrize(
    "claims",
    [
        [],
        [None, None, None],
        [Claim(GOOD.sign, "1800000601")],
        [Claim("0" * 32, GOOD.expires_at)],
        [Claim(sign("another", GOOD.expires_at), GOOD.expires_at)],
        [Claim(sign(KEY, "1799999999"), "1799999999")],
        [Claim(sign(KEY, ""), "0")],
    ],
)
def test_wrong_and_expired_ones_are_refused(claims: list[Claim | None]) -> None:
    """A signature for another time, with another key, or expired is rejected."""
    assert not is_genuine(claims, KEY, NOW)


def test_it_is_good_up_to_its_second() -> None:
    """T is the last valid second."""
    assert is_genuine([GOOD], KEY, 1800000600.0)
    assert not is_genuine([GOOD], KEY, 1800000600.1)


def test_one_of_several_places_is_enough() -> None:
    """A valid signature counts whatever is in the other places."""
    assert is_genuine([None, Claim("0" * 32, "1800000600"), GOOD], KEY, NOW)


@pytest.mark.parametrize(
    "values",
    [
        {"Sign": GOOD.sign, "T": "1800000600"},
        {"sign": GOOD.sign, "t": 1800000600, "EventType": "x"},
        {"SIGN": GOOD.sign, "T": 1800000600},
    ],
)
def test_found_whatever_the_case_of_names(values: dict[str, Any]) -> None:
    """Names may be in any case, and T a number or a string."""
    assert claim_in(values) == GOOD


@pytest.mark.parametrize(
    "values",
    [
        None,
        b"Sign",
        ["Sign", "T"],
        {},
        {"Sign": GOOD.sign},
        {"T": 1800000600},
        {"Sign": GOOD.sign, "T": True},
        {"Sign": GOOD.sign, "T": 1800000600.0},
        {"Sign": GOOD.sign, "T": -1},
        {"Sign": GOOD.sign, "T": 10**30},
        {"Sign": GOOD.sign, "T": "１８０００００６００"},
        {"Sign": GOOD.sign, "T": "1800000600 "},
        {"Sign": GOOD.sign[:-1], "T": "1800000600"},
        {"Sign": [GOOD.sign], "T": "1800000600"},
        {"Sign": "é" * 32, "T": "1800000600"},
    ],
)
def test_what_is_not_whole_is_none(values: Any) -> None:
    """An incomplete or malformed signature is ignored."""
    assert claim_in(values) is None


def test_the_body_is_an_event_without_it() -> None:
    """Stored events contain no signature."""
    assert without_claim({"Sign": "x", "t": 1, "EventType": "y"}) == {"EventType": "y"}


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.floats() | st.lists(st.text())))
def test_nothing_breaks_it(values: dict[str, Any]) -> None:
    """Any malformed signature is rejected without an exception."""
    assert not is_genuine([claim_in(values)], KEY, NOW)
