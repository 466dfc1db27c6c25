"""Which state of its task an error makes that ends a wait.

Invariant: one table decides for every mode. It is Airflow's own for the mode ``poke``: ``soft_fail`` skips on a timeout and on a
failed VOD task, never on a wait that broke; ``never_fail`` skips on anything; ``silent_fail`` waits on after what broke.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Never

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout, AirflowSkipException

from airflow_vod.exceptions import VodError, VodSettingsError
from airflow_vod.hooks.version_compat import AirflowRescheduleException

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseSensorOperator

WAIT_TIMED_OUT = "wait-timed-out"  # where `docs/troubleshooting.md` explains it
PAUSE = 15.0  # seconds at least, until a wait that broke begins anew


@contextlib.contextmanager
def ends_as_airflow_says(sensor: Any, deadline_at: Callable[[], float]) -> Iterator[None]:
    """Turn an error into the state that the DAG's author asked for, with the reason as its message.

    :param sensor: whose wait it is; its `where` tells whose for people.
    :param deadline_at: answers when the time is over, in Unix seconds.
    """
    try:
        with _says_where(sensor):
            yield
    except AirflowSkipException as skip:
        if skip.__cause__ is None:
            raise
        raise AirflowSkipException(str(skip.__cause__)) from skip.__cause__
    except (AirflowSensorTimeout, AirflowFailException) as error:
        if sensor.soft_fail or sensor.never_fail:
            raise AirflowSkipException(str(error)) from error
        raise
    except AirflowRescheduleException:
        raise
    except Exception as error:
        if sensor.deferrable and sensor.silent_fail:  # on a worker Airflow's own loop has seen to it
            _go_on_after(error, sensor, deadline_at())
        if sensor.never_fail:
            raise AirflowSkipException(str(error)) from error
        raise


def _go_on_after(error: Exception, sensor: BaseSensorOperator, deadline_at: float) -> Never:
    """Let Airflow begin the wait anew after a while: the triggerer's part of it has ended."""
    if time.time() >= deadline_at:
        text = f"The time was over ({sensor.timeout:g} s) when the wait ended with an error: {error} [{WAIT_TIMED_OUT}]"
        if sensor.soft_fail or sensor.never_fail:
            raise AirflowSkipException(text) from error
        raise AirflowSensorTimeout(text) from error
    sensor.log.error("The wait goes on although it failed, for silent_fail is set: %s", error)
    raise AirflowRescheduleException(datetime.now(UTC) + timedelta(seconds=max(sensor.poke_interval, PAUSE)))


@contextlib.contextmanager
def _says_where(sensor: Any) -> Iterator[None]:
    """Let errors of this package tell whose wait they ended, and what to do."""
    try:
        yield
    except VodError as error:
        error.during(sensor.where(knows_connection=not isinstance(error, VodSettingsError)))
        raise
    except AirflowSkipException as skip:
        cause = skip.__cause__
        if isinstance(cause, VodError):
            cause.during(sensor.where(knows_connection=not isinstance(cause, VodSettingsError)))
        raise
