"""``airflow-vod doctor``: is everything set so that events arrive, and which will not?

Invariant: without ``--fix`` nothing is changed, anywhere; with it, only how the application announces events. No text that is
printed holds a secret.

Source: VOD API 2018-07-17, DescribeEventConfig and ModifyEventConfig; the console's callback settings.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TextIO
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import conf

from airflow_vod.exceptions import InboxError, VodApiError, VodSettingsError
from airflow_vod.hooks.config import inbox_url
from airflow_vod.hooks.paths import URL_PREFIX
from airflow_vod.hooks.server import ServerHook
from airflow_vod.tencent.client import VodClient

if TYPE_CHECKING:
    from airflow_vod.tencent.settings import VodSettings

Level = Literal["ok", "note", "warning", "wrong"]
CALLBACK_PATH = f"{URL_PREFIX}/callbacks"
_SWITCHES = {
    "UploadMediaCompleteEventSwitch": "NewFileUpload",
    "DeleteMediaCompleteEventSwitch": "FileDeleted",
    "PersistenceCompleteEventSwitch": "PersistenceComplete",
}
_CONSOLE_ONLY = "ConcatComplete, TranscodeComplete, CreateImageSpriteComplete and CreateSnapshotByTimeOffsetComplete"
_MARKS: dict[Level, str] = {"ok": "ok     ", "note": "note   ", "warning": "WARNING", "wrong": "WRONG  "}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    :param level: ``wrong`` keeps events from arriving; a ``warning`` may.
    :param text: what was found, and what can be done.
    """

    level: Level
    text: str


def callback_url(conn_id: str, settings: VodSettings, base_url: str) -> str:
    """Make the URL to which VOD is to post. It holds the token of the connection, if there is one: a secret.

    :param base_url: where Airflow can be reached from outside, such as ``https://airflow.example.com``.
    """
    token = f"/{settings.callback_token}" if settings.callback_token else ""
    return f"{base_url.rstrip('/')}{CALLBACK_PATH}/{conn_id}{token}"


def examine(
    conn_id: str,
    sub_app_id: int | None = None,
    *,
    mode: str | None = None,
    base_url: str | None = None,
    fix: bool = False,
) -> list[Finding]:
    """Look at everything between VOD and the inbox.

    :param conn_id: Airflow connection id.
    :param sub_app_id: another application than the connection's.
    :param mode: ``PULL`` or ``PUSH``, as events are to come; None: by callback where the connection has a secret for those,
        else from the queue.
    :param base_url: where Airflow can be reached from outside; None: ``[api] base_url``.
    :param fix: set mode, URL and SignKey of the application as they should be.
    """
    try:
        settings = ServerHook(conn_id, sub_app_id=sub_app_id).get_settings()
    except VodSettingsError as error:
        return [Finding("wrong", str(error))]
    secret = settings.callback_sign_key or settings.callback_token
    wanted = mode or ("PUSH" if secret else "PULL")
    findings = [Finding("ok", f"Connection {conn_id}: queue {settings.queue}, events are to come by {_roads(wanted)}.")]
    if settings.sub_app_id is None:
        text = "The connection names no sub_app_id: this is the primary application. Accounts since 2023-12-25 must name one."
        findings.append(Finding("note", text))
    findings += _inbox()
    if wanted == "PUSH" and not secret:
        findings.append(
            Finding(
                "wrong", "The connection has neither callback_sign_key nor callback_token: every callback is refused."
            )
        )
        return findings
    url = callback_url(conn_id, settings, base_url or conf.get("api", "base_url", fallback="http://localhost:8080"))
    client = VodClient(settings)
    try:
        config = client.describe_event_config()
        changes = _changes(config, wanted, url, settings)
        if fix and "NotificationUrl" in changes and not _can_be_reached(url, settings):
            shown = _without_token(url, settings)
            text = f"Nothing was changed: VOD cannot reach {shown}. Give --base-url https://…, or set [api] base_url."
            findings.append(Finding("wrong", text))
        elif fix and changes:
            client.modify_event_config(**changes)
            config = client.describe_event_config()
            findings.append(Finding("ok", f"Set {', '.join(sorted(changes))} of the application."))
        findings += _config(config, wanted, url, settings)
        if config.get("Mode") == "PULL":
            findings.append(_backlog(client))
    except VodApiError as error:
        findings.append(Finding("wrong", f"VOD refused or did not answer. {error}"))
    finally:
        client.close()
    return findings


