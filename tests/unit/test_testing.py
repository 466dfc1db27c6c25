"""The fixtures that users get by installing the package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.events.results import result_of
from airflow_vod.waiting.watch import watches
from tests.unit.emulator.helpers import Wire


def test_the_fixture_is_a_running_emulator(vod_emulator: Emulator):
    """It can be published to and pulled from."""
    vod_emulator.publish_concat("Concat-1")
    assert len(Wire(vod_emulator).call("PullEvents").response["EventSet"]) == 1


def test_the_connection_points_to_the_emulator(vod_conn: Emulator, vod_emulator: Emulator):
    """The Airflow connection `vod_default` is set for the test."""
    assert vod_conn is vod_emulator
    assert json.loads(os.environ["AIRFLOW_CONN_VOD_DEFAULT"])["host"] == vod_conn.endpoint


@pytest.mark.parametrize("nth", [1, 2])
async def test_each_test_has_an_inbox_of_its_own(vod_conn: Emulator, nth: int):
    """What waits in one test meets the emulator and the inbox of this test, not those of the one before."""
    from airflow_vod.triggers.vod import VodTaskTrigger

    vod_conn.publish_concat("Concat-1", files=[f"http://example.com/{nth}.mp4?sign=abc"])
    trigger = VodTaskTrigger(vod_task_id="Concat-1", vod_conn_id="vod_default", deadline=time.time() + 60)
    event = await anext(trigger.run())
    assert event.payload == {"status": "found"}
    [watch] = [watch for watch in watches() if watch.alive]
    [stored] = watch.inbox.newest()
    [file] = result_of(stored.event()).files
    assert (file.url, file.type) == (f"http://example.com/{nth}.mp4?sign=abc", "mp4")


class TestOptions:
    """A project that chooses other options."""

    @pytest.fixture
    def vod_emulator_options(self) -> EmulatorOptions:
        """An impatient server."""
        return EmulatorOptions(hold=0)

    def test_options_can_be_overridden(self, vod_emulator: Emulator):
        """The fixture of the same name wins."""
        assert vod_emulator.options.hold == 0


def test_the_plugin_costs_nothing_until_it_is_used():
    """Pytest imports it in every project: no web server, no SDK, no Airflow, no SQL may come with it, nor with the core."""
    code = (
        "import sys, airflow_vod.testing; plugin = set(sys.modules);"
        "from airflow_vod.emulator import Emulator; core = set(sys.modules);"
        "print([sorted({m.partition('.')[0] for m in seen} & {'starlette', 'uvicorn', 'tencentcloud', 'airflow',"
        " 'sqlalchemy', 'anyio', 'asyncio'}) for seen in (plugin, core)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[[], []]"


def test_the_emulator_stands_alone():
    """Serving loads nothing of Airflow and nothing of the rest of this package."""
    code = (
        "import sys; from airflow_vod.emulator import Emulator\n"
        "with Emulator(): pass\n"
        "print(sorted(m for m in sys.modules if m.startswith(('airflow.', 'airflow_vod.', 'tencentcloud'))"
        " and not m.startswith('airflow_vod.emulator')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names_of_the_package_resolve_when_asked():
    """Everything that is announced is there, and nothing else."""
    import airflow_vod.emulator as package

    assert all(getattr(package, name).__name__ == name for name in package.__all__)
    with pytest.raises(AttributeError, match="Nothing"):
        _ = package.Nothing
