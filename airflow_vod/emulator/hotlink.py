"""Hotlink protection by key: which requests for a media file are let in.

Invariant: with a key, a request is let in only with a signature that this key made for this folder, before it expires, and from
no more client addresses than it allows.

Source: VOD, Key Hotlink Protection, written from its rules: the query ends with ``t`` (hexadecimal Unix seconds of expiry),
``exper`` (seconds of preview), ``rlimit`` (client addresses, at most 9), ``us`` (random) and ``sign``, in this order; ``sign`` is
``md5(KEY + Dir + t + exper + rlimit + us)``, and whatever fails is answered with 403. A preview is not cut here: the emulator
does not know where a second of a file ends.
"""

from __future__ import annotations

from hashlib import md5
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ORDER = ("t", "exper", "rlimit", "us", "sign")
"""Of the parameters in a query (documented)."""


class Hotlink:
    """The protection of one domain. Not thread-safe: its owner holds a lock.

    :param key: 8 to 20 letters and digits; empty for no protection.
    :param wall_clock: the time that signatures are made with, Unix seconds.
    """

    def __init__(self, key: str, wall_clock: Callable[[], float]) -> None:
        self._key = key
        self._wall_clock = wall_clock
        self._clients: dict[str, set[str]] = {}

    def objection(self, path: str, query: str, client: str) -> str:
        """Check a request.

        :param path: as in the URL, escapes included.
        :param query: as in the URL, without the question mark.
        :param client: the client's address.
        :return: why it is refused; empty when it is let in.
        """
        if not self._key:
            return ""
        pairs = [pair.partition("=")[::2] for pair in query.split("&")]
        signed = [(name, value) for name, value in pairs if name in ORDER]
        names = [name for name, _ in signed]
        if "sign" not in names:
            return "not signed"
        if names != [name for name in ORDER if name in names] or pairs[-len(signed) :] != signed:
            return "the parameters do not stand in VOD's order"
        given = dict(signed)
        folder = path[: path.rindex("/") + 1]
        text = self._key + folder + "".join(given.get(name, "") for name in ORDER[:-1])
        if md5(text.encode(), usedforsecurity=False).hexdigest() != given["sign"]:
            return "the signature does not match"
        return self._objection_to_signed(given, client)

    def _objection_to_signed(self, given: dict[str, str], client: str) -> str:
        try:
            expires_at, limit = int(given["t"], 16), int(given.get("rlimit") or 0)
        except (KeyError, ValueError):
            return "a parameter is missing or is no number"
        if given["t"] != given["t"].lower() or not 0 <= limit <= 9:
            return "a parameter is out of range"
        if self._wall_clock() > expires_at:
            return "expired"
        clients = self._clients.setdefault(given["sign"], set())
        if limit and client not in clients and len(clients) >= limit:
            return "too many clients"
        clients.add(client)
        return ""
