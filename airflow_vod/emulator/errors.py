"""The refusals that the VOD API knows, as values.

Invariant: every code here is one that the vendor documents (VOD API 2018-07-17, error code lists of the actions, and the
common error codes of Tencent Cloud API 3.0). Texts are ours, but for ``no event``, which running code has seen.
"""

from __future__ import annotations


class ApiError(Exception):
    """A refusal: HTTP 200 with ``Response.Error``.

    :param code: such as ``InvalidParameterValue``.
    :param message: text for people.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


def missing(name: str) -> ApiError:
    """:param name: the parameter that is needed.
    :return: the refusal.
    """
    return ApiError("MissingParameter", f"The request is missing a required parameter `{name}`.")


def unknown(name: str) -> ApiError:
    """:param name: the parameter that the action does not have.
    :return: the refusal.
    """
    return ApiError("UnknownParameter", f"The parameter `{name}` is not recognized.")


def wrong_type(name: str, wanted: str) -> ApiError:
    """:param name: the parameter.
    :param wanted: what it should be.
    :return: the refusal.
    """
    return ApiError("InvalidParameter", f"The value type of parameter `{name}` is not valid, it should be {wanted}.")


def bad_value(name: str, why: str) -> ApiError:
    """:param name: the parameter.
    :param why: what is wrong with its value.
    :return: the refusal.
    """
    return ApiError("InvalidParameterValue", f"The value of parameter `{name}` is not valid: {why}.")
