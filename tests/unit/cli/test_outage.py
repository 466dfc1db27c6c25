"""VOD is away while ten tasks wait: whoever is asked names the cause, and since when."""

from __future__ import annotations

import asyncio
import json
import re
import time

import pytest

from airflow_vod import cli
from airflow_vod.triggers.vod import VodTaskTrigger
from airflow_vod.waiting.watch import watches
from tests.airflow_fixtures import Vod

TASKS = 10
OUTAGE = 8.0  # seconds


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worry after two seconds."""
    monkeypatch.setattr("airflow_vod.relay.health.SILENCE", 2.0)


async def _wait(number: int) -> None:
    waits = VodTaskTrigger(vod_task_id=f"Edit-{number}", vod_conn_id="vod_default", waiter=f"dag/run/{number}")
    await anext(waits.run())


async def test_an_outage(vod: Vod, capsys: pytest.CaptureFixture[str]) -> None:
    """Status and doctor say the same, while a relay tries and after it has gone, until VOD is back."""
    waits = [asyncio.create_task(_wait(number)) for number in range(TASKS)]
    await asyncio.to_thread(vod.after_pulls, 2)
    vod.emulator.stop()
    began_at = time.time()
    await asyncio.sleep(OUTAGE)
    for _ in range(2):
        capsys.readouterr()
        assert await asyncio.to_thread(cli.main, ["relay", "status"]) == 2
        assert await asyncio.to_thread(cli.main, ["doctor"]) == 1
        status, _, doctor = capsys.readouterr().out.partition("\nok ")
        for told in (status, doctor):
            [since] = set(re.findall(r"pulls have failed since (\S+ \S+ UTC), PullEvents: .*refused", told))
            at = time.mktime(time.strptime(since, "%Y-%m-%d %H:%M:%S UTC")) - time.timezone
            assert began_at - 2 <= at <= began_at + OUTAGE
        assert re.search(rf"Waiters +{TASKS}\n", status)
        for watch in watches():  # now as if the process had been killed: nobody holds the lease, and ten wait
            watch._listing.write = lambda *_: []  # type: ignore[method-assign, assignment]
            watch.end()
            await asyncio.to_thread(watch.join)
    for each in waits:
        each.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    status = await asyncio.to_thread(_status, capsys)
    assert (status["holder"], status["waiters"]) == (None, TASKS)


def _status(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    capsys.readouterr()
    cli.main(["relay", "status", "--json"])
    return json.loads(capsys.readouterr().out)
