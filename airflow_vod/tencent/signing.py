"""Signs URLs of media files for domains with hotlink protection by key.

Invariants: only the signature leaves this module, never the key; a URL that is signed already is returned as it is; everything
else in a URL stays, and the signature's parameters stand at its end in VOD's order.

Source: VOD, Key Hotlink Protection (https://www.tencentcloud.com/document/product/266/33986): ``sign`` is the MD5, in lower-case
hexadecimal, of key, folder, ``t``, ``exper``, ``rlimit`` and ``us`` one after the other, those that are absent left out.
"""

from __future__ import annotations

import hashlib
import math
import re
import secrets
import time
from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import SplitResult, parse_qsl, urlsplit

from airflow_vod.exceptions import MediaError, VodSettingsError, printable

MAX_CLIENTS = 9
"""Most client addresses that a signed URL can be limited to (``rlimit``)."""

_KEY = re.compile(r"[A-Za-z0-9]{8,20}")
_RANDOM = re.compile(r"[A-Za-z0-9]{1,10}")
_OURS = ("t", "exper", "rlimit", "us", "sign")

Seconds = timedelta | float | str
"""A span of time: a timedelta, or a number of seconds, also as text (a template gives text)."""


def check_key(key: str) -> None:
    """Check the form of a hotlink protection key.

    :param key: 8 to 20 letters and digits (VOD, Key Hotlink Protection).
    :raises VodSettingsError: it has another form; the message does not show it.
    """
    if not _KEY.fullmatch(key):
        raise VodSettingsError(
            "playback_secret must be 8 to 20 letters and digits, like VOD's hotlink protection key. Copy it from the VOD "
            "console: the domain's settings, Key Hotlink Protection."
        )


def check_url(url: str) -> None:
    """Check that a value is the URL of a media file.

    :param url: anything.
    :raises MediaError: it is not.
    """
    _split(url)


def is_signed(url: str) -> bool:
    """Say whether a URL has a signature already, valid or not.

    :param url: of a media file.
    """
    return any(name == "sign" for name, _ in parse_qsl(_split(url).query, keep_blank_values=True))


def sign(
    url: str,
    key: str,
    *,
    domains: Sequence[str] = (),
    valid_for: Seconds,
    max_clients: int | str | None = None,
    preview: Seconds | None = None,
) -> str:
    """Sign a URL so that it opens from now on for some time.

    :param url: of a media file; one that is signed already, or of no domain to sign, is returned as it is.
    :param key: the domain's hotlink protection key.
    :param domains: the domains to sign, host names in lower case; none stand for all.
    :param valid_for: how long the URL opens, from now.
    :param max_clients: how many different client addresses may open it, 1 to 9; None for any number.
    :param preview: how much of the media is played, in whole seconds; None for all of it.
    :return: the signed URL.
    :raises MediaError: the URL cannot be signed.
    :raises VodSettingsError: an argument is not valid.
    """
    check_key(key)
    parts = {
        "t": f"{math.ceil(time.time() + seconds('valid_for', valid_for)):x}",
        "exper": "" if preview is None else str(_whole("preview", preview)),
        "rlimit": "" if max_clients is None else str(_clients(max_clients)),
        "us": secrets.token_hex(5),
    }
    foreign = domains and _split(url).hostname not in domains
    return url if foreign or is_signed(url) else with_signature(url, key, **parts)


def with_signature(url: str, key: str, *, t: str, exper: str = "", rlimit: str = "", us: str = "") -> str:
    """Add given parameters and their signature to a URL.

    :param url: of a media file, not signed.
    :param key: the domain's hotlink protection key.
    :param t: when the URL expires, Unix seconds in lower-case hexadecimal.
    :param exper: length of the preview, decimal seconds.
    :param rlimit: number of client addresses, decimal.
    :param us: makes the URL unique; at most 10 letters and digits.
    :return: the signed URL.
    :raises MediaError: the URL is not one of a file, or has a query parameter of one of these names.
    """
    split = _split(url)
    taken = [name for name, _ in parse_qsl(split.query, keep_blank_values=True) if name in _OURS]
    if taken:
        raise MediaError(
            f"{shown(url)} cannot be signed: its query has a parameter {taken[0]!r} already, a name that VOD's signature uses. "
            "Remove the parameter from the URL."
        )
    if us and not _RANDOM.fullmatch(us):
        raise VodSettingsError(f"us must be 1 to 10 letters and digits, not {us!r}.")
    folder = split.path[: split.path.rfind("/") + 1]
    if folder == split.path:
        raise MediaError(f"{shown(url)} cannot be signed: it names no file.")
    # MD5 is VOD's choice; it protects nothing here but what VOD lets it protect.
    digest = hashlib.md5(f"{key}{folder}{t}{exper}{rlimit}{us}".encode(), usedforsecurity=False).hexdigest()
    values = {"t": t, "exper": exper, "rlimit": rlimit, "us": us, "sign": digest}
    added = "&".join(f"{name}={values[name]}" for name in _OURS if values[name])
    return split._replace(query=f"{split.query}&{added}" if split.query else added).geturl()


def shown(url: str) -> str:
    """Write a URL for people: without its query, which may hold a signature, without a password and on one line.

    :param url: any text.
    """
    try:
        split = urlsplit(url)
    except ValueError:
        return repr(url[:100])
    return printable(split._replace(netloc=split.netloc.rpartition("@")[2], query="", fragment="").geturl())


def seconds(name: str, value: Seconds) -> float:
    """Convert a span of time to seconds.

    :param name: of the argument, for the message.
    :param value: the span.
    :return: seconds, more than 0.
    :raises VodSettingsError: it is no such span.
    """
    try:
        number = value.total_seconds() if isinstance(value, timedelta) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number < math.inf or isinstance(value, bool):
        raise VodSettingsError(f"{name} must be a timedelta or a number of seconds above 0, not {value!r:.100}.")
    return number


def _whole(name: str, value: Seconds) -> int:
    number = seconds(name, value)
    if not number.is_integer():
        raise VodSettingsError(f"{name} must be a whole number of seconds, not {value!r:.100}.")
    return int(number)


def _clients(value: int | str) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"[1-9]", text):
        raise VodSettingsError(f"max_clients must be a whole number from 1 to {MAX_CLIENTS}, not {value!r:.100}.")
    return int(text)


def _split(url: str) -> SplitResult:
    """Split the URL of a media file.

    :raises MediaError: it is no HTTP URL.
    """
    try:
        split = urlsplit(url)
        valid = split.scheme in ("http", "https") and bool(split.hostname) and (split.port or 1) > 0
    except (AttributeError, TypeError, ValueError):
        valid = False
    if not valid:
        raise MediaError(
            f"{url!r:.100} is not the URL of a media file: it must begin with http:// or https:// and a host."
        )
    return split


def _excerpt(value: object) -> str:
    return repr(value.partition("?")[0][:100] if isinstance(value, str) else value)[:102]
