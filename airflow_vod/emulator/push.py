"""The content of callbacks in PUSH mode: the format of events, and the signature.

Invariant: no I/O; `pusher` sends what is built here.

Sources: VOD's guide of the normal callback (formats 3.0 and 2.0); VOD API 2018-07-17, ModifyEventConfig
(SignKey: Sign = MD5(SignKey + T), T ten minutes ahead). For what these leave open, see `EmulatorOptions`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from airflow_vod.emulator.content import to_json
from airflow_vod.emulator.legacy import legacy_form

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_vod.emulator.application import EventConfig
    from airflow_vod.emulator.options import EmulatorOptions

SIGNATURE_TTL = 600
"""Seconds that a signature is valid (the documented default)."""


@dataclass(frozen=True, slots=True)
class Post:
    """One POST request to send."""

    sub_app_id: int
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Callback:
    """The outcome of a POST request."""

    post: Post
    tries: int
    """Attempts made."""
    outcome: str
    """The HTTP status, ``timeout``, or the name of the error."""

    @property
    def accepted(self) -> bool:
        """Whether the answer was 200."""
        return self.outcome == "200"


def posts_of(
    event: Mapping[str, Any], sub_app_id: int, config: EventConfig, options: EmulatorOptions, now: float
) -> list[Post]:
    """Build the callbacks of an event.

    :param event: as an item of ``EventSet``, without handle.
    :param sub_app_id: whose event it is.
    :param config: of the application; without a URL there are no callbacks.
    :param options: format and signature.
    :param now: Unix seconds.
    :return: one request per format that has such an event.
    """
    if not config.notification_url:
        return []
    v3 = {name: value for name, value in event.items() if name != "EventHandle" and value is not None}
    bodies = [v3 if options.push_form != "v2" else None, legacy_form(v3) if options.push_form != "v3" else None]
    return [_post(body, sub_app_id, config, options, now) for body in bodies if body is not None]


def _post(body: dict[str, Any], sub_app_id: int, config: EventConfig, options: EmulatorOptions, now: float) -> Post:
    url, headers = config.notification_url, {"Content-Type": "application/json"}
    if config.sign_key:
        expires_at = int(now) + SIGNATURE_TTL
        sign = hashlib.md5(f"{config.sign_key}{expires_at}".encode(), usedforsecurity=False).hexdigest()
        if options.push_signature == "body":
            body = {**body, "Sign": sign, "T": expires_at}
        elif options.push_signature == "query":
            url += ("&" if urlsplit(url).query else "?") + urlencode({"Sign": sign, "T": expires_at})
        else:
            headers |= {"Sign": sign, "T": str(expires_at)}
    return Post(sub_app_id, url, headers, to_json(body))
