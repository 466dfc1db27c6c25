"""The errors of the VOD API.

Invariant: every code is documented by the vendor (VOD API 2018-07-17, error code lists of the actions, and the common error
codes of Tencent Cloud API 3.0). The messages are ours, except ``no event``, which the real service has been seen to send.
"""

from __future__ import annotations


class ApiError(Exception):
    """An error answer: HTTP 200 with ``Response.Error``.

    :param code: such as ``InvalidParameterValue``.
    :param message: human-readable.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


def missing(name: str) -> ApiError:
    """:param name: the required parameter.
    :return: MissingParameter.
    """
    return ApiError("MissingParameter", f"The request is missing a required parameter `{name}`.")


def unknown(name: str) -> ApiError:
    """:param name: a parameter that the action does not have.
    :return: UnknownParameter.
    """
    return ApiError("UnknownParameter", f"The parameter `{name}` is not recognized.")


def wrong_type(name: str, wanted: str) -> ApiError:
    """:param name: the parameter.
    :param wanted: the type that it should have.
    :return: InvalidParameter.
    """
    return ApiError("InvalidParameter", f"The value type of parameter `{name}` is not valid, it should be {wanted}.")


def bad_value(name: str, why: str) -> ApiError:
    """:param name: the parameter.
    :param why: what is wrong with its value.
    :return: InvalidParameterValue.
    """
    return ApiError("InvalidParameterValue", f"The value of parameter `{name}` is not valid: {why}.")
