"""How VOD signs a callback: ``Sign`` = MD5(SignKey + T), where T is the Unix time at which the signature expires.

Invariant: how long a check takes depends on what is presented, never on the key or on how much of a signature is right.

The signature covers the expiry alone, not the body. So it proves who sends only where nobody can read along (HTTPS), and
whoever has seen one can use it until T; a repeated event changes nothing in the inbox.

Source: VOD API 2018-07-17, ModifyEventConfig (SignKey). It does not say where in the notification the two values stand.
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
    """A signature as it was presented.

    :param sign: 32 hexadecimal digits.
    :param expires: Unix seconds, as they were written.
    """

    sign: str
    expires: str


_NO_CLAIM = Claim("0" * 32, "0")


def sign(sign_key: str, expires: str) -> str:
    """Sign as VOD does.

    :param sign_key: the application's SignKey.
    :param expires: Unix seconds in decimal.
    :return: 32 lower-case hexadecimal digits.
    """
    return hashlib.md5(f"{sign_key}{expires}".encode(), usedforsecurity=False).hexdigest()


def claim_in(values: Any) -> Claim | None:
    """Find a signature among headers, query parameters or the members of a body.

    :param values: by name; upper and lower case of the names do not matter. Anything but a mapping holds none.
    :return: None where there is no whole signature.
    """
    if not isinstance(values, Mapping):
        return None
    found = {name.lower(): value for name, value in values.items() if isinstance(name, str) and name.lower() in _NAMES}
    given, expires = found.get("sign"), found.get("t")
    if isinstance(expires, int) and not isinstance(expires, bool):
        expires = str(expires) if 0 <= expires < 10**12 else None
    if not (isinstance(given, str) and _SIGN.fullmatch(given)):
        return None
    if not (isinstance(expires, str) and _EXPIRY.fullmatch(expires)):
        return None
    return Claim(given, expires)


def without_claim(values: Mapping[str, Any]) -> dict[str, Any]:
    """Copy the members of a body, but not the signature: it is no part of the event."""
    return {name: value for name, value in values.items() if name.lower() not in _NAMES}


def is_genuine(claims: Iterable[Claim | None], sign_key: str, now: float) -> bool:
    """Say whether one of the signatures is right and has not expired.

    :param claims: one for each place where a signature may stand; None for a place without.
    :param sign_key: the application's SignKey.
    :param now: Unix seconds.
    """
    genuine = False
    for claim in claims:
        presented = claim or _NO_CLAIM
        right = hmac.compare_digest(sign(sign_key, presented.expires), presented.sign.lower())
        genuine |= right and now <= int(presented.expires)
    return genuine
