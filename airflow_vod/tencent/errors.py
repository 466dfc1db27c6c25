"""What the error codes of the VOD API mean.

Invariant: every code becomes one of the errors in `exceptions.py`; a code that is not known here ends no wait.
"""

from __future__ import annotations

from collections.abc import Mapping

from airflow_vod.exceptions import (
    VodApiError,
    VodAuthenticationError,
    VodInvalidRequestError,
    VodThrottledError,
    VodTransientError,
)

CHECK_NETWORK = "Check the endpoint and proxy of the connection, and the network."

# The longest dotted prefix of a code decides.
_ERRORS: Mapping[str, tuple[type[VodApiError], str | None]] = {
    "AuthFailure": (VodAuthenticationError, "Check SecretId and SecretKey of the connection."),
    "AuthFailure.SignatureExpire": (
        VodAuthenticationError,
        "The clock of this machine is more than five minutes off; synchronise it (NTP).",
    ),
    "AuthFailure.TokenFailure": (VodAuthenticationError, "The session token is wrong or has expired; renew it."),
    "AuthFailure.UnauthorizedOperation": (VodAuthenticationError, "Grant the API key this action in CAM."),
    "UnauthorizedOperation": (VodAuthenticationError, "Grant the API key this action in CAM."),
    "RequestLimitExceeded": (VodThrottledError, None),
    "LimitExceeded": (VodThrottledError, None),
    "InternalError": (VodTransientError, None),
    "ResourceUnavailable": (VodTransientError, None),
    "ResourceInsufficient": (VodTransientError, None),
    "FailedOperation": (VodTransientError, None),
    "FailedOperation.InvalidVodUser": (
        VodInvalidRequestError,
        "This account has no VOD service, or the SubAppId is not its own.",
    ),
    "InvalidParameter": (VodInvalidRequestError, None),
    "InvalidParameterValue": (VodInvalidRequestError, None),
    "InvalidParameterValue.SubAppId": (
        VodInvalidRequestError,
        "Check sub_app_id of the connection against the VOD console.",
    ),
    "MissingParameter": (VodInvalidRequestError, None),
    "UnknownParameter": (VodInvalidRequestError, None),
    "InvalidAction": (VodInvalidRequestError, "Check the endpoint: it does not serve VOD."),
    "NoSuchVersion": (VodInvalidRequestError, "Check the endpoint: it does not serve VOD."),
    "ActionOffline": (VodInvalidRequestError, None),
    "UnsupportedOperation": (VodInvalidRequestError, None),
    "UnsupportedProtocol": (VodInvalidRequestError, None),
    "UnsupportedRegion": (VodInvalidRequestError, "Leave region empty: VOD needs none."),
    "ResourceNotFound": (VodInvalidRequestError, None),
}


def api_error(action: str, code: str, message: str, request_id: str | None = None) -> VodApiError:
    """Make the typed error for an error code of the API (VOD API, error codes).

    :param action: the API action that was refused.
    :param code: the error code, possibly dotted.
    :param message: the API's text; cut at 500 characters.
    :param request_id: the ``RequestId`` of the answer.
    :return: the error, not raised.
    """
    family = code
    while family and family not in _ERRORS:
        family = family.rpartition(".")[0]
    kind, remedy = _ERRORS.get(family, (VodApiError, None))
    if code == "FailedOperation" and "invalid vod user" in message.lower():
        kind, remedy = _ERRORS["FailedOperation.InvalidVodUser"]
    return kind(action, code, message[:500], request_id, remedy=remedy)


class NotSentError(VodTransientError):
    """The connection was never made, so the API has not seen the request and it is safe to repeat."""
