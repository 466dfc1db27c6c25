"""The hook: from an Airflow connection to the settings, client and inbox of a VOD application.

Invariants: nothing is read before it is needed, so a hook can be created while a DAG is parsed; resolving a connection
synchronously and asynchronously returns the same settings.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_vod.exceptions import VodApiError, VodConnectionError, VodSettingsError
from airflow_vod.get_provider_info import EXTRA_FIELDS, RENAMED_FIELDS, SECRET_FIELDS
from airflow_vod.hooks.config import inbox_url, open_inbox

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection
    from tencentcloud.vod.v20180717.vod_client import VodClient as OfficialVodClient

    from airflow_vod.inbox import InboxStore
    from airflow_vod.tencent.client import VodClient
    from airflow_vod.tencent.settings import VodSettings
    from airflow_vod.tencent.signing import Seconds

DEFAULT_CONN_ID = "vod_default"


class VodHook(BaseHook):
    """Hook for one VOD application, using an Airflow connection of type ``tencent_vod``.

    :param vod_conn_id: the connection. Login is the SecretId and password the SecretKey; without them the SDK's default
        credential chain is used. Host is an optional endpoint. Extra takes the fields that
        `airflow_vod.get_provider_info.EXTRA_FIELDS` lists and `VodSettings` describes.
    :param sub_app_id: overrides the connection's application with another one of the same account.
    """

    conn_name_attr = "vod_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = "tencent_vod"
    hook_name = "Tencent Cloud VOD"

    def __init__(
        self, vod_conn_id: str = DEFAULT_CONN_ID, *, sub_app_id: int | str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.vod_conn_id = vod_conn_id
        self.sub_app_id = sub_app_id

    def get_settings(self) -> VodSettings:
        """Read the connection.

        :return: the validated settings.
        :raises VodSettingsError: the connection does not exist, or one of its fields is not valid; the message names the
            connection, the field and the remedy.
        """
        try:
            connection = self.get_connection(self.vod_conn_id)
        except AirflowNotFoundException:
            raise _unknown(self.vod_conn_id) from None
        return settings_of(connection, connection.extra_dejson, self.sub_app_id)

    async def aget_settings(self) -> VodSettings:
        """Read the connection as `get_settings` does, without blocking the event loop of a triggerer."""
        from airflow.providers.common.compat.sdk import Connection

        if not hasattr(Connection, "aextra_dejson"):
            # Before 3.3.2, Airflow masks the secrets of a connection with a synchronous call, even in `aget_connection`.
            from asgiref.sync import sync_to_async

            return await sync_to_async(self.get_settings)()
        try:
            connection = await self.aget_connection(self.vod_conn_id)
        except AirflowNotFoundException:
            raise _unknown(self.vod_conn_id) from None
        return settings_of(connection, await connection.aextra_dejson(), self.sub_app_id)

    def get_client(self) -> VodClient:
        """Create this package's client for the application."""
        from airflow_vod.tencent.client import VodClient

        return VodClient(self.get_settings())

    def get_conn(self) -> OfficialVodClient:
        """Create the official typed client of the VOD API (``tencentcloud.vod.v20180717.vod_client.VodClient``).

        Use it for any API that this package does not wrap. It is imported on first use, because its models take 22 MB.
        """
        from airflow_vod.tencent.client import official_client

        return official_client(self.get_settings())

    def get_inbox(self) -> InboxStore:
        """Open the inbox, which all sensors and triggers of this installation share."""
        return open_inbox(inbox_url())

    def sign_url(
        self,
        url: str,
        *,
        valid_for: Seconds = timedelta(hours=6),
        max_clients: int | str | None = None,
        preview: Seconds | None = None,
    ) -> str:
        """Sign the URL of a media file whose domain has hotlink protection by key.

        :param url: the URL as VOD names it. One that is signed already, or whose domain is not among the connection's
            ``playback_domains``, is returned as it is.
        :param valid_for: how long the URL opens from now on; a timedelta or seconds. Longer than downloading or playing takes.
        :param max_clients: how many different client addresses may open it, 1 to 9; None for any number.
        :param preview: how much of the media is played; a timedelta or whole seconds; None for all of it.
        :return: a URL that opens for whoever has it until it expires.
        :raises VodSettingsError: the connection has no ``playback_secret``, or an argument is not valid.
        :raises MediaError: the URL cannot be signed.
        """
        from airflow_vod.tencent.signing import sign

        key, domains = self._playback
        return sign(url, key, domains=domains, valid_for=valid_for, max_clients=max_clients, preview=preview)

    @cached_property
    def _playback(self) -> tuple[str, tuple[str, ...]]:
        """Key and domains to sign with, read once: one hook may sign thousands of URLs."""
        settings = self.get_settings()
        if settings.playback_secret is None:
            raise VodSettingsError(
                f"Connection {self.vod_conn_id!r} has no playback_secret, so no URL can be signed. Put the hotlink protection "
                "key of the playback domain (VOD console: the domain's settings, Key Hotlink Protection) into its extra."
            )
        return settings.playback_secret, settings.domains_to_sign

    def test_connection(self) -> tuple[bool, str]:
        """Test the connection, for Airflow's "Test" button and ``airflow connections test``.

        :return: whether events can arrive with it, and a message that explains the result.
        """
        try:
            client = self.get_client()
            with contextlib.closing(client):
                config = client.describe_event_config()
        except VodSettingsError as error:
            return False, str(error)
        except VodApiError as error:
            return False, f"VOD refused the request or did not answer. {error}"
        return _delivery(config, client.settings)


