"""Every VOD API call, through the official SDK's `CommonClient`.

Invariants: a call returns what the API said or raises one of the errors in `exceptions.py`, never anything else; no text
that leaves this module holds a secret; a call is repeated only where a repetition cannot take events out of the queue.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import tenacity
from tencentcloud.common.common_client import CommonClient
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile

from airflow_vod.exceptions import (
    VodApiError,
    VodError,
    VodInvalidRequestError,
    VodThrottledError,
    VodTransientError,
)
from airflow_vod.tencent.answers import response_of
from airflow_vod.tencent.credentials import Credential
from airflow_vod.tencent.errors import NotSentError, api_error
from airflow_vod.tencent.network import authorities_of, proxy_of
from airflow_vod.tencent.pacing import pacer
from airflow_vod.tencent.transport import Transport

if TYPE_CHECKING:
    from tencentcloud.vod.v20180717.vod_client import VodClient as OfficialVodClient

    from airflow_vod.tencent.settings import VodSettings

API_VERSION = "2018-07-17"
CONFIRM_LIMIT = 16  # handles per ConfirmEvents (VOD API, ConfirmEvents)
PULL_LIMIT = 16  # events per PullEvents (VOD API, PullEvents)
PULL_HOLD = 5.0  # seconds for which the server may hold a pull (VOD API, PullEvents)

_PULL_READ_TIMEOUT = PULL_HOLD + 10.0  # seconds; a late answer carries events, so waiting beats losing it
_REPEATABLE = frozenset({"ConfirmEvents"})  # besides Describe*: a second confirm of the same handles changes nothing


class _NoDebug(logging.Filter):
    """Keeps the SDK's DEBUG records away: they show the signature, the session token and the bodies."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.DEBUG


logging.getLogger("tencentcloud_sdk_common").addFilter(_NoDebug())


def _repeatable(error: BaseException) -> bool:
    if isinstance(error, (NotSentError, VodThrottledError)):
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
        self._sdk = CommonClient("vod", API_VERSION, Credential(settings), settings.region, _profile(settings))
        self._transport = Transport(settings, settings.url, {"PullEvents": _PULL_READ_TIMEOUT})
        self._sdk.request = self._transport

    def close(self) -> None:
        """Close the kept connections; the client can still be used and will open new ones."""
        self._transport.close()

    def call(self, action: str, params: Mapping[str, Any] | None = None, *, tries: int = _TRIES) -> dict[str, Any]:
        """Call any action of the VOD API.

        Describe actions and ConfirmEvents are tried several times, with growing and jittered pauses, when the API throttles or
        fails; any other action only if the request was certainly not processed. PullEvents is never repeated: a lost answer
        has hidden its events for 30 s, and a repetition would hide the next ones as well.

        :param action: for example ``DescribeMediaInfos``.
        :param params: parameters of the action; ``SubAppId`` is added from the settings unless it is given.
        :param tries: calls at most; 1 for a caller that cannot wait.
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
        except VodError:
            raise
        except (
            TypeError,
            ValueError,
            RecursionError,
        ) as error:  # of the parameters: all else is typed by whoever sends
            raise VodInvalidRequestError(
                action, "BadParameters", f"no JSON can say them: {type(error).__name__}"
            ) from None
        return response_of(action, content)

    def pull_events(self) -> list[Any]:
        """Pull up to 16 events; the server holds the call for up to 5 s while there are none.

        Pulled events stay hidden for 30 s and then come back, unless they are confirmed (VOD API, PullEvents).

        :return: the items of ``EventSet`` as they came; empty if the queue is. VOD reports an empty queue as the error
            ``ResourceNotFound`` in practice, and as null or ``[]`` by its documentation.
        :raises VodApiError: whatever goes wrong, by kind.
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
        """Ask how many events wait in the queue (VOD API, DescribeEventsState).

        :param tries: as in `call`.
        :return: events; approximate and about three minutes old.
        :raises VodApiError: whatever goes wrong, by kind.
        """
        count = self.call("DescribeEventsState", tries=tries).get("CountOfEventsToPull") or 0
        if not isinstance(count, int):
            raise VodTransientError("DescribeEventsState", "BadAnswer", f"CountOfEventsToPull is {count!r:.100}")
        return count

    def describe_event_config(self) -> dict[str, Any]:
        """Ask how the application announces events: ``Mode`` (PULL or PUSH), ``NotificationUrl`` and the switches.

        Source: VOD API, DescribeEventConfig.

        :raises VodApiError: whatever goes wrong, by kind.
        """
        return self.call("DescribeEventConfig")

    def modify_event_config(self, **changes: Any) -> None:
        """Change how the application announces events.

        :param changes: ``Mode``, ``NotificationUrl``, ``UploadMediaCompleteEventSwitch``,
            ``DeleteMediaCompleteEventSwitch``, ``PersistenceCompleteEventSwitch``, ``SignKey`` (VOD API, ModifyEventConfig).
        :raises VodApiError: whatever goes wrong, by kind.
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
    """Make the SDK's generated client, for any action that `VodClient` does not wrap.

    :param settings: credentials and endpoint; each request names its own SubAppId.
    """
    from tencentcloud.vod.v20180717.vod_client import VodClient as OfficialVodClient

    proxy = proxy_of(settings, settings.url)
    http = HttpProfile(
        protocol=settings.scheme,
        endpoint=settings.host,
        keepAlive=True,
        proxy=proxy,
        certification=authorities_of(settings),
    )
    client = OfficialVodClient(Credential(settings), settings.region, ClientProfile(httpProfile=http, language="en-US"))
    if proxy is None:  # else the SDK takes the environment's, because it misreads domains in NO_PROXY
        client.request.conn.proxy = None
    return client


def _profile(settings: VodSettings) -> ClientProfile:
    return ClientProfile(httpProfile=HttpProfile(protocol=settings.scheme, endpoint=settings.host), language="en-US")
