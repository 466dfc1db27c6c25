"""The version of Airflow. Invariant: it is determined only here."""

from __future__ import annotations

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
]

_version = Version(Version(__version__).base_version)

AIRFLOW_V_3_1_PLUS: bool = _version >= Version("3.1.0")
AIRFLOW_V_3_3_PLUS: bool = _version >= Version("3.3.0")