def print_findings(findings: list[Finding], out: TextIO, *, as_json: bool) -> int:
    """Print what `examine` found.

    :param out: where.
    :return: exit status: 1 where something is wrong, else 0.
    """
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2), file=out)
    else:
        for finding in findings:
            print(f"{_MARKS[finding.level]} {finding.text}", file=out)
    return int(any(finding.level == "wrong" for finding in findings))


def _roads(mode: str) -> str:
    return "callback (PUSH)" if mode == "PUSH" else "the queue (PULL)"


def _inbox() -> list[Finding]:
    from airflow_vod.inbox import InboxStore

    try:
        store = InboxStore.open(inbox_url())
    except InboxError as error:
        return [Finding("wrong", str(error))]
    url = store.url
    store.close()
    found = [Finding("ok", f"Inbox {url} can be opened.")]
    if url.startswith("sqlite"):
        text = "The inbox is a file: API server, triggerers and workers must run on this machine. See inbox_sql_alchemy_conn."
        found.append(Finding("note", text))
    return found


def _changes(config: dict[str, Any], wanted: str, url: str, settings: VodSettings) -> dict[str, str]:
    """Name what has to be set; the SignKey always, for VOD does not show it."""
    changes = {} if config.get("Mode") == wanted else {"Mode": wanted}
    if wanted == "PUSH":
        if config.get("NotificationUrl") != url:
            changes["NotificationUrl"] = url
        if settings.callback_sign_key:
            changes["SignKey"] = settings.callback_sign_key
    return changes


def _config(config: dict[str, Any], wanted: str, url: str, settings: VodSettings) -> Iterator[Finding]:
    mode = str(config.get("Mode"))
    if mode == wanted:
        yield Finding("ok", f"The application announces events by {_roads(mode)}.")
    else:
        yield Finding(
            "wrong", f"The application announces events by {_roads(mode)}, not by {_roads(wanted)}. --fix sets it."
        )
    if wanted == "PUSH":
        yield from _url(str(config.get("NotificationUrl") or ""), url, settings)
    for switch, event_type in _SWITCHES.items():
        state = config.get(switch)
        off = (
            f"do not arrive: {switch} is {state}. Who needs them ticks them in the VOD console, under callback settings"
        )
        will = "arrive" if state == "ON" else off
        yield Finding("ok" if state == "ON" else "note", f"Events {event_type} {will}.")
    yield Finding(
        "note",
        f"{_CONSOLE_ONLY} arrive only if they are ticked in the VOD console, under callback settings; no API tells. "
        "EditMediaComplete needs no tick.",
    )


def _url(configured: str, url: str, settings: VodSettings) -> Iterator[Finding]:
    shown = _without_token(url, settings)
    if configured == url:
        yield Finding("ok", f"Callbacks go to {shown}.")
    else:
        other = _without_token(configured, settings) if configured else "nowhere"
        yield Finding(
            "wrong", f"Callbacks go to {other}, not to {shown}. --fix sets it; --base-url says where Airflow is."
        )
    parts = urlsplit(url)
    if parts.scheme != "https":
        text = "The callback URL is not https: whoever reads along can use a signature or token that was seen."
        yield Finding("warning", text)
    if not _can_be_reached(url, settings):
        yield Finding("wrong", f"VOD cannot reach {parts.hostname or shown}. Give --base-url, or set [api] base_url.")
    text = "Not looked at: whether the API server knows this connection. It refuses callbacks otherwise, and its log says so."
    yield Finding("note", text)
    if settings.callback_sign_key is None:
        text = "The URL itself holds the secret: proxies may write it to their logs. A SignKey is better, where VOD offers it."
        yield Finding("note", text)


def _can_be_reached(url: str, settings: VodSettings) -> bool:
    """Whether a URL may lead anywhere from where VOD is; an emulator on this machine is on this machine too."""
    parts, vod = urlsplit(url), urlsplit(f"//{settings.host}")
    there = not _is_local(parts.hostname or "") or _is_local(vod.hostname or "")
    return parts.scheme in ("http", "https") and bool(parts.hostname) and there


def _is_local(host: str) -> bool:
    return host in ("localhost", "::1") or host.endswith(".localhost") or host.startswith(("127.", "0."))


def _without_token(url: str, settings: VodSettings) -> str:
    if settings.callback_token and url.endswith(settings.callback_token):
        return url[: -len(settings.callback_token)] + "***"
    return url.partition("?")[0] if url else url


def _backlog(client: VodClient) -> Finding:
    waiting = client.describe_events_state()
    return Finding(
        "ok" if waiting < 1000 else "warning",
        f"About {waiting} events wait in the queue (VOD's own count, some minutes old).",
    )
