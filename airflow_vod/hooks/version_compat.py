"""The version of Airflow. Invariant: it is determined only here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow import __version__
from packaging.version import Version

try:
    from airflow.sdk.exceptions import AirflowRescheduleException, TaskDeferralError, TaskDeferralTimeout
except ImportError:  # before 3.2
    from airflow.exceptions import (  # type: ignore[no-redef]
        AirflowRescheduleException,
        TaskDeferralError,
        TaskDeferralTimeout,
    )

__all__ = [
    "AIRFLOW_V_3_1_PLUS",
    "AIRFLOW_V_3_3_PLUS",
    "AirflowRescheduleException",
    "TaskDeferralError",
    "TaskDeferralTimeout",
    "is_of_another_try",
    "kwargs_of_try",
]

_version = Version(Version(__version__).base_version)

AIRFLOW_V_3_1_PLUS: bool = _version >= Version("3.1.0")
AIRFLOW_V_3_3_PLUS: bool = _version >= Version("3.3.0")


def kwargs_of_try(ti: Any) -> dict[str, Any]:
    """What a deferral keeps for the process that takes over: which try it is of, where Airflow may mistake that.

    :param ti: the task instance.
    """
    return {} if AIRFLOW_V_3_1_PLUS else {"attempt": ti.try_number}


def is_of_another_try(kwargs: Mapping[str, Any] | None, ti: Any) -> bool:
    """Say whether a task is resumed with the end of an earlier try's wait: before 3.1 Airflow keeps that when it retries.

    :param kwargs: what Airflow resumes it with.
    :param ti: the task instance.
    """
    return kwargs is not None and "attempt" in kwargs and kwargs["attempt"] != ti.try_number
