"""What a triggerer survives: Airflow's `TriggerRunner` makes triggers out of arguments that are not those of this version."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.jobs.triggerer_job_runner import TriggerRunner
from airflow.models.trigger import Trigger
from airflow.triggers.base import BaseTrigger

from airflow_vod.exceptions import VodSettingsError
from airflow_vod.triggers import vod_event as triggers
from airflow_vod.triggers.submit import VodSubmittedTaskTrigger
from airflow_vod.triggers.vod import VodTaskTrigger
from airflow_vod.triggers.vod_event import VodEventTrigger, VodNextEventTrigger
from tests.airflow_fixtures import Vod

WAIT = {"vod_conn_id": "vod_default", "deadline": 0.0}
KINDS: dict[type[BaseTrigger], dict[str, Any]] = {
    VodTaskTrigger: {"vod_task_id": "Concat-1", **WAIT},
    VodSubmittedTaskTrigger: {"vod_task_id": "Concat-1", "submission_key": "k", "attempt": 1, **WAIT},
    VodNextEventTrigger: {"since": 0.0, **WAIT},
    VodEventTrigger: {"watcher": "w"},
}
ENCODED = {"__type": "dict", "__var": {"source": "Upload"}}


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Answer what was logged, wherever this version of Airflow writes it to."""
    return lambda: caplog.text + capsys.readouterr().out


async def made(kind: type[BaseTrigger], **arguments: Any) -> BaseTrigger:
    """Let the triggerer make a trigger; it is not run."""
    runner = TriggerRunner()
    seen: list[BaseTrigger] = []

    async def note(_: int, trigger: BaseTrigger, *__: Any) -> None:
        seen.append(trigger)

    runner.run_trigger = note  # type: ignore[method-assign]
    classpath = f"{kind.__module__}.{kind.__qualname__}"
    workload = SimpleNamespace(id=1, ti=None, classpath=classpath, timeout_after=None, watched_assets=None)
    workload.encrypted_kwargs = Trigger.encrypt_kwargs(arguments)
    runner.to_create.append(workload)  # type: ignore[arg-type]
    await runner.create_triggers()
    assert not runner.failed_triggers
    await asyncio.gather(*(each["task"] for each in runner.triggers.values()))
    [trigger] = seen
    return trigger


@pytest.mark.parametrize("kind", KINDS)
async def test_newer_arguments(kind: type[BaseTrigger]) -> None:
    """A triggerer makes what a newer version has stored, and the trigger says what it ignores and what to do."""
    trigger = await made(kind, **KINDS[kind], of_tomorrow=1)
    said = trigger._unknown  # type: ignore[attr-defined]
    assert said.startswith(f"This triggerer ignores of_tomorrow of a {kind.__name__}")
    assert "Install the same version" in said
    assert "of_tomorrow" not in trigger.serialize()[1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_mistake_of_a_dag(kind: type[BaseTrigger]) -> None:
    """Whoever writes an argument that there is not is told at once."""
    with pytest.raises(TypeError, match="takes no mtach"):
        kind(**KINDS[kind], mtach={})


async def test_it_says_so_when_it_runs(vod: Vod, logged: Callable[[], str]) -> None:
    """What it ignores is in the log of the triggerer, and the wait goes on."""
    vod.publish_concat("Concat-1")
    arguments = KINDS[VodTaskTrigger] | {"deadline": time.time() + 3600, "waiter": "dag/run/task"}
    trigger = await made(VodTaskTrigger, **arguments, of_tomorrow=1)
    async with asyncio.timeout(60):
        event = await anext(trigger.run())
    assert event.payload == {"status": "found"}
    assert "ignores of_tomorrow" in logged()


@pytest.mark.parametrize("kind", [VodEventTrigger, VodNextEventTrigger])
async def test_arguments_that_are_still_encoded(kind: type[BaseTrigger]) -> None:
    """What Airflow 3.0.2 hands over as it is stored makes the same trigger."""
    trigger = kind(**KINDS[kind], match=ENCODED)
    assert trigger.serialize() == kind(**KINDS[kind], match={"source": "Upload"}).serialize()


@pytest.mark.parametrize("arguments", [{"match": {"fileid": "1"}}, {"match": "x"}, {"watcher": "a\nb"}])
async def test_a_watcher_that_cannot_work(
    arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    """A triggerer makes it all the same; it says what is wrong whenever it runs, and does not use up the processor with it."""
    pauses: list[float] = []

    async def note(seconds: float) -> None:
        pauses.append(seconds)

    trigger = await made(VodEventTrigger, **arguments)
    assert isinstance(trigger, VodEventTrigger)
    with pytest.raises(VodSettingsError):
        trigger.shared_stream_key()
    monkeypatch.setattr(triggers.asyncio, "sleep", note)
    with pytest.raises(VodSettingsError):
        await anext(trigger.run())
    assert pauses == [60.0]
    assert "This watcher cannot work" in logged()
