"""``airflow-vod relay run``, from its first question to its end."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from airflow_vod import cli
from tests.airflow_fixtures import INBOX_OPTION, SUB_APP_ID, Vod


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Give the signals back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_wrong_key_shows_at_once(vod: Vod, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where another process pulls: not only when this one is to take over."""
    vod.store.leases.acquire(vod.queue, "another", 600)
    vod.connect(password="wrong")
    assert cli.main(["relay", "run"]) == 1
    assert "AuthFailure" in capsys.readouterr().err


def test_a_permission_that_is_missing_is_none_of_its_business(vod: Vod) -> None:
    """A key that may pull but not read the mode relays until it is interrupted."""
    vod.emulator.faults.script({"DescribeEventConfig": ["unauthorized"] * 9})
    vod.publish_concat("Concat-1")

    def stop() -> None:
        vod.emulator.wait_until(lambda: vod.emulator.queue(SUB_APP_ID).confirmed == 1, 60)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop)
    thread.start()
    assert cli.main(["relay", "run"]) == 0
    thread.join()
    assert len(vod.store.newest(vod.queue)) == 1


@pytest.mark.parametrize(("executor", "said"), [("CeleryExecutor", 1), ("LocalExecutor", 0)])
def test_an_inbox_that_other_machines_do_not_see(
    vod: Vod, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, executor: str, said: int
) -> None:
    """A warning with the remedy, before anything is pulled."""
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", executor)
    vod.connect(password="wrong")
    assert cli.main(["relay", "run"]) == 1
    assert caplog.text.count("runs tasks with CeleryExecutor, on other machines") == said


def test_a_command_that_does_not_tell_where_the_inbox_is(
    vod: Vod, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends with the form that failed, and pulls nothing into another inbox."""
    monkeypatch.delenv(INBOX_OPTION)
    monkeypatch.setenv(f"{INBOX_OPTION}_CMD", "false")
    assert cli.main(["relay", "run"]) == 1
    assert f"set by {INBOX_OPTION}_CMD" in capsys.readouterr().err
    assert vod.emulator.calls.count("PullEvents") == 0
