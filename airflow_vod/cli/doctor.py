"""``airflow-vod doctor``: checks whether events will arrive, and names those that will not.

Invariant: without ``--fix`` nothing is changed anywhere; with it, only the application's callback settings. No printed text
contains a secret.

Source: VOD API 2018-07-17, DescribeEventConfig and ModifyEventConfig; the console's callback settings.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TextIO
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import conf

from airflow_vod.exceptions import InboxError, VodApiError, VodSettingsError, printable
from airflow_vod.get_provider_info import RENAMED_FIELDS
from airflow_vod.hooks.config import inbox_url
from airflow_vod.hooks.paths import URL_PREFIX
from airflow_vod.hooks.server import ServerHook
from airflow_vod.hooks.vod import exposed_secrets
from airflow_vod.tencent.client import VodClient
from airflow_vod.tencent.urls import shown_url

if TYPE_CHECKING:
    from airflow_vod.tencent.settings import VodSettings

Level = Literal["ok", "note", "warning", "error"]
CALLBACK_PATH = f"{URL_PREFIX}/callbacks"
_SWITCHES = {
    "UploadMediaCompleteEventSwitch": "NewFileUpload",
    "DeleteMediaCompleteEventSwitch": "FileDeleted",
    "PersistenceCompleteEventSwitch": "PersistenceComplete",
}
_CONSOLE_ONLY = "ConcatComplete, TranscodeComplete, CreateImageSpriteComplete and CreateSnapshotByTimeOffsetComplete"
_LONG_BACKLOG = 1000  # events


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check.

    :param level: an ``error`` prevents events from arriving; a ``warning`` may.
    :param text: what was found, and how to fix it.
    """

    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class _Target:
    """The callback settings that the application should have.

    :param settings: the connection.
    :param mode: ``PULL`` or ``PUSH``.
    :param url: the callback URL, token included.
    """

    settings: VodSettings
    mode: str
    url: str

    @property
    def shown_url(self) -> str:
        """The callback URL without the token."""
        return _without_token(self.url, self.settings)

    @property
    def is_reachable(self) -> bool:
        """Whether VOD could reach the callback URL."""
        return _can_be_reached(self.url, self.settings)

    def missing_from(self, config: dict[str, Any]) -> dict[str, str]:
        """Return the settings to change; the SignKey always, because VOD does not return it.

        :param config: the answer of DescribeEventConfig.
        """
        changes = {} if config.get("Mode") == self.mode else {"Mode": self.mode}
        if self.mode == "PUSH":
            if config.get("NotificationUrl") != self.url:
                changes["NotificationUrl"] = self.url
            if self.settings.callback_secret:
                changes["SignKey"] = self.settings.callback_secret
        return changes


