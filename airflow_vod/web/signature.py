"""The signature of callbacks: ``Sign`` = MD5(SignKey + T), where T is the Unix time at which the signature expires.

Invariant: the time taken by a check depends on the request, never on the key or on how much of a signature is correct.

The signature covers the expiry only, not the body. So it authenticates the sender only if nobody can eavesdrop (HTTPS), and
anybody who has seen one can reuse it until T; a repeated event has no effect on the inbox.

Source: VOD API 2018-07-17, ModifyEventConfig (SignKey). It does not say where in the notification the two values are placed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_NAMES = frozenset(("sign", "t"))
_EXPIRY = re.compile(r"[0-9]{1,12}")
_SIGN = re.compile(r"[0-9A-Fa-f]{32}")


@dataclass(frozen=True, slots=True)
class Claim:
    """A signature as presented, not verified.

    :param sign: 32 hexadecimal digits.
    :param expires_at: Unix seconds in decimal, exactly as sent.
    """

    sign: str
    expires_at: str


_NO_CLAIM = Claim("0" * 32, "0")


def sign(sign_key: str, expires_at: str) -> str:
    """Sign as VOD does.

    :param sign_key: the application's SignKey.
    :param expires_at: Unix seconds in decimal.
    :return: 32 lower-case hexadecimal digits.
    """
    return hashlib.md5(f"{sign_key}{expires_at}".encode(), usedforsecurity=False).hexdigest()


def claim_in(values: Any) -> Claim | None:
    """Find a signature among headers, query parameters or the members of a body.

    :param values: by name, in upper or lower case; anything but a mapping contains none.
    :return: the signature; None unless it is complete and well-formed.
    """
    if not isinstance(values, Mapping):
        return None
    found = {name.lower(): value for name, value in values.items() if isinstance(name, str) and name.lower() in _NAMES}
    given, expires_at = found.get("sign"), found.get("t")
    if isinstance(expires_at, int) and not isinstance(expires_at, bool):
        expires_at = str(expires_at) if 0 <= expires_at < 10**12 else None
    if not (isinstance(given, str) and _SIGN.fullmatch(given)):
        return None
    if not (isinstance(expires_at, str) and _EXPIRY.fullmatch(expires_at)):
        return None
    return Claim(given, expires_at)


def without_claim(values: Mapping[str, Any]) -> dict[str, Any]:
    """Copy the members of a body except the signature, which is not part of the event.

    :param values: the body.
    :return: the event.
    """
    return {name: value for name, value in values.items() if name.lower() not in _NAMES}


def is_genuine(claims: Iterable[Claim | None], sign_key: str, now: float) -> bool:
    """Check whether any of the signatures is correct and has not expired.

    :param claims: one for each possible place of a signature; None for a place without.
    :param sign_key: the application's SignKey.
    :param now: Unix seconds.
    :return: whether one is.
    """
    genuine = False
    for claim in claims:
        presented = claim or _NO_CLAIM
        right = hmac.compare_digest(sign(sign_key, presented.expires_at), presented.sign.lower())
        genuine |= right and now <= int(presented.expires_at)
    return genuine
