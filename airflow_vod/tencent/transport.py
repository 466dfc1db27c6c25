"""Sends signed requests to the API over kept connections.

Invariants: an answer has HTTP status 200 and arrived whole, anything else is raised as one of the errors in
`exceptions.py`; no text of such an error holds a URL, a proxy password or a header.
"""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import certifi
import urllib3

from airflow_vod.exceptions import VodSettingsError, VodTransientError
from airflow_vod.tencent.errors import CHECK_NETWORK, NotSentError

if TYPE_CHECKING:
    from airflow_vod.tencent.settings import VodSettings

_CONNECT_TIMEOUT = 5.0  # seconds, as all timeouts here
_READ_TIMEOUT = 10.0
_ANSWER_LIMIT = 64 * 1024 * 1024  # bytes
_CHECK_TLS = "Check the proxy and the CA file given as verify in the connection."


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

    :param settings: endpoint, proxy and TLS verification.
    :param read_timeouts: seconds to wait for the answer to an action, by its name; 10 for all others.
    :raises VodSettingsError: proxy or CA file cannot be used on this machine.
    """

    def __init__(self, settings: VodSettings, read_timeouts: Mapping[str, float]) -> None:
        self._url = f"{settings.scheme}://{settings.host}/"
        self._pool = make_pool(settings, settings.scheme, settings.host)
        self._read_timeouts = read_timeouts

    def send_request(self, request: Any) -> Answer:
        """Send one signed request of the SDK and read the whole answer.

        :param request: the SDK's ``RequestInternal``.
        :raises NotSentError: the API has not seen the request.
        :raises VodTransientError: there was no answer, or none of the API: not HTTP 200, or too large.
        """
        action = request.header["X-TC-Action"]
        read = self._read_timeouts.get(action, _READ_TIMEOUT)
        try:
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
        except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError) as error:
            raise NotSentError(action, "ConnectFailed", _short(error), remedy=CHECK_NETWORK) from None
        except urllib3.exceptions.SSLError as error:
            raise NotSentError(action, "TlsFailed", _short(error), remedy=_CHECK_TLS) from None
        except urllib3.exceptions.ProxyError as error:
            raise NotSentError(
                action, "ProxyFailed", type(error.original_error).__name__, remedy=CHECK_NETWORK
            ) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise VodTransientError(action, "ConnectionBroken", _short(error)) from None
        if response.status != 200:
            raise VodTransientError(action, f"Http{response.status}", excerpt(body))
        if len(body) > _ANSWER_LIMIT:
            raise VodTransientError(action, "AnswerTooLarge", f"more than {_ANSWER_LIMIT} bytes")
        return Answer(body)

    def close(self) -> None:
        """Close the kept connections; the next request opens a new one."""
        self._pool.clear()


def _short(error: BaseException) -> str:
    """Describe a network error without its URL or proxy, which may hold a password."""
    text = str(error).rpartition(": ")[2]
    return f"{type(error).__name__}: {text}"[:300]


def excerpt(body: bytes) -> str:
    """Show the beginning of a body that is not an answer of the API, for an error message."""
    return "not an answer of the API but " + repr(body[:200].decode("utf-8", "replace"))


def make_pool(settings: VodSettings, scheme: str, host: str) -> urllib3.PoolManager:
    """Make a connection pool: TLS verification as set; the proxy of the settings, else that of the environment.

    :param settings: proxy and TLS verification.
    :param scheme: ``http`` or ``https``, of what is to be requested.
    :param host: of what is to be requested, with its port if it has one.
    :raises VodSettingsError: the CA file does not exist here, or the proxy is not a URL.
    """
    options: dict[str, Any] = {"num_pools": 2, "maxsize": 64}
    if scheme == "https":
        if settings.verify is False:
            options["cert_reqs"] = "CERT_NONE"
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        else:
            if isinstance(settings.verify, str) and not os.path.isfile(settings.verify):
                raise VodSettingsError(
                    f"verify is {settings.verify!r}, but this machine has no such file. Give the path of a CA file, or true."
                )
            authorities = settings.verify if isinstance(settings.verify, str) else os.environ.get("SSL_CERT_FILE")
            options |= {"cert_reqs": "CERT_REQUIRED", "ca_certs": authorities or certifi.where()}
    proxy = settings.proxy
    if proxy is None and not urllib.request.proxy_bypass(host):
        proxy = urllib.request.getproxies().get(scheme)
    if not proxy:
        return urllib3.PoolManager(**options)
    try:
        user = urllib3.util.parse_url(proxy).auth
        headers = urllib3.make_headers(proxy_basic_auth=user) if user else None
        return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)
    except (urllib3.exceptions.HTTPError, ValueError):
        where = "of the connection" if settings.proxy else "that the environment names"
        raise VodSettingsError(
            f"The proxy {where} is not a proxy URL; it is not shown, because it may hold a password. Write "
            "http://user:password@host:port, with special characters of the password as %XX."
        ) from None
