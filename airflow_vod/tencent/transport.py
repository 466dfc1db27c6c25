"""Sends signed requests to the API over kept connections.

Invariants: an answer has HTTP status 200 and arrived whole, anything else is raised as one of the errors in
`exceptions.py`; no text of such an error holds a URL, a proxy password or a header.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import urllib3

from airflow_vod.exceptions import (
    PROXY_AUTHENTICATION,
    VodApiError,
    VodAuthenticationError,
    VodInvalidRequestError,
    VodTransientError,
)
from airflow_vod.tencent.errors import CHECK_NETWORK, NotSentError
from airflow_vod.tencent.network import make_pool

if TYPE_CHECKING:
    from airflow_vod.tencent.settings import VodSettings

_CONNECT_TIMEOUT = 5.0  # seconds, as all timeouts here
_READ_TIMEOUT = 10.0
_ANSWER_LIMIT = 64 * 1024 * 1024  # bytes
_CHECK_TLS = (
    "Check the proxy and the CA file given as verify in the connection, or as REQUESTS_CA_BUNDLE in the environment."
)
_PROXY_REFUSED = 407  # Proxy Authentication Required (RFC 9110)
_CHECK_PROXY = (
    "Give them in proxy of the connection or in HTTPS_PROXY: http://user:password@host:port, special characters as %XX."
)
_UNSENDABLE = "the SecretId, token or region holds a character that no HTTP header carries"
_CHECK_CREDENTIALS = "Look for line breaks and invisible characters where the credentials are kept."


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer in the form in which the SDK reads it.

    ``headers`` stay empty on purpose: the SDK looks for an error only under certain Content-Types, and misses one under
    ``application/json; charset=utf-8``. `VodClient.call` looks for itself.
    """

    content: bytes
    status_code: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Transport:
    """Sends requests that `CommonClient` has signed; replaces the SDK's own transport. Safe to use from many threads at once.

    The SDK's transport costs about three times the CPU, lets errors in a body escape as foreign exceptions and logs secrets
    at DEBUG.

    :param settings: proxy and TLS verification.
    :param url: of the API, ``scheme://host:port/``.
    :param read_timeouts: seconds to wait for the answer to an action, by its name; 10 for all others.
    :raises VodSettingsError: proxy or CA file cannot be used on this machine.
    """

    def __init__(
        self, settings: VodSettings, url: str, read_timeouts: Mapping[str, float] = MappingProxyType({})
    ) -> None:
        self._url = url
        self._pool = make_pool(settings, url)
        self._read_timeouts = read_timeouts

    def send_request(self, request: Any) -> Answer:
        """Send one signed request of the SDK and read the whole answer.

        :param request: the SDK's ``RequestInternal``.
        :raises NotSentError: the API has not seen the request.
        :raises VodAuthenticationError: the proxy wants to know who we are.
        :raises VodInvalidRequestError: a header holds what none can.
        :raises VodTransientError: there was no answer, or none of the API: not HTTP 200, or too large.
        """
        action = request.header["X-TC-Action"]
        try:
            status, body = self._exchange(action, request)
        except Exception as error:  # whatever HTTP, TLS and sockets raise
            raise _typed(action, error) from None
        if status == _PROXY_REFUSED:
            raise _refused_by_proxy(action)
        if status != 200:
            raise VodTransientError(action, f"Http{status}", excerpt(body))
        if len(body) > _ANSWER_LIMIT:
            raise VodTransientError(action, "AnswerTooLarge", f"more than {_ANSWER_LIMIT} bytes")
        return Answer(body)

    def _exchange(self, action: str, request: Any) -> tuple[int, bytes]:
        """Send a request, and return status and body of the answer; of a body that is too large, a little too much."""
        read = self._read_timeouts.get(action, _READ_TIMEOUT)
        response = self._pool.urlopen(
            "POST",
            self._url,
            body=request.data.encode(),
            headers=request.header,
            timeout=urllib3.Timeout(connect=_CONNECT_TIMEOUT, read=read),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        body = response.read(_ANSWER_LIMIT + 1)
        if len(body) > _ANSWER_LIMIT:
            response.close()  # and its connection, on which the rest would still arrive
        response.release_conn()
        return response.status, body

    def close(self) -> None:
        """Close the kept connections; the next request opens a new one."""
        self._pool.clear()


def _typed(action: str, error: Exception) -> VodApiError:
    """Turn whatever sending raised into one of our errors, without the text of what may quote a header, URL or proxy."""
    match error:
        case urllib3.exceptions.ProxyError() if f" {_PROXY_REFUSED} " in str(error.original_error):
            return _refused_by_proxy(action)
        case urllib3.exceptions.ProxyError():
            return NotSentError(action, "ProxyFailed", type(error.original_error).__name__, remedy=CHECK_NETWORK)
        case urllib3.exceptions.NewConnectionError() | urllib3.exceptions.ConnectTimeoutError():
            return NotSentError(action, "ConnectFailed", _short(error), remedy=CHECK_NETWORK)
        case urllib3.exceptions.SSLError():
            return NotSentError(action, "TlsFailed", _short(error), remedy=_CHECK_TLS)
        case urllib3.exceptions.HTTPError() | OSError():
            return VodTransientError(action, "ConnectionBroken", _short(error))
        case ValueError():
            return VodInvalidRequestError(action, "UnsendableHeader", _UNSENDABLE, remedy=_CHECK_CREDENTIALS)
    return VodTransientError(action, "RequestFailed", f"sending it failed with {type(error).__name__}")


def _refused_by_proxy(action: str) -> VodAuthenticationError:
    return VodAuthenticationError(
        action,
        PROXY_AUTHENTICATION,
        f"the proxy answered {_PROXY_REFUSED}: it wants another user and password",
        remedy=_CHECK_PROXY,
    )


def _short(error: BaseException) -> str:
    """Describe a network error without its URL or proxy, which may hold a password."""
    text = str(error).rpartition(": ")[2]
    return f"{type(error).__name__}: {text}"[:300]


def excerpt(body: bytes) -> str:
    """Show the beginning of a body that is not an answer of the API, for an error message."""
    return "not an answer of the API but " + repr(body[:200].decode("utf-8", "replace"))
