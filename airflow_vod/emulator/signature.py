"""Verification of TC3-HMAC-SHA256 signatures.

Invariant: a request passes only if its method, path, query, Host, content type and body (unless declared UNSIGNED-PAYLOAD) were
signed with the secret key, at a time close enough to now. No I/O: the time is an argument.

Source: Tencent Cloud API 3.0, signature v3.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from airflow_vod.emulator.errors import ApiError, missing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_vod.emulator.request import Request

ALGORITHM = "TC3-HMAC-SHA256"
_AUTHORIZATION = re.compile(
    rf"{ALGORITHM}\s+Credential=(?P<id>[^/,\s]+)/(?P<date>\d{{4}}-\d\d-\d\d)/(?P<service>\w+)/tc3_request,\s*"
    r"SignedHeaders=(?P<headers>[\w;.-]+),\s*Signature=(?P<signature>[0-9a-fA-F]{64})"
)


@dataclass(frozen=True, slots=True)
class Signed:
    """The claims of the Authorization header."""

    secret_id: str
    date: str
    service: str
    headers: tuple[str, ...]
    signature: str


def read_authorization(value: str | None) -> Signed:
    """Parse the Authorization header.

    :param value: the header; None if there is none.
    :return: its claims, not verified.
    :raises ApiError: AuthFailure.InvalidAuthorization, when it is absent or not in the format of signature v3.
    """
    match = _AUTHORIZATION.fullmatch((value or "").strip())
    if match is None:
        raise ApiError(
            "AuthFailure.InvalidAuthorization",
            f"The Authorization header is not in the format of {ALGORITHM} (signature v3).",
        )
    return Signed(match["id"], match["date"], match["service"], tuple(match["headers"].split(";")), match["signature"])


def verify(
    request: Request, accounts: Mapping[str, str], now: float, *, skew: float | None, service: str = "vod"
) -> str:
    """Verify the signature of a request.

    :param request: as received.
    :param accounts: SecretId to secret key.
    :param now: the server's wall clock, Unix seconds.
    :param skew: how far the request's timestamp may be off, in seconds; None accepts any.
    :param service: the service that the request must be for.
    :return: the SecretId of the signer.
    :raises ApiError: an AuthFailure, or MissingParameter without a timestamp.
    """
    claims = read_authorization(request.headers.get("authorization"))
    timestamp = _timestamp(request, now, skew)
    if claims.secret_id not in accounts:
        raise ApiError(
            "AuthFailure.SecretIdNotFound", "The SecretId is not found, please ensure that your SecretId is correct."
        )
    if claims.service != service or not {"content-type", "host"} <= set(claims.headers):
        raise _mismatch()
    if claims.date != datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d"):
        raise _mismatch()
    key = _signing_key(accounts[claims.secret_id], claims.date, service)
    for headers in _canonical_headers(request, claims.headers):
        text = _string_to_sign(request, timestamp, claims, headers)
        if hmac.compare_digest(hmac.new(key, text.encode(), hashlib.sha256).hexdigest(), claims.signature.lower()):
            return claims.secret_id
    raise _mismatch()


def _mismatch() -> ApiError:
    return ApiError(
        "AuthFailure.SignatureFailure",
        "The provided credentials could not be validated. Please check your signature is correct.",
    )


def _timestamp(request: Request, now: float, skew: float | None) -> int:
    text = request.headers.get("x-tc-timestamp")
    if text is None:
        raise missing("Timestamp")
    if not re.fullmatch(r"\d{1,12}", text, re.ASCII):
        raise ApiError("InvalidParameter", "The value type of parameter `Timestamp` is not valid.")
    if skew is not None and abs(now - int(text)) > skew:
        raise ApiError(
            "AuthFailure.SignatureExpire", "The provided credentials are expired: check the clock of your machine."
        )
    return int(text)


def _canonical_headers(request: Request, names: tuple[str, ...]) -> list[str]:
    # The documentation lower-cases the values, but the official SDK signs them as they are: both are accepted.
    values = [(name, request.headers.get(name, "").strip()) for name in names]
    lowered = "".join(f"{name}:{value.lower()}\n" for name, value in values)
    plain = "".join(f"{name}:{value}\n" for name, value in values)
    return [lowered] if lowered == plain else [lowered, plain]


def _string_to_sign(request: Request, timestamp: int, claims: Signed, headers: str) -> str:
    payload = b"" if request.method == "GET" else request.body
    if request.headers.get("x-tc-content-sha256") == "UNSIGNED-PAYLOAD":
        payload = b"UNSIGNED-PAYLOAD"
    canonical = "\n".join(
        (
            request.method,
            request.path,
            request.query,
            headers,
            ";".join(claims.headers),
            hashlib.sha256(payload).hexdigest(),
        )
    )
    scope = f"{claims.date}/{claims.service}/tc3_request"
    return f"{ALGORITHM}\n{timestamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"


@lru_cache(maxsize=64)
def _signing_key(secret_key: str, date: str, service: str) -> bytes:
    key = f"TC3{secret_key}".encode()
    for part in (date, service, "tc3_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
