"""Credentials for the SDK.

Invariants: whatever the SDK's credential providers raise leaves here as one of the errors in `exceptions.py`, without a secret;
what leaves here as credentials can be sent in a header.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NoReturn

from tencentcloud.common import credential as sdk_credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException

from airflow_vod.exceptions import VodAuthenticationError, VodError, VodSettingsError, VodTransientError
from airflow_vod.tencent.errors import api_error
from airflow_vod.tencent.role import AssumedRole
from airflow_vod.tencent.settings import check_sendable

if TYPE_CHECKING:
    from airflow_vod.tencent.settings import VodSettings


class Credential:
    """The credentials of the settings, as the SDK takes them; resolved at the first call. Safe to use from many threads.

    :param settings: an API key, perhaps with a session token or a role; without a key the SDK's default chain is used.
    """

    def __init__(self, settings: VodSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._source: Any = None

    def get_credential_info(self) -> tuple[str, str, str | None]:
        """Return SecretId, SecretKey and session token; the SDK asks at every call.

        :raises VodAuthenticationError: there are no usable credentials.
        :raises VodTransientError: the service that hands them out did not answer.
        """
        try:
            with self._lock:
                if self._source is None:
                    self._source = _credential_source(self._settings)
                found = self._source.get_credential_info()
            if not self._settings.secret_id:
                _check_found(*found)
            return found
        except VodError:
            raise
        except Exception as error:  # the SDK's providers raise whatever their parsing meets, down to a bare TypeError
            self._refuse(error)

    def _refuse(self, error: Exception) -> NoReturn:
        if isinstance(error, TencentCloudSDKException) and error.code in ("ClientNetworkError", "ServerNetworkError"):
            raise VodTransientError("Credentials", str(error.code), "the credential service did not answer") from None
        code = str(getattr(error, "code", None) or type(error).__name__)
        typed = api_error("Credentials", code, "the credential service did not answer")
        if isinstance(typed, VodTransientError) or isinstance(error, ValueError):  # HTML instead of JSON
            raise VodTransientError("Credentials", code, "the credential service did not answer") from None
        raise VodAuthenticationError(
            "Credentials",
            code,
            "no usable credentials were found",
            remedy="Give the connection SecretId and SecretKey, or set TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY "
            "without white space and line breaks, or attach a role to this machine.",
        ) from None


def _credential_source(settings: VodSettings) -> Any:
    if not settings.secret_id:
        return sdk_credential.DefaultCredentialProvider().get_credentials()
    if settings.role_arn:
        return AssumedRole(settings)
    return sdk_credential.Credential(settings.secret_id, settings.secret_key, settings.token)


def _check_found(secret_id: str | None, secret_key: str | None, token: str | None) -> None:
    """Refuse what the default chain found where no header carries it.

    :raises VodAuthenticationError: without the value.
    """
    try:
        for label, value in (("SecretId", secret_id), ("SecretKey", secret_key), ("token", token)):
            check_sendable(f"The {label} of the default credential chain", value)
    except VodSettingsError as error:
        raise VodAuthenticationError("Credentials", "InvalidCredential", str(error).rstrip(".")) from None
