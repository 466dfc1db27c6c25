"""Reads the answers of Tencent Cloud's APIs.

Invariant: an answer is the ``Response`` object that the API sent, or one of the errors in `exceptions.py`.
"""

from __future__ import annotations

import json
from typing import Any

from airflow_vod.exceptions import VodTransientError
from airflow_vod.tencent.errors import CHECK_NETWORK, api_error
from airflow_vod.tencent.transport import excerpt


def response_of(action: str, content: bytes) -> dict[str, Any]:
    """Take the ``Response`` object out of an answer.

    :param action: the API action.
    :param content: the body of the answer.
    :raises VodApiError: the error in it, or that it is none.
    """
    try:
        response = _load(content)["Response"]
        if not isinstance(response, dict):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise VodTransientError(action, "BadAnswer", excerpt(content), remedy=CHECK_NETWORK) from None
    error = response.get("Error")
    if error is None:
        return response
    if not isinstance(error, dict):
        error = {"Message": str(error)}
    request_id = response.get("RequestId")
    raise api_error(action, str(error.get("Code")), str(error.get("Message")), request_id and str(request_id))


def _load(content: bytes) -> Any:
    """Load an answer. One event with half a character, a raw tab or an endless number must not block the others."""
    try:
        return json.loads(content)
    except ValueError:
        return json.loads(content.decode("utf-8", "replace"), strict=False, parse_int=_number)


def _number(digits: str) -> int | str:
    return int(digits) if len(digits) < 4000 else digits
