"""Executes sensors as Airflow does, from process to process, without Airflow's database and much quicker.

Invariant: what is executed is the sensor's own; only what Airflow's supervisor, scheduler and triggerer do between its processes
is done here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_vod.sensors.base import VodSensor
from tests.airflow_fixtures import MODES
from tests.airflow_names import AirflowRescheduleException, TaskDeferred

Make = Callable[..., VodSensor]


def wait(make: Make, mode: str, **arguments: Any) -> Any:
    """Execute a sensor as Airflow does, from process to process."""
    began = datetime.now(UTC)
    first: list[datetime] = []
    ti = SimpleNamespace(dag_id="dag", run_id="run", task_id="wait", map_index=-1, start_date=began)
    ti.xcom_push, ti.get_first_reschedule_date = lambda **_: None, lambda _: first[0] if first else None
    context: Any = {"ti": ti}
    while True:
        sensor = make(**MODES[mode] | arguments)
        try:
            return sensor.execute(context)
        except AirflowRescheduleException:
            first[:] = [began]
        except TaskDeferred as deferral:
            event = asyncio.run(_fired(deferral.trigger))
            return make(**MODES[mode] | arguments).resume_execution(
                deferral.method_name, {"event": event.payload}, context
            )


async def _fired(trigger: Any) -> Any:
    return await anext(trigger.run())


def error_of(make: Make, mode: str, **arguments: Any) -> Exception:
    """Execute a sensor that fails, and answer its error."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is what is asked
        wait(make, mode, **arguments)
    return caught.value
