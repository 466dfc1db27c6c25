"""Every VOD API call, through the official SDK's `CommonClient`.

Invariants: a call returns what the API said or raises one of the errors in `exceptions.py`, never anything else; no text
that leaves this module holds a secret; a call is repeated only where a repetition cannot take events out of the queue.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import certifi
import tenacity
import urllib3
from tencentcloud.common import credential as sdk_credential
from tencentcloud.common.common_client import CommonClient
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile

from airflow_vod.exceptions import (
    VodApiError,
    VodAuthenticationError,
    VodInvalidRequestError,
    VodSettingsError,
    VodThrottledError,
    VodTransientError,
)
from airflow_vod.tencent.pacing import pacer

if TYPE_CHECKING:
    from tencentcloud.vod.v20180717.vod_client import VodClient as OfficialVodClient

    from airflow_vod.tencent.settings import VodSettings

API_VERSION = "2018-07-17"
CONFIRM_LIMIT = 16  # handles per ConfirmEvents (VOD API, ConfirmEvents)
PULL_LIMIT = 16  # events per PullEvents (VOD API, PullEvents)
PULL_HOLD = 5.0  # seconds for which the server may hold a pull (VOD API, PullEvents)

_CONNECT_TIMEOUT = 5.0
_READ_TIMEOUT = 10.0
_PULL_READ_TIMEOUT = PULL_HOLD + 10.0  # an answer that comes late carries events: rather wait than lose it
_ANSWER_LIMIT = 64 * 1024 * 1024  # bytes
_REPEATABLE = frozenset({"ConfirmEvents"})  # besides Describe*: a second confirm of the same handles changes nothing


class _NoDebug(logging.Filter):
    """Keeps the SDK's DEBUG records away: they show the signature, the session token and the bodies."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.DEBUG


logging.getLogger("tencentcloud_sdk_common").addFilter(_NoDebug())


