"""Temporary credentials of a role that an API key assumes.

Invariant: the role is asked for on the way that the VOD API is asked: through the connection's proxy, with its authorities, its
key and its session token. No error that leaves here holds a secret.

Source: STS API 2018-08-13, AssumeRole.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tencentcloud.common.common_client import CommonClient
from tencentcloud.common.credential import Credential as ApiKey
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile

from airflow_vod.exceptions import VodAuthenticationError, VodInvalidRequestError, VodTransientError
from airflow_vod.tencent.answers import response_of
from airflow_vod.tencent.errors import CHECK_NETWORK
from airflow_vod.tencent.transport import Transport

if TYPE_CHECKING:
    from airflow_vod.tencent.settings import VodSettings

LIFE = 7200  # seconds for which credentials are asked for; also the API's default
_RENEWAL = (
    300.0  # seconds before their end at which they are renewed, because a request that is signed now may be read later
)
_REGION = "ap-guangzhou"  # AssumeRole requires one, and any does
_SESSION_NAME = "airflow-vod"


class AssumedRole:
    """The credentials of the settings' role, asked for when they are needed and renewed before they end.

    Not safe to use from many threads at once: `Credential` locks.

    :param settings: with API key and ``role_arn``.
    :param clock: monotonic seconds.
    :raises VodSettingsError: the settings' proxy or CA file cannot be used on this machine.
    """

    def __init__(self, settings: VodSettings, clock: Callable[[], float] = time.monotonic) -> None:
        host = _sts_host(settings.host)
        self._settings = settings
        self._clock = clock
        self._sdk = CommonClient(
            "sts",
            "2018-08-13",
            ApiKey(settings.secret_id, settings.secret_key, settings.token),
            settings.region or _REGION,
            ClientProfile(httpProfile=HttpProfile(endpoint=host), language="en-US"),
        )
        self._sdk.request = Transport(settings, f"https://{host}/")
        self._credentials: tuple[str, str, str] | None = None
        self._renew_monotonic = float("-inf")

    def get_credential_info(self) -> tuple[str, str, str]:
        """Return SecretId, SecretKey and session token of the role.

        :raises VodAuthenticationError: the role may not be assumed, or the key is wrong.
        :raises VodTransientError: STS did not answer.
        """
        if self._credentials is None or self._clock() >= self._renew_monotonic:
            asked = self._clock()
            self._credentials = self._assume()
            self._renew_monotonic = asked + LIFE - _RENEWAL
        return self._credentials

    def _assume(self) -> tuple[str, str, str]:
        wanted = {
            "RoleArn": self._settings.role_arn,
            "RoleSessionName": self._settings.role_session_name or _SESSION_NAME,
            "DurationSeconds": LIFE,
        }
        try:
            answer = response_of("AssumeRole", self._sdk.call("AssumeRole", wanted, headers={}))
        except VodInvalidRequestError as error:  # as final as a wrong key: without the role there are no credentials
            raise VodAuthenticationError(
                error.action, error.code, error.message, error.request_id, remedy="Check role_arn of the connection."
            ) from None
        return _read(answer.get("Credentials"))


def _read(credentials: Any) -> tuple[str, str, str]:
    match credentials:
        case {"TmpSecretId": str(secret_id), "TmpSecretKey": str(secret_key), "Token": str(token)} if (
            secret_id and secret_key
        ):
            return secret_id, secret_key, token
    raise VodTransientError("AssumeRole", "BadAnswer", "an answer without credentials", remedy=CHECK_NETWORK)


def _sts_host(vod_host: str) -> str:
    """Name the STS of the site that serves the API: China's or the international one."""
    return "sts.intl.tencentcloudapi.com" if vod_host.startswith("vod.intl.") else "sts.tencentcloudapi.com"
