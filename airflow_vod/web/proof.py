"""What a callback proves itself with: a signature, a token at the end of the URL, or both.

Invariants: everything that can be checked without the body is checked before the body is read; a body is parsed only after a
signature in it has been found to be right. All proofs are evaluated, whatever the first one yields.
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass
from enum import Enum
from itertools import islice, product
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from airflow_vod.web.signature import Claim, claim_in, is_genuine, sign

if TYPE_CHECKING:
    from fastapi import Request

    from airflow_vod.tencent.settings import VodSettings

_UNKNOWN_SECRET = secrets.token_hex(16)  # stands in for a secret that is not configured
_CANDIDATES = 16  # pairs that are tried in a body; a callback has one
_SIGN = re.compile(rb'"[Ss][Ii][Gg][Nn]"\s{0,8}:\s{0,8}"([0-9A-Fa-f]{32})"')
_EXPIRY = re.compile(rb'"[Tt]"\s{0,8}:\s{0,8}"?([0-9]{1,12})["\s,}]')


class Verdict(Enum):
    """What is known of a callback before its body is read."""

    GENUINE = "genuine"
    BODY_DECIDES = "body decides"
    """Only a signature in the body can still prove it."""
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Presented:
    """What a request presents outside of its body, not verified.

    :param token: empty if there is none.
    :param claims: the signatures in the headers and in the query; None for a place without.
    """

    token: str
    claims: tuple[Claim | None, ...]


def presented_by(request: Request) -> Presented:
    """Read what a request presents in its path, query and headers.

    :param request: from anybody.
    """
    query = _query(request)
    token = request.path_params.get("token") or query.get("token", "")
    return Presented(token, (claim_in(request.headers), claim_in(query)))


def judge(settings: VodSettings | None, presented: Presented, now: float) -> Verdict:
    """Decide as far as can be decided without the body.

    :param settings: of the connection; None for one that cannot be used.
    :param presented: what the request presents.
    :param now: Unix seconds.
    """
    sign_key, token = (settings.callback_secret, settings.callback_token) if settings else (None, None)
    has_token = hmac.compare_digest((token or _UNKNOWN_SECRET).encode(), presented.token.encode("utf-8", "replace"))
    is_signed = is_genuine(presented.claims, sign_key or _UNKNOWN_SECRET, now)
    if not (sign_key or token) or (token and not has_token):
        return Verdict.REFUSED
    return Verdict.GENUINE if is_signed or not sign_key else Verdict.BODY_DECIDES


def may_be_signed(body: bytes, sign_key: str, now: float) -> bool:
    """Say whether there is a right signature in a body, without parsing it.

    :param body: from anybody.
    :param sign_key: the application's SignKey.
    :param now: Unix seconds.
    :return: False where there is none; True where one is there, be it in the right place (`claim_in`) or not.
    """
    signs = [each[1].decode().lower() for each in islice(_SIGN.finditer(body), _CANDIDATES)]
    expiries = {each[1].decode() for each in islice(_EXPIRY.finditer(body), _CANDIDATES)}
    right = [sign(sign_key, expires_at) for expires_at in expiries if now <= int(expires_at)]
    genuine = False
    for given, expected in product(signs, right):
        genuine |= hmac.compare_digest(given, expected)
    return genuine


def reason_of_refusal(settings: VodSettings | None, presented: Presented, body: bytes) -> str:
    """Say why a callback was not authenticated, for who operates Airflow.

    :param settings: of the connection.
    :param presented: what the request presented.
    :param body: as far as it was read.
    """
    if settings is None:
        return "the connection does not exist or cannot be read"
    if not settings.takes_callbacks:
        return "the connection has neither a SignKey nor a callback token"
    if settings.callback_token and not hmac.compare_digest(
        settings.callback_token.encode(), presented.token.encode("utf-8", "replace")
    ):
        return "its token is missing or wrong"
    is_signed = any(presented.claims) or _SIGN.search(body) is not None
    return "its signature is wrong or has expired" if is_signed else "it is not signed"


def _query(request: Request) -> dict[str, str]:
    try:
        return dict(parse_qsl(request.scope["query_string"].decode("latin-1"), max_num_fields=50))
    except ValueError:
        return {}
