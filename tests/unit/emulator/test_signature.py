"""Signatures are verified, tested with those of the official SDK."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from airflow_vod.emulator.errors import ApiError
from airflow_vod.emulator.signature import verify

from .helpers import SECRET_ID, SECRET_KEY, sign

if TYPE_CHECKING:
    from airflow_vod.emulator.request import Request

NOW = 1_700_000_000.0
ACCOUNTS = {SECRET_ID: SECRET_KEY}


def code_of(request: Request, now: float = NOW) -> str:
    """The error code of a refused request."""
    with pytest.raises(ApiError) as caught:
        verify(request, ACCOUNTS, now, skew=300)
    return caught.value.code


def test_a_good_signature_names_its_account():
    """What the SDK's signer signs is accepted, by POST, by GET, and with an unsigned payload."""
    assert verify(sign("PullEvents", at=NOW), ACCOUNTS, NOW, skew=300) == SECRET_ID
    assert verify(sign("X", at=NOW, method="GET", query="SubAppId=1"), ACCOUNTS, NOW, skew=300) == SECRET_ID
    unsigned = replace(sign("X", {"a": 1}, at=NOW, unsigned_payload=True), body=b"something else")
    assert verify(unsigned, ACCOUNTS, NOW, skew=300) == SECRET_ID


@pytest.mark.parametrize(
    "change",
    [
        {"body": b'{"SubAppId":2}'},
        {"method": "PUT"},
        {"path": "/other"},
        {"query": "a=1"},
        {"host": "127.0.0.1:9901"},
        {"content-type": "application/json; charset=utf-8"},
        {"x-tc-timestamp": str(int(NOW) + 1)},
    ],
    ids=str,
)
def test_whatever_was_signed_cannot_be_changed(change: dict):
    """A different body, method, path, query, Host, content type or time does not match the signature."""
    request = sign("PullEvents", {"SubAppId": 1}, at=NOW)
    fields = {name: value for name, value in change.items() if name in ("body", "method", "path", "query")}
    headers = {name: value for name, value in change.items() if name not in fields}
    assert code_of(replace(request, headers={**request.headers, **headers}, **fields)) == "AuthFailure.SignatureFailure"


def test_a_wrong_key_is_refused():
    """A signature made with another key is refused."""
    assert code_of(sign("PullEvents", at=NOW, secret_key="wrong")) == "AuthFailure.SignatureFailure"


def test_an_unknown_secret_id_is_refused():
    """An unknown SecretId is refused."""
    assert code_of(sign("PullEvents", at=NOW, secret_id="AKIDnobody")) == "AuthFailure.SecretIdNotFound"


@pytest.mark.parametrize("late", [301, -301])
def test_more_than_five_minutes_off_is_expired(late: int):
    """A timestamp more than five minutes off is refused; one just within is accepted."""
    assert code_of(sign("PullEvents", at=NOW + late)) == "AuthFailure.SignatureExpire"
    assert verify(sign("PullEvents", at=NOW + late * 299 / 301), ACCOUNTS, NOW, skew=300) == SECRET_ID
    assert verify(sign("PullEvents", at=NOW + late), ACCOUNTS, NOW, skew=None) == SECRET_ID


def test_the_scope_must_be_this_service_and_this_day():
    """A signature for another day or another service is refused."""
    request = sign("PullEvents", at=NOW)
    assert code_of(sign("PullEvents", at=NOW, date="2023-11-13")) == "AuthFailure.SignatureFailure"
    other = {**request.headers, "authorization": request.headers["authorization"].replace("/vod/", "/cvm/")}
    assert code_of(replace(request, headers=other)) == "AuthFailure.SignatureFailure"


@pytest.mark.parametrize("value", [None, "", "SKIP", "TC3-HMAC-SHA256", "Basic abc", "TC3-HMAC-SHA256 Credential=a/b"])
def test_without_a_signature_nothing_goes(value: str | None):
    """A missing or malformed Authorization header is refused as such."""
    request = sign("PullEvents", at=NOW)
    headers = {name: text for name, text in request.headers.items() if name != "authorization"}
    if value is not None:
        headers["authorization"] = value
    assert code_of(replace(request, headers=headers)) == "AuthFailure.InvalidAuthorization"


def test_host_and_content_type_must_be_signed():
    """A signature that does not cover the Host is refused."""
    request = sign("PullEvents", at=NOW)
    headers = {
        **request.headers,
        "authorization": request.headers["authorization"].replace("content-type;host", "host"),
    }
    assert code_of(replace(request, headers=headers)) == "AuthFailure.SignatureFailure"


@pytest.mark.parametrize(("value", "code"), [(None, "MissingParameter"), ("soon", "InvalidParameter")])
def test_the_time_must_be_given(value: str | None, code: str):
    """A missing or malformed timestamp is refused."""
    request = sign("PullEvents", at=NOW)
    headers = {name: text for name, text in request.headers.items() if name != "x-tc-timestamp"}
    if value is not None:
        headers["x-tc-timestamp"] = value
    assert code_of(replace(request, headers=headers)) == code


def test_a_host_in_capitals_may_be_signed_as_it_is_or_lowered():
    """Header values may be signed in lower case, as documented, or unchanged, as the SDK does."""
    asis = sign("PullEvents", at=NOW, host="LocalHost:9900")
    lowered = sign("PullEvents", at=NOW, host="localhost:9900")
    for request in (asis, replace(lowered, headers={**lowered.headers, "host": "LocalHost:9900"})):
        assert verify(request, ACCOUNTS, NOW, skew=300) == SECRET_ID
