"""What a callback says: the form of an event as it is posted in PUSH mode, and its signature.

Invariant: pure values; `pusher` makes the posts.

Sources: VOD's guide of the normal callback (forms 3.0 and 2.0); VOD API 2018-07-17, ModifyEventConfig
(SignKey: Sign = MD5(SignKey + T), T ten minutes ahead). Where these are silent, see `EmulatorOptions`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from airflow_vod.emulator.content import to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_vod.emulator.application import EventConfig
    from airflow_vod.emulator.options import EmulatorOptions

SIGNATURE_LIFE = 600
"""Seconds for which a signature is good (documented as the default)."""
_LEGACY_NAMES = {
    "TaskId": "vodTaskId",
    "PlayInfoSet": "playSet",
    "ImageSpriteUrlSet": "imageSpriteUrl",
    "SnapshotInfoSet": "picInfo",
    "FileInfoSet": "fileInfo",
}


@dataclass(frozen=True, slots=True)
class Post:
    """One POST that is to be made."""

    sub_app_id: int
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Callback:
    """What came of a POST."""

    post: Post
    tries: int
    outcome: str
    """The HTTP status, ``timeout``, or the name of the error."""

    @property
    def accepted(self) -> bool:
        """Whether it was answered with 200."""
        return self.outcome == "200"


def posts_of(
    event: Mapping[str, Any], sub_app_id: int, config: EventConfig, options: EmulatorOptions, now: float
) -> list[Post]:
    """Write the callbacks of an event.

    :param event: as an item of ``EventSet``, without handle.
    :param config: of the application; without URL there are no callbacks.
    :param now: Unix seconds.
    :return: one for each form.
    """
    if not config.notification_url:
        return []
    v3 = {name: value for name, value in event.items() if name != "EventHandle" and value is not None}
    bodies = {"v3": [v3], "v2": [legacy_form(v3)], "both": [v3, legacy_form(v3)]}[options.push_form]
    return [_post(body, sub_app_id, config, options, now) for body in bodies]


def _post(body: dict[str, Any], sub_app_id: int, config: EventConfig, options: EmulatorOptions, now: float) -> Post:
    url, headers = config.notification_url, {"Content-Type": "application/json"}
    if config.sign_key:
        expires = int(now) + SIGNATURE_LIFE
        sign = hashlib.md5(f"{config.sign_key}{expires}".encode(), usedforsecurity=False).hexdigest()
        if options.push_signature == "body":
            body = {**body, "Sign": sign, "T": expires}
        elif options.push_signature == "query":
            url += ("&" if urlsplit(url).query else "?") + urlencode({"Sign": sign, "T": expires})
        else:
            headers |= {"Sign": sign, "T": str(expires)}
    return Post(sub_app_id, url, headers, to_json(body))


def legacy_form(event: Mapping[str, Any]) -> dict[str, Any]:
    """Write an event in the legacy form 2.0.

    :param event: in form 3.0.
    """
    payload = next((value for value in event.values() if isinstance(value, dict)), {})
    return {"version": "4.0", "eventType": event.get("EventType"), "data": _legacy(payload)}


def _legacy(value: Any) -> Any:
    if isinstance(value, list):
        return [_legacy(each) for each in value]
    if not isinstance(value, dict):
        return value
    names = {**_LEGACY_NAMES, "ErrCode": "errCode" if "Status" in value else "status"}
    return {names.get(name, name[:1].lower() + name[1:]): _legacy(each) for name, each in value.items()}
