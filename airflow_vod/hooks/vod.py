"""From an Airflow connection to the settings, client and inbox of a VOD application.

Invariants: nothing is read before it is asked for, so a hook can be made while a DAG is parsed; both ways of resolving a
connection, synchronous and asynchronous, give the same settings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_vod.exceptions import VodApiError, VodConnectionError, VodSettingsError
from airflow_vod.hooks.config import inbox_url, open_inbox

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection
    from tencentcloud.vod.v20180717.vod_client import VodClient as OfficialVodClient

    from airflow_vod.inbox import InboxStore
    from airflow_vod.tencent.client import VodClient
    from airflow_vod.tencent.settings import VodSettings

DEFAULT_CONN_ID = "vod_default"

_EXTRA_FIELDS = frozenset(
    {"sub_app_id", "region", "token", "role_arn", "role_session_name", "confirm_policy", "proxy", "verify"}
    | {"callback_sign_key", "callback_token"}
)


class VodHook(BaseHook):
    """Reaches one VOD application through an Airflow connection of type ``tencent_vod``.

    :param vod_conn_id: the connection. Login is the SecretId and password the SecretKey; without them the SDK's default
        credential chain is used. Host is an optional endpoint. Extra takes ``sub_app_id``, ``region``, ``token``,
        ``role_arn``, ``role_session_name``, ``confirm_policy``, ``proxy`` and ``verify``, as `VodSettings` describes them.
    :param sub_app_id: another application of the same account than the connection's.
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

        :raises VodSettingsError: there is no such connection, or a field of it cannot work; the message names the
            connection, the field and the remedy.
        """
        try:
            connection = self.get_connection(self.vod_conn_id)
        except AirflowNotFoundException:
            raise _unknown(self.vod_conn_id) from None
        return settings_of(connection, connection.extra_dejson, self.sub_app_id)

    async def aget_settings(self) -> VodSettings:
        """Read the connection as `get_settings` does, without blocking the event loop of a triggerer."""
        from airflow.providers.common.compat.connection import get_async_connection, get_async_extra_dejson

        try:
            connection = await get_async_connection(self.vod_conn_id, self)
        except AirflowNotFoundException:
            raise _unknown(self.vod_conn_id) from None
        return settings_of(connection, await get_async_extra_dejson(connection), self.sub_app_id)

    def get_client(self) -> VodClient:
        """Make this package's client of the application."""
        from airflow_vod.tencent.client import VodClient

        return VodClient(self.get_settings())

    def get_conn(self) -> OfficialVodClient:
        """Make the official typed client of the VOD API (``tencentcloud.vod.v20180717.vod_client.VodClient``).

        For any API that this package does not wrap. It is imported here, on use: its models cost 22 MB.
        """
        from airflow_vod.tencent.client import official_client

        return official_client(self.get_settings())

    def get_inbox(self) -> InboxStore:
        """Open the inbox that all sensors and triggers of this installation share."""
        return open_inbox(inbox_url())

    def test_connection(self) -> tuple[bool, str]:
        """Try the connection out, for Airflow's "Test" button and ``airflow connections test``.

        :return: whether a sensor could pull events with it, and what is wrong or right in words.
        """
        try:
            config = self.get_client().describe_event_config()
        except VodSettingsError as error:
            return False, str(error)
        except VodApiError as error:
            return False, f"VOD refused or did not answer. {error}"
        mode = config.get("Mode")
        if mode != "PULL":
            return False, (
                f"The credentials work, but the application announces events in {mode} mode, to "
                f"{config.get('NotificationUrl') or 'no URL at all'}: there is no queue to pull from. Choose reliable "
                "callback (PULL) in the VOD console under callback settings."
            )
        return True, "The credentials work and the application keeps its events in a queue (PULL mode)."


def settings_of(connection: Connection, extra: Mapping[str, Any], sub_app_id: int | str | None = None) -> VodSettings:
    """Turn a connection into settings.

    :param connection: a connection of type ``tencent_vod``.
    :param extra: its extra field, parsed.
    :param sub_app_id: takes the place of the connection's own.
    :raises VodSettingsError: a field cannot work; the message names the connection, the field and the remedy.
    """
    from airflow_vod.tencent.settings import DEFAULT_ENDPOINT, VodSettings

    try:
        _require_json_object(connection.extra)
        unknown = sorted(set(extra) - _EXTRA_FIELDS)
        if unknown:
            raise VodSettingsError(
                f"extra has the unknown field {unknown[0]!r}. Known are: {', '.join(sorted(_EXTRA_FIELDS))}."
            )
        endpoint = (connection.host or "").strip() or DEFAULT_ENDPOINT
        return VodSettings(
            secret_id=connection.login or None,
            secret_key=connection.password or None,
            token=extra.get("token") or None,
            role_arn=extra.get("role_arn") or None,
            role_session_name=extra.get("role_session_name") or None,
            sub_app_id=_whole_number(sub_app_id if sub_app_id is not None else extra.get("sub_app_id")),
            region=extra.get("region") or "",
            endpoint=f"{endpoint}:{connection.port}" if connection.port else endpoint,
            proxy=extra.get("proxy") or None,
            verify=_verify(extra.get("verify")),
            confirm_policy=extra.get("confirm_policy") or "all",
            callback_sign_key=_word(extra.get("callback_sign_key")),
            callback_token=_word(extra.get("callback_token")),
        )
    except VodSettingsError as error:
        raise VodSettingsError(f"Connection {connection.conn_id!r}: {error}") from None


def _unknown(vod_conn_id: str) -> VodSettingsError:
    return VodConnectionError(
        f"Connection {vod_conn_id!r} does not exist. Create it with the type tencent_vod, the SecretId as login and the "
        f"SecretKey as password, or set AIRFLOW_CONN_{vod_conn_id.upper()}."
    )


def _require_json_object(text: str | None) -> None:
    """Refuse what Airflow would only log, and then read as if there were no extra at all."""
    try:
        valid = isinstance(json.loads(text or "{}"), dict)
    except ValueError:
        valid = False
    if not valid:
        raise VodSettingsError('extra is not a JSON object. Write it as {"sub_app_id": 1500012345}.')


def _whole_number(value: Any) -> int | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        return int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else value
    except ValueError:
        return value  # VodSettings refuses it with the reason


def _word(value: Any) -> Any:
    """Read a secret; one of digits alone may have become a number in JSON."""
    if value is None or value == "":
        return None
    return str(value) if type(value) is int else value  # VodSettings refuses what is no text


def _verify(value: Any) -> bool | str:
    if value is None or value == "":
        return True
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return value