# What an error code means for the caller. The longest dotted prefix of a code decides; a code that is not here is a plain
# VodApiError, which ends no wait.
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
    """Make the typed error for an error code of the API.

    :param action: the API action that was refused.
    :param code: the error code, possibly dotted.
    :param message: the API's text, kept short here.
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


class _NotSentError(VodTransientError):
    """The connection was never made, so the API has not seen the request."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """An HTTP answer in the form in which the SDK reads it.

    ``headers`` stay empty on purpose: by a Content-Type the SDK decides whether to look for an error at all, and it misses
    one under ``application/json; charset=utf-8``. `VodClient.call` looks for itself.
    """

    content: bytes
    status_code: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class _Transport:
    """Sends what `CommonClient` has signed, over kept connections; takes the place of the SDK's own transport.

    The SDK's costs about three times the CPU, lets body errors escape as foreign exceptions and logs secrets at DEBUG.
    """

    def __init__(self, settings: VodSettings) -> None:
        self._url = f"{settings.scheme}://{settings.host}/"
        self._pool = _pool(settings)

    def send_request(self, request: Any) -> _Answer:
        """Send one signed request of the SDK and read the whole answer."""
        action = request.header["X-TC-Action"]
        read = _PULL_READ_TIMEOUT if action == "PullEvents" else _READ_TIMEOUT
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
            response.release_conn()
        except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError) as error:
            raise _NotSentError(action, "ConnectFailed", _short(error), remedy=_CHECK_NETWORK) from None
        except urllib3.exceptions.SSLError as error:
            raise _NotSentError(action, "TlsFailed", _short(error), remedy=_CHECK_TLS) from None
        except urllib3.exceptions.ProxyError as error:
            raise _NotSentError(
                action, "ProxyFailed", type(error.original_error).__name__, remedy=_CHECK_NETWORK
            ) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise VodTransientError(action, "ConnectionBroken", _short(error)) from None
        if response.status != 200:
            raise VodTransientError(action, f"Http{response.status}", _excerpt(body))
        if len(body) > _ANSWER_LIMIT:
            response.close()
            raise VodTransientError(action, "AnswerTooLarge", f"more than {_ANSWER_LIMIT} bytes")
        return _Answer(body)

    def close(self) -> None:
        """Close the kept connections."""
        self._pool.clear()


_CHECK_NETWORK = "Check the endpoint and proxy of the connection, and the network."
_CHECK_TLS = "Check the proxy and the CA file given as verify in the connection."


def _short(error: BaseException) -> str:
    """Name a network error without its URL or proxy, which may hold a password."""
    text = str(error).rpartition(": ")[2]
    return f"{type(error).__name__}: {text}"[:300]


def _excerpt(body: bytes) -> str:
    return "not an answer of the API but " + repr(body[:200].decode("utf-8", "replace"))


def _pool(settings: VodSettings) -> urllib3.PoolManager:
    """Make the connection pool: TLS verification as set, proxy as given or from the environment.

    :raises VodSettingsError: on this machine they cannot be as they are set.
    """
    options: dict[str, Any] = {"num_pools": 2, "maxsize": 64}
    if settings.scheme == "https":
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
    if proxy is None and not urllib.request.proxy_bypass(settings.host):
        proxy = urllib.request.getproxies().get(settings.scheme)
    if not proxy:
        return urllib3.PoolManager(**options)
    try:
        user = urllib3.util.parse_url(proxy).auth
        headers = urllib3.make_headers(proxy_basic_auth=user) if user else None
        return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)
    except (urllib3.exceptions.HTTPError, ValueError):
        where = "of the connection" if settings.proxy else "that the environment names"
        raise VodSettingsError(
            f"The proxy {where} is no URL of a proxy; it is not shown, because it may hold a password. Write "
            "http://user:password@host:port, with special characters of the password as %XX."
        ) from None


class _Credential:
    """The credentials of the settings, resolved at the first call and with every failure typed."""

    def __init__(self, settings: VodSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._source: Any = None

    def get_credential_info(self) -> tuple[str, str, str | None]:
        """Answer SecretId, SecretKey and session token; the SDK asks at every call."""
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


def _repeatable(error: BaseException) -> bool:
    if isinstance(error, (_NotSentError, VodThrottledError)):
        return True
    return isinstance(error, VodTransientError) and (error.action.startswith("Describe") or error.action in _REPEATABLE)


_TRIES = 3
_RETRYING = tenacity.Retrying(  # made once: making it costs more than a confirm
    stop=tenacity.stop_after_attempt(_TRIES),
    wait=tenacity.wait_random_exponential(multiplier=0.25, max=4),
    retry=tenacity.retry_if_exception(_repeatable),
    reraise=True,
)


class VodClient:
    """The VOD API of one application. Safe to use from many threads at once.

    :param settings: which application, and how to reach it.
    """

    def __init__(self, settings: VodSettings) -> None:
        self.settings = settings
        self._sdk = CommonClient("vod", API_VERSION, _Credential(settings), settings.region, _profile(settings))
        self._transport = _Transport(settings)
        self._sdk.request = self._transport

    def close(self) -> None:
        """Close the kept connections; the client can still be used and will open new ones."""
        self._transport.close()

    def call(self, action: str, params: Mapping[str, Any] | None = None, *, tries: int = _TRIES) -> dict[str, Any]:
        """Call any action of the VOD API.

        Describe actions and ConfirmEvents are tried several times, with growing and jittered pauses, when the API is throttled
        or out of order; anything else only where the request certainly was not processed. PullEvents is never repeated: an
        answer lost on the way has hidden its events for 30 s, and a repetition would hide the next ones as well.

        :param action: for example ``DescribeMediaInfos``.
        :param params: parameters of the action; ``SubAppId`` is added from the settings unless it is given.
        :param tries: how often at the most; 1 for who cannot wait.
        :return: the ``Response`` object of the answer.
        :raises VodApiError: whatever goes wrong, by kind.
        """
        if action == "PullEvents":
            return self._call_once(action, params)
        retrying = _RETRYING if tries == _TRIES else _RETRYING.copy(stop=tenacity.stop_after_attempt(tries))
        return retrying(self._call_once, action, params)

    def _call_once(self, action: str, params: Mapping[str, Any] | None) -> dict[str, Any]:
        if action == "ConfirmEvents":  # paced here, because repetitions count as well
            pacer(self.settings.account, action).wait()
        body = dict(params or {})
        if self.settings.sub_app_id:
            body.setdefault("SubAppId", self.settings.sub_app_id)
        try:
            # The SDK writes into the headers it is given, so each call brings its own.
            content = self._sdk.call(action, body, headers={})
        except TencentCloudSDKException as error:
            raise api_error(action, str(error.code), str(error.message), error.requestId) from None
        return _response(action, content)

    def pull_events(self) -> list[Any]:
        """Pull up to 16 events; waits up to 5 s on the server while there is none.

        Events that were pulled stay hidden for 30 s and come back then, unless they are confirmed (VOD API, PullEvents).

        :return: the items of ``EventSet`` as they came; empty where the queue is. An empty queue is the error
            ``ResourceNotFound`` in practice, and null or ``[]`` by the documentation.
        """
        try:
            events = self.call("PullEvents").get("EventSet")
        except VodInvalidRequestError as error:
            if error.code == "ResourceNotFound":
                return []
            raise
        if not isinstance(events or [], list):
            raise VodTransientError("PullEvents", "BadAnswer", f"EventSet is a {type(events).__name__}, not a list")
        return events or []

    def confirm_events(self, handles: Sequence[str]) -> None:
        """Confirm events, so that the queue drops them.

        :param handles: event handles of the latest pull, not older than 30 s; sent in chunks of 16.
        :raises VodApiError: the first error, after every chunk has been tried. The answer does not say which handles of a
            chunk were refused (VOD API, ConfirmEvents).
        """
        first_error: VodApiError | None = None
        for start in range(0, len(handles), CONFIRM_LIMIT):
            try:
                self.call("ConfirmEvents", {"EventHandles": list(handles[start : start + CONFIRM_LIMIT])})
            except VodApiError as error:
                first_error = first_error or error
        if first_error:
            raise first_error

    def describe_events_state(self, *, tries: int = _TRIES) -> int:
        """Ask how many events wait in the queue; approximate and about three minutes old (VOD API, DescribeEventsState).

        :param tries: as in `call`.
        """
        count = self.call("DescribeEventsState", tries=tries).get("CountOfEventsToPull") or 0
        if not isinstance(count, int):
            raise VodTransientError("DescribeEventsState", "BadAnswer", f"CountOfEventsToPull is {count!r:.100}")
        return count

    def describe_event_config(self) -> dict[str, Any]:
        """Ask how the application announces events: ``Mode`` (PULL or PUSH), ``NotificationUrl`` and the switches."""
        return self.call("DescribeEventConfig")

    def modify_event_config(self, **changes: Any) -> None:
        """Change how the application announces events.

        :param changes: ``Mode``, ``NotificationUrl``, ``UploadMediaCompleteEventSwitch``,
            ``DeleteMediaCompleteEventSwitch``, ``PersistenceCompleteEventSwitch``, ``SignKey`` (VOD API, ModifyEventConfig).
        """
        self.call("ModifyEventConfig", changes)

    def describe_task_detail(self, vod_task_id: str, *, tries: int = _TRIES) -> dict[str, Any]:
        """Ask for a task of the last three days by its id (VOD API, DescribeTaskDetail).

        :param vod_task_id: the id as VOD gave it.
        :param tries: as in `call`.
        :raises VodInvalidRequestError: ``InvalidParameterValue.TaskId`` or ``ResourceNotFound`` for a task that VOD does not
            know or no longer describes.
        """
        return self.call("DescribeTaskDetail", {"TaskId": vod_task_id}, tries=tries)


def official_client(settings: VodSettings) -> OfficialVodClient:
    """Make the SDK's generated client, for any API that `VodClient` does not wrap.

    :param settings: credentials and endpoint; the SubAppId is up to each request.
    """
    from tencentcloud.vod.v20180717.vod_client import VodClient as OfficialVodClient

    return OfficialVodClient(_Credential(settings), settings.region, _profile(settings))


def _profile(settings: VodSettings) -> ClientProfile:
    http = HttpProfile(
        protocol=settings.scheme,
        endpoint=settings.host,
        keepAlive=True,
        proxy=settings.proxy,
        certification=settings.verify,
    )
    return ClientProfile(httpProfile=http, language="en-US")


def _load(content: bytes) -> Any:
    """Load an answer. One event with a cut character, a raw tab or a number without end must not keep the others out."""
    try:
        return json.loads(content)
    except ValueError:
        return json.loads(content.decode("utf-8", "replace"), strict=False, parse_int=_number)


def _number(digits: str) -> int | str:
    return int(digits) if len(digits) < 4000 else digits


def _response(action: str, content: bytes) -> dict[str, Any]:
    """Take the ``Response`` object out of an answer, or raise the error in it."""
    try:
        response = _load(content)["Response"]
        if not isinstance(response, dict):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise VodTransientError(action, "BadAnswer", _excerpt(content), remedy=_CHECK_NETWORK) from None
    error = response.get("Error")
    if error is None:
        return response
    if not isinstance(error, dict):
        error = {"Message": str(error)}
    request_id = response.get("RequestId")
    raise api_error(action, str(error.get("Code")), str(error.get("Message")), request_id and str(request_id))
