"""URLs that may hold a password.

Invariant: what is shown of a URL is at most its scheme, host and port; where these cannot be told for certain, nothing is.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, unquote, urlsplit

HIDDEN = "***"
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
_PROXY_SCHEMES = ("http", "https")


def shown_url(url: str) -> str:
    """Write a URL so that anybody may read it, whatever secrets it holds.

    Masking goes by form alone: a user, a password, a path, a query or a fragment may each be or hold a secret.

    :param url: any text.
    :return: such as ``https://example.com:8443/***``; ``***`` for what is not the URL of a host.
    """
    parts = _split(url)
    if parts is None or not parts.scheme:
        return HIDDEN
    where = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    user = f"{HIDDEN}@" if "@" in parts.netloc else ""
    port = f":{parts.port}" if parts.port else ""
    rest = f"/{HIDDEN}" if parts.path.strip("/") or parts.query or parts.fragment else ""
    return f"{parts.scheme}://{user}{where}{port}{rest}"


def is_proxy_url(url: str) -> bool:
    """Whether a text names an HTTP proxy, with or without scheme, user and password."""
    try:
        split_proxy(url)
    except ValueError:
        return False
    return True


def split_proxy(url: str) -> tuple[str, str | None]:
    """Separate a proxy's address from who we are to it.

    :param url: ``http://user:password@host:port``, perhaps without scheme, user and password, which may hold ``%XX``.
    :return: the address as a URL, and ``user:password`` decoded; None without user.
    :raises ValueError: it is no such URL; the message does not repeat it.
    """
    parts = _split(url if "://" in url else f"http://{url}")
    if parts is None or parts.scheme not in _PROXY_SCHEMES or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("not the URL of a proxy")
    address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if parts.username is None:
        return address, None
    identity = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    if max(identity) > "\xff":  # what Basic authentication sends is Latin-1
        raise ValueError("not the URL of a proxy")
    return address, identity


def _split(url: str) -> SplitResult | None:
    """Take a URL apart; None if it is not clear which part is the host."""
    try:
        parts = urlsplit(url)
        plain = url.isascii() and url.isprintable() and " " not in url
        # A raw / ? or # in a password ends the host too early, and leaves its @ behind.
        elsewhere = "@" in f"{parts.path}{parts.query}{parts.fragment}"
        host = parts.hostname or ""
        if not plain or elsewhere or not _HOST.fullmatch(host) or parts.port == 0:  # reading the port checks it
            return None
        return parts
    except ValueError:
        return None
