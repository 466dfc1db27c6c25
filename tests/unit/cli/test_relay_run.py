"""``airflow-vod relay run``, from its first question to its end."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from airflow_vod import cli
from tests.airflow_fixtures import SUB_APP_ID, Vod


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