def _delivery(config: Mapping[str, Any], settings: VodSettings) -> tuple[bool, str]:
    """Say whether events arrive as an application delivers them.

    :param config: the answer of DescribeEventConfig. Its ``NotificationUrl`` may hold secrets anywhere.
    """
    from airflow_vod.tencent.urls import shown_url

    mode = config.get("Mode")
    if mode == "PULL":
        return True, "The credentials work and the application keeps its events in a queue (PULL mode)."
    url = config.get("NotificationUrl")
    where = f"to {shown_url(str(url))}" if url else "to no URL at all"
    found = f"The credentials work, and the application delivers events in {mode!r:.40} mode, {where}"
    if mode == "PUSH" and url and settings.takes_callbacks:
        return True, f"{found}; this connection takes such callbacks. `airflow-vod doctor` checks the URL."
    if mode == "PUSH" and settings.takes_callbacks:
        return False, f"{found}: none can arrive. Set it with `airflow-vod doctor --fix --base-url https://…`."
    return False, (
        f"{found}: there is no queue to pull from. Choose reliable callback (PULL) in the VOD console under callback "
        "settings, or give the connection callback_secret or callback_token to receive callbacks here."
    )


def settings_of(connection: Connection, extra: Mapping[str, Any], sub_app_id: int | str | None = None) -> VodSettings:
    """Convert a connection to settings.

    :param connection: a connection of type ``tencent_vod``.
    :param extra: its extra, parsed.
    :param sub_app_id: overrides the connection's own.
    :return: the validated settings. Extra fields that are missing, null or empty have their defaults.
    :raises VodSettingsError: the connection is of another type, or a field is not valid; the message names the connection, the
        field and the remedy.
    """
    from airflow_vod.tencent.settings import DEFAULT_ENDPOINT, VodSettings

    try:
        _require_type(connection.conn_type)
        _require_json_object(connection.extra)
        own = {} if sub_app_id is None else {"sub_app_id": sub_app_id}
        given = _given({**extra, **own})
        endpoint = (connection.host or "").strip() or DEFAULT_ENDPOINT
        return VodSettings(
            secret_id=connection.login or None,
            secret_key=connection.password or None,
            endpoint=f"{endpoint}:{connection.port}" if connection.port else endpoint,
            **{name: _typed(name, value) for name, value in given.items()},
        )
    except VodSettingsError as error:
        raise VodSettingsError(f"Connection {connection.conn_id!r}: {error.text}") from None


def exposed_secrets(extra: Mapping[str, Any]) -> list[str]:
    """Tell the secrets in an extra that this Airflow shows to everybody who may read connections.

    :param extra: the extra of a connection, parsed.
    :return: the names of the fields, sorted: former names, and what this version or configuration of Airflow does not hide.
    """
    from airflow.providers.common.compat.sdk import redact

    probe = "a value that is not a secret itself"
    secret = SECRET_FIELDS | {old for old, new in RENAMED_FIELDS.items() if new in SECRET_FIELDS}
    return sorted(name for name in secret if extra.get(name) and redact(probe, name) == probe)


def _require_type(conn_type: str | None) -> None:
    """Refuse the keys of another service, which VOD must not see."""
    if conn_type != VodHook.conn_type:
        kind = f"of type {conn_type!r:.60}" if conn_type else "of no type"
        raise VodSettingsError(
            f"it is {kind}, and not of type {VodHook.conn_type}. Its keys are not sent to VOD. Set its "
            f"connection type to {VodHook.conn_type} if they are VOD's, or name another connection."
        )


def _given(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Take what an extra gives: fields that are not left empty, under their present names.

    :raises VodSettingsError: a field is not known, or stands under both names with different values.
    """
    if unknown := sorted(set(extra) - set(EXTRA_FIELDS) - set(RENAMED_FIELDS)):
        raise VodSettingsError(
            f"extra has the unknown field {unknown[0]!r:.60}. Known fields: {', '.join(sorted(EXTRA_FIELDS))}."
        )
    given = {name: value for name, value in extra.items() if value is not None and value != ""}
    for former, present in RENAMED_FIELDS.items():
        value = given.pop(former, None)
        if value is not None and given.setdefault(present, value) != value:
            raise VodSettingsError(
                f"extra has {present} and, with another value, its former name {former}. Remove {former}."
            )
    return given


def _unknown(vod_conn_id: str) -> VodSettingsError:
    return VodConnectionError(
        f"Connection {vod_conn_id!r} does not exist. Create it with the type tencent_vod, the SecretId as login and the "
        f"SecretKey as password, or set AIRFLOW_CONN_{vod_conn_id.upper()}."
    )


def _require_json_object(text: str | None) -> None:
    """Reject an extra that Airflow would only log a warning for, and then treat as empty."""
    try:
        valid = isinstance(json.loads(text or "{}"), dict)
    except ValueError:
        valid = False
    if not valid:
        raise VodSettingsError('extra is not a JSON object. Write it as {"sub_app_id": 1500012345}.')


def _typed(name: str, value: Any) -> Any:
    """Convert a value of extra: a URI has only text, and JSON may have a number where a secret has only digits."""
    if name == "sub_app_id":
        return _whole_number(value)
    if name == "playback_domains" and isinstance(value, list):
        return ",".join(map(str, value))
    if name == "verify":
        return {"true": True, "false": False}.get(value.lower(), value) if isinstance(value, str) else value
    return str(value) if type(value) is int else value


def _whole_number(value: Any) -> Any:
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return int(value) if value.strip() else None
    return value  # VodSettings rejects anything but an integer
