"""Asks VOD which tasks of an application have ended lately: many waits for the price of one question.

Invariants: what a survey does not show is no information: it may not show every task, and not at once, so each is asked about by
itself now and then too. Two surveys in a row leave no time between them unlooked at, whatever clock this machine has that VOD
still accepts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_vod.exceptions import VodApiError, VodAuthenticationError, VodInvalidRequestError
from airflow_vod.tencent.pacing import pacer

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_vod.tencent.client import VodClient

log = logging.getLogger(__name__)

ACTION = "DescribeTasks"
CALLS_PER_SECOND = 20  # of the 100 that the API allows an account
SKEW = 305.0  # seconds: VOD refuses a clock that is 300 s off (AuthFailure.SignatureExpire)
FIRST_LOOK_BACK = 60.0  # seconds before the first survey whose ends it shows
PAGE = 100  # tasks (VOD API, DescribeTasks: at most 100)
MOST_PAGES = 50  # for one survey
REFUSED_FOR = 600.0  # seconds without another try after VOD has refused
_ENDED = ("FINISH", "ABORTED")


class Survey:
    """Asks about one application. Belongs to one thread.

    :param client: the application.
    :param clock: Unix seconds.
    """

    def __init__(self, client: VodClient, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._clock = clock
        self._pacer = pacer(client.settings.account, ACTION, CALLS_PER_SECOND)
        self.covers_since_at: float | None = None
        """Unix seconds, by the clock given, since when surveys show every end; None where they do not."""
        self._looked_at = 0.0  # when the latest complete survey began
        self._refused_until = float("-inf")

    def ended(self, vod_task_ids: Collection[str]) -> set[str] | None:
        """Ask which tasks have ended since the latest survey.

        :param vod_task_ids: those of interest.
        :return: those that have ended; None where VOD cannot be asked in this way.
        """
        began_at = self._clock()
        if began_at < self._refused_until:
            return None
        try:
            covered_to_at = began_at - FIRST_LOOK_BACK if self.covers_since_at is None else self._looked_at
            ended = self._read(vod_task_ids, covered_to_at - SKEW)
        except (VodAuthenticationError, VodInvalidRequestError) as error:
            self._refused_until, self.covers_since_at = began_at + REFUSED_FOR, None
            log.warning("VOD does not list the tasks that have ended, so each is asked about by itself: %s", error)
            return None
        except VodApiError as error:
            log.info("VOD cannot be asked now which tasks have ended: %s", error)
            return set()
        if ended is None:
            self._refused_until, self.covers_since_at = began_at + REFUSED_FOR, None
            log.info("So many tasks end that asking about each one that is waited for is cheaper than listing them")
            return None
        if self.covers_since_at is None:
            self.covers_since_at = covered_to_at
        self._looked_at = began_at
        return ended

    def _read(self, wanted: Collection[str], since_at: float) -> set[str] | None:
        """Read page after page of the tasks that have ended since a time; None where there are too many."""
        after = datetime.fromtimestamp(since_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        # Not by status: VOD takes FINISH there, but no ABORTED.
        question: dict[str, Any] = {"FinishTime": {"After": after}, "Limit": PAGE}
        ended = set[str]()
        for _ in range(MOST_PAGES):
            self._pacer.wait()
            answer = self._client.call(ACTION, question, tries=1)
            listed = answer.get("TaskSet")
            for task in listed if isinstance(listed, list) else ():
                if isinstance(task, dict) and task.get("Status") in _ENDED and str(task.get("TaskId")) in wanted:
                    ended.add(str(task["TaskId"]))
            token = answer.get("ScrollToken")
            if not token or not listed:
                return ended
            question["ScrollToken"] = token
        return None