def callback_url(conn_id: str, settings: VodSettings, base_url: str) -> str:
    """Build the URL to which VOD posts callbacks. It contains the connection's token, if there is one: a secret.

    :param conn_id: Airflow connection id.
    :param settings: the connection's settings.
    :param base_url: external address of Airflow, such as ``https://airflow.example.com``.
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
) -> list[CheckResult]:
    """Check everything between VOD and the inbox.

    :param conn_id: Airflow connection id.
    :param sub_app_id: overrides the connection's application.
    :param mode: ``PULL`` or ``PUSH``, the intended delivery; None for PUSH if the connection has a secret for callbacks, else
        PULL.
    :param base_url: external address of Airflow; None for ``[api] base_url``.
    :param fix: whether to set mode, URL and SignKey of the application as intended.
    :return: the results, in the order of the checks.
    """
    try:
        settings = ServerHook(conn_id, sub_app_id=sub_app_id).get_settings()
    except VodSettingsError as error:
        return [CheckResult("error", str(error))]
    mode = mode or ("PUSH" if settings.takes_callbacks else "PULL")
    base_url = base_url or conf.get("api", "base_url", fallback="http://localhost:8080")
    target = _Target(settings, mode, callback_url(conn_id, settings, base_url))
    results = [*_check_connection(conn_id, target), *_check_secrecy(conn_id), *_check_inbox()]
    if mode == "PUSH" and not settings.takes_callbacks:
        text = "The connection has neither callback_secret nor callback_token: every callback is rejected."
        return [*results, CheckResult("error", text)]
    client = VodClient(settings)
    try:
        results += _check_application(client, target, fix=fix)
    finally:
        client.close()
    return results


def print_results(results: list[CheckResult], out: TextIO, *, as_json: bool) -> int:
    """Print what `examine` found.

    :param results: its results.
    :param out: where to print.
    :param as_json: as a JSON list instead of lines.
    :return: exit status: 1 if there is an error, else 0.
    """
    if as_json:
        print(json.dumps([asdict(result) for result in results], indent=2), file=out)
    else:
        for result in results:
            mark = result.level.upper() if result.level in ("warning", "error") else result.level
            print(f"{mark:7} {printable(result.text)}", file=out)
    return int(any(result.level == "error" for result in results))


def _check_connection(conn_id: str, target: _Target) -> Iterator[CheckResult]:
    queue = target.settings.queue
    yield CheckResult("ok", f"Connection {conn_id}: queue {queue}, intended delivery is by {_delivery(target.mode)}.")
    if target.settings.sub_app_id is None:
        text = (
            "The connection has no sub_app_id: this is the primary application. Accounts since 2023-12-25 require one."
        )
        yield CheckResult("note", text)


def _check_secrecy(conn_id: str) -> Iterator[CheckResult]:
    """Check whether everybody who may read connections sees secrets of this one."""
    for name in exposed_secrets(ServerHook.get_connection(conn_id).extra_dejson):
        text = (
            f"Everybody who may read connections sees the field {name}, because Airflow does not hide it by this name. "
        )
        if present := RENAMED_FIELDS.get(name):
            text += f"Move its value to {present}, which Airflow hides, and consider it known: change it."
        else:
            text += "Upgrade Airflow, or add the name to [core] sensitive_var_conn_names."
        yield CheckResult("warning", text)


def _check_inbox() -> Iterator[CheckResult]:
    from airflow_vod.inbox import InboxStore

    try:
        store = InboxStore.open(inbox_url())
    except InboxError as error:
        yield CheckResult("error", str(error))
        return
    url = store.url
    store.close()
    yield CheckResult("ok", f"Inbox {url} can be opened.")
    if url.startswith("sqlite"):
        text = "The inbox is a file: API server, triggerers and workers must run on this machine. See inbox_sql_alchemy_conn."
        yield CheckResult("note", text)


def _check_application(client: VodClient, target: _Target, *, fix: bool) -> Iterator[CheckResult]:
    """Check the callback settings of the application, after changing them if `fix` is set."""
    try:
        config = client.describe_event_config()
        changes = target.missing_from(config) if fix else {}
        if "NotificationUrl" in changes and not target.is_reachable:
            text = f"Nothing was changed: VOD cannot reach {target.shown_url}. "
            yield CheckResult("error", f"{text}Give --base-url https://…, or set [api] base_url.")
        elif changes:
            client.modify_event_config(**changes)
            config = client.describe_event_config()
            yield CheckResult("ok", f"Set {', '.join(sorted(changes))} of the application.")
        yield _check_mode(config, target)
        if target.mode == "PUSH":
            yield _check_configured_url(config, target)
            yield from _check_url(target)
        yield from _check_switches(config)
        if config.get("Mode") == "PULL":
            yield _check_backlog(client)
    except VodApiError as error:
        yield CheckResult("error", f"VOD refused the request or did not answer. {error}")


def _check_mode(config: dict[str, Any], target: _Target) -> CheckResult:
    mode = str(config.get("Mode"))
    if mode == target.mode:
        return CheckResult("ok", f"The application delivers events by {_delivery(mode)}.")
    text = f"The application delivers events by {_delivery(mode)}, not by {_delivery(target.mode)}. Use --fix to change it."
    return CheckResult("error", text)


def _check_configured_url(config: dict[str, Any], target: _Target) -> CheckResult:
    configured = str(config.get("NotificationUrl") or "")
    if configured == target.url:
        return CheckResult("ok", f"Callbacks are sent to {target.shown_url}.")
    other = shown_url(configured) if configured else "no URL"
    text = (
        f"Callbacks are sent to {other}, not to {target.shown_url}. Use --fix to change it, after checking --base-url."
    )
    return CheckResult("error", text)


def _check_url(target: _Target) -> Iterator[CheckResult]:
    """Check the intended callback URL itself."""
    parts = urlsplit(target.url)
    if parts.scheme != "https":
        text = "The callback URL is not https: anyone who intercepts a signature or token can use it to send events."
        yield CheckResult("warning", text)
    if not target.is_reachable:
        host = parts.hostname or target.shown_url
        yield CheckResult("error", f"VOD cannot reach {host}. Give --base-url, or set [api] base_url.")
    text = "Not checked: whether the API server can read this connection. If not, it rejects callbacks, and logs why."
    yield CheckResult("note", text)
    if target.settings.callback_secret is None:
        text = "The secret is part of the URL: proxies may log it. Prefer a SignKey if VOD offers one."
        yield CheckResult("note", text)


def _check_switches(config: dict[str, Any]) -> Iterator[CheckResult]:
    """Check which event types the application delivers at all."""
    for switch, event_type in _SWITCHES.items():
        state = config.get(switch)
        if state == "ON":
            yield CheckResult("ok", f"{event_type} events arrive.")
        else:
            text = f"{event_type} events do not arrive: {switch} is {state}. If needed, tick them in the VOD console, under "
            yield CheckResult("note", f"{text}callback settings.")
    text = f"{_CONSOLE_ONLY} arrive only if ticked in the VOD console, under callback settings, which no API returns. "
    yield CheckResult("note", f"{text}EditMediaComplete needs no tick.")


def _check_backlog(client: VodClient) -> CheckResult:
    waiting = client.describe_events_state()
    level: Level = "ok" if waiting < _LONG_BACKLOG else "warning"
    return CheckResult(level, f"About {waiting} events are waiting in the queue (VOD's own count, some minutes old).")


def _delivery(mode: str) -> str:
    return "callback (PUSH)" if mode == "PUSH" else "queue (PULL)"


def _can_be_reached(url: str, settings: VodSettings) -> bool:
    """Whether VOD could reach a URL; an emulator on this machine can reach this machine."""
    parts, vod = urlsplit(url), urlsplit(f"//{settings.host}")
    is_near = not _is_local(parts.hostname or "") or _is_local(vod.hostname or "")
    return parts.scheme in ("http", "https") and bool(parts.hostname) and is_near


def _is_local(host: str) -> bool:
    return host in ("localhost", "::1") or host.endswith(".localhost") or host.startswith(("127.", "0."))


def _without_token(url: str, settings: VodSettings) -> str:
    if settings.callback_token and url.endswith(settings.callback_token):
        return url[: -len(settings.callback_token)] + "***"
    return url.partition("?")[0]
