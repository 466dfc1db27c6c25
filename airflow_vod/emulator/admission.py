"""Whether a call is let in, before its parameters are read.

Invariant: checks run in a fixed order and the first failure decides the answer: action, version, signature, token, rate
limit, permission. Everything that has been authenticated counts against the rate limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_vod.emulator.actions import ACTIONS
from airflow_vod.emulator.errors import ApiError, missing
from airflow_vod.emulator.limiter import FixedWindow, SlidingWindow
from airflow_vod.emulator.signature import verify

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_vod.emulator.actions import Action
    from airflow_vod.emulator.options import EmulatorOptions
    from airflow_vod.emulator.request import Request

VERSION = "2018-07-17"


def find_action(request: Request) -> Action:
    """Look up the action that a request names.

    :param request: as received.
    :return: the action.
    :raises ApiError: MissingParameter, NoSuchVersion or InvalidAction.
    """
    if not request.action:
        raise missing("Action")
    version = request.headers.get("x-tc-version")
    if version is None:
        raise missing("Version")
    if version != VERSION:
        raise ApiError("NoSuchVersion", f"The version {version!r} does not exist; the only version is {VERSION}.")
    if request.action not in ACTIONS:
        raise ApiError("InvalidAction", f"The action {request.action!r} does not exist in this emulator.")
    return ACTIONS[request.action]


class Admission:
    """Accounts, their tokens, rate limits and permissions. Not thread-safe: its owner holds a lock.

    :param accounts: SecretId to secret key.
    :param options: of the emulator.
    """

    def __init__(self, accounts: Mapping[str, str], options: EmulatorOptions) -> None:
        self._accounts = dict(accounts)
        self._options = options
        self._limiter = FixedWindow() if options.rate_window == "fixed" else SlidingWindow()

    def authenticate(self, request: Request, wall_clock: float) -> str:
        """Verify the signature of a request.

        :param request: as received.
        :param wall_clock: time to check the signature's timestamp against, Unix seconds.
        :return: the SecretId.
        :raises ApiError: an AuthFailure, or MissingParameter without a timestamp.
        """
        return verify(request, self._accounts, wall_clock, skew=self._options.clock_skew)

    def authorize(self, secret_id: str, request: Request, now: float) -> None:
        """Check token, rate limit and permission of an authenticated request, and count it.

        :param secret_id: whose request it is.
        :param request: as received.
        :param now: the emulator's clock, Unix seconds.
        :raises ApiError: AuthFailure.TokenFailure, RequestLimitExceeded, UnauthorizedOperation or
            FailedOperation.InvalidVodUser.
        """
        options, action = self._options, request.action
        if request.headers.get("x-tc-token") != options.tokens.get(secret_id):
            raise ApiError("AuthFailure.TokenFailure", "The token does not belong to the SecretId.")
        if options.rate_limit is not None:
            allowed = options.rate_limits.get(action, options.rate_limit)
            if not self._limiter.admit((secret_id, action), allowed, now):
                text = f"Your current request frequency exceeds the limit of {allowed}/s for `{action}`."
                raise ApiError("RequestLimitExceeded", text)
        if action in options.unauthorized_actions:
            raise ApiError("UnauthorizedOperation", f"You are not authorized to perform `vod:{action}`.")
        if options.invalid_vod_user:
            raise ApiError("FailedOperation.InvalidVodUser", "invalid vod user")
