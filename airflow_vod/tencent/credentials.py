"""Credentials for the SDK.

Invariant: whatever the SDK's credential providers raise leaves here as one of the errors in `exceptions.py`, without a secret.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NoReturn

from tencentcloud.common import credential as sdk_credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException

from airflow_vod.exceptions import VodAuthenticationError, VodTransientError
from airflow_vod.tencent.errors import api_error

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
                return self._source.get_credential_info()
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
            remedy="Give the connection SecretId and SecretKey, or set TENCENTCLOUD_SECRET_ID and "
            "TENCENTCLOUD_SECRET_KEY, or attach a role to this machine. For an assumed role, check role_arn.",
        ) from None


def _credential_source(settings: VodSettings) -> Any:
    if not settings.secret_id:
        return sdk_credential.DefaultCredentialProvider().get_credentials()
    if settings.role_arn:
        session = settings.role_session_name or "airflow-vod"
        return sdk_credential.STSAssumeRoleCredential(
            settings.secret_id, settings.secret_key, settings.role_arn, session
        )
    return sdk_credential.Credential(settings.secret_id, settings.secret_key, settings.token)
