"""What people on call learn of a relay, without asking the queue for anything."""

from __future__ import annotations

import json
import re
import time

import pytest

from airflow_vod import cli
from airflow_vod.hooks.vod import VodHook
from airflow_vod.inbox import Waiter
from airflow_vod.relay.steps import Relay
from tests.airflow_fixtures import SUB_APP_ID, Vod
from tests.relays import drain


def status(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, object]]:
    """Ask as people do; the exit status, and what was printed."""
    capsys.readouterr()
    code = cli.main(["relay", "status", "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_queue_that_nobody_has_used(vod: Vod, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody pulls and nobody waits: nothing is wrong."""
    code, told = status(capsys)
    assert code == 0
    assert (told["queue"], told["holder"], told["relay"], told["waiters"]) == (vod.queue, None, None, 0)
    assert vod.emulator.calls.count("PullEvents") == 0


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worry at once."""
    monkeypatch.setattr("airflow_vod.relay.health.SILENCE", -1.0)


def test_who_has_just_begun_to_wait_is_no_worry(vod: Vod, capsys: pytest.CaptureFixture[str]) -> None:
    """The first pull takes its time."""
    vod.store.waiters.add(vod.queue, [Waiter.of("dag/run/task", "Concat-1")], "owner")
    assert status(capsys)[0] == 0


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("held", [False, True])
def test_somebody_waits_and_vod_does_not_answer(vod: Vod, capsys: pytest.CaptureFixture[str], held: bool) -> None:
    """That is what the exit status is for, also while some process holds the lease; why it fails is told."""
    vod.store.waiters.add(vod.queue, [Waiter.of("dag/run/task", "Concat-1")], "owner")
    trouble = {"last_pull_at": time.time() - 700, "failing_since": time.time() - 660, "failure": "Connection refused"}
    vod.store.leases.acquire(vod.queue, "host:1:x", 60 if held else 0.0, info=trouble)
    assert cli.main(["relay", "status"]) == 2
    told = capsys.readouterr().out
    assert re.search(r"pulls have failed since 11 min( \d+ s)? ago: Connection refused", told)
    assert re.search(r"Last pull 11 min \d+ s ago", told)


@pytest.mark.usefixtures("impatient")
def test_where_events_come_by_callback_nobody_needs_to_pull(vod: Vod, capsys: pytest.CaptureFixture[str]) -> None:
    """In PUSH mode a queue that nobody pulls is no trouble, if callbacks are received here."""
    vod.store.waiters.add(vod.queue, [Waiter.of("dag/run/task", "Concat-1")], "owner")
    client = VodHook().get_client()
    client.modify_event_config(Mode="PUSH")
    client.close()
    assert status(capsys)[0] == 2
    vod.connect(extra={"sub_app_id": SUB_APP_ID, "callback_token": "x" * 32})
    assert status(capsys)[0] == 0


@pytest.mark.usefixtures("impatient")
def test_somebody_waits_and_nobody_pulls(vod: Vod, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit status tells, and the longest waits are named."""
    vod.store.waiters.add(vod.queue, [Waiter.of("dag/run/task", "Concat-1")], "owner")
    code, told = status(capsys)
    assert (code, told["waiters"]) == (2, 1)
    [longest] = told["longest_waiters"]  # type: ignore[misc]
    assert (longest["waiter"], longest["vod_task_id"]) == ("dag/run/task", "Concat-1")


@pytest.mark.usefixtures("impatient")
def test_who_waits_for_no_vod_task(vod: Vod, capsys: pytest.CaptureFixture[str]) -> None:
    """Event sensors and asset watchers are named with the types of events they wait for."""
    waiters = [Waiter.of("asset watcher w", None, ["NewFileUpload", "FileDeleted"]), Waiter.of("dag/run/task", None)]
    vod.store.waiters.add(vod.queue, waiters, "owner")
    assert cli.main(["relay", "status"]) == 2
    told = capsys.readouterr().out
    assert "asset watcher w for FileDeleted or NewFileUpload, 0 s" in told
    assert "dag/run/task for any event, 0 s" in told


@pytest.mark.usefixtures("impatient")
def test_text_of_others_is_shown_as_text(vod: Vod, capsys: pytest.CaptureFixture[str]) -> None:
    """What waiters, relays and VOD say moves no cursor, forges no line and turns no direction of writing."""
    vod.store.waiters.add(vod.queue, [Waiter.of("dag/run/task", "Concat\u202e1")], "owner")
    trouble = {"failing_since": time.time() - 660, "failure": "no\nUnhealthy not at all\x9b"}
    vod.store.leases.acquire(vod.queue, "host:1:x", 60, info=trouble)
    assert cli.main(["relay", "status"]) == 2
    told = capsys.readouterr().out
    assert all(line.isprintable() for line in told.split("\n"))
    assert r"Concat\u202e1" in told


def test_a_sensor_that_looks_by_itself(vod: Vod, capsys: pytest.CaptureFixture[str]) -> None:
    """Between two looks nobody holds the lease; who held it last still tells of its pulls, and nothing is wrong."""
    vod.store.waiters.add(vod.queue, [Waiter.of("dag/run/task", "Concat-1")], "owner")
    vod.publish_concat("Concat-2")
    client = VodHook().get_client()
    for _ in range(2):
        drain(Relay(client, vod.store))
    client.close()
    code, told = status(capsys)
    assert (code, told["holder"]) == (0, None)
    assert told["events"] == 1


def test_a_holder_that_has_pulled_everything(vod: Vod, capsys: pytest.CaptureFixture[str]) -> None:
    """The lease, the last pull and when the queue was last empty are told in seconds."""
    now = time.time()
    vod.store.leases.acquire(vod.queue, "host:1:x", 60, info={"last_pull_at": now - 3, "caught_up_at": now - 7})
    assert cli.main(["relay", "status"]) == 0
    said = capsys.readouterr().out
    assert "host:1:x, since 0 s ago" in said
    assert "Last pull 3 s ago; caught up with the queue 7 s ago" in said
