"""The hook: from an Airflow connection to the settings, client and inbox of a VOD application.

Invariants: nothing is read before it is needed, so a hook can be created while a DAG is parsed; resolving a connection
synchronously and asynchronously returns the same settings.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_vod.exceptions import VodApiError, VodConnectionError, VodSettingsError
from airflow_vod.get_provider_info import EXTRA_FIELDS
from airflow_vod.hooks.config import inbox_url, open_inbox

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection
    from tencentcloud.vod.v20180717.vod_client import VodClient as OfficialVodClient

    from airflow_vod.inbox import InboxStore
    from airflow_vod.tencent.client import VodClient
    from airflow_vod.tencent.settings import VodSettings

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

    def test_connection(self) -> tuple[bool, str]:
        """Test the connection, for Airflow's "Test" button and ``airflow connections test``.

        :return: whether a sensor could pull events with it, and a message that explains the result.
        """
        try:
            config = self.get_client().describe_event_config()
        except VodSettingsError as error:
            return False, str(error)
        except VodApiError as error:
            return False, f"VOD refused the request or did not answer. {error}"
        mode = config.get("Mode")
        if mode != "PULL":
            return False, (
                f"The credentials work, but the application delivers events in {mode} mode, to "
                f"{config.get('NotificationUrl') or 'no URL at all'}: there is no queue to pull from. Choose reliable "
                "callback (PULL) in the VOD console under callback settings."
            )
        return True, "The credentials work and the application keeps its events in a queue (PULL mode)."


def settings_of(connection: Connection, extra: Mapping[str, Any], sub_app_id: int | str | None = None) -> VodSettings:
    """Convert a connection to settings.

    :param connection: a connection of type ``tencent_vod``.
    :param extra: its extra, parsed.
    :param sub_app_id: overrides the connection's own.
    :return: the validated settings. Extra fields that are missing, null or empty have their defaults.
    :raises VodSettingsError: a field is not valid; the message names the connection, the field and the remedy.
    """
    from airflow_vod.tencent.settings import DEFAULT_ENDPOINT, VodSettings

    try:
        _require_json_object(connection.extra)
        unknown = sorted(set(extra) - set(EXTRA_FIELDS))
        if unknown:
            raise VodSettingsError(
                f"extra has the unknown field {unknown[0]!r}. Known fields: {', '.join(sorted(EXTRA_FIELDS))}."
            )
        given = dict(extra) if sub_app_id is None else {**extra, "sub_app_id": sub_app_id}
        endpoint = (connection.host or "").strip() or DEFAULT_ENDPOINT
        return VodSettings(
            secret_id=connection.login or None,
            secret_key=connection.password or None,
            endpoint=f"{endpoint}:{connection.port}" if connection.port else endpoint,
            **{name: _typed(name, value) for name, value in given.items() if value is not None and value != ""},
        )
    except VodSettingsError as error:
        raise VodSettingsError(f"Connection {connection.conn_id!r}: {error}") from None


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
    if name == "verify":
        return {"true": True, "false": False}.get(value.lower(), value) if isinstance(value, str) else value
    return str(value) if type(value) is int else value


def _whole_number(value: Any) -> Any:
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return int(value) if value.strip() else None
    return value  # VodSettings rejects anything but an integer
