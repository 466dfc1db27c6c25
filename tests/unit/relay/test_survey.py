"""Asking VOD which tasks have ended, all at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest

from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.emulator.clock import ManualClock
from airflow_vod.relay import survey as survey_module
from airflow_vod.relay.survey import ACTION, Survey
from airflow_vod.tencent.client import VodClient
from airflow_vod.tencent.settings import VodSettings


@pytest.fixture
def clock() -> ManualClock:
    """The emulator's time."""
    return ManualClock()


@pytest.fixture
def serve(clock: ManualClock) -> Iterator[Callable[..., tuple[Emulator, Survey]]]:
    """Run an emulator with its options, and make a survey of it whose clock is off by some seconds."""
    served: list[tuple[Emulator, VodClient]] = []

    def serve_one(off: float = 0.0, **options: object) -> tuple[Emulator, Survey]:
        vod = Emulator(options=EmulatorOptions(**options), clock=clock)  # type: ignore[arg-type]
        vod.start()
        client = VodClient(VodSettings(vod.secret_id, vod.secret_key, endpoint=vod.endpoint))
        served.append((vod, client))
        return vod, Survey(client, lambda: clock.now() + off)

    yield serve_one
    for vod, client in served:
        client.close()
        vod.stop()


@pytest.mark.parametrize("off", [0.0, 299.0, -299.0])
def test_it_finds_what_has_ended(serve: Callable[..., tuple[Emulator, Survey]], clock: ManualClock, off: float) -> None:
    """Finished and aborted tasks among hundreds are found, on whatever page, by any clock that VOD accepts."""
    vod, survey = serve(off)
    wanted = {"T-7", "T-240", "going on", "aborted", "unknown"}
    assert survey.ended(wanted) == set()
    clock.advance(5)
    for number in range(250):
        vod.add_task(f"T-{number}")
    vod.add_task("going on", status="PROCESSING")
    vod.add_task("aborted", status="ABORTED")
    assert survey.ended(wanted) == {"T-7", "T-240", "aborted"}


def test_no_time_is_left_out(serve: Callable[..., tuple[Emulator, Survey]], clock: ManualClock) -> None:
    """What ended while VOD did not answer, however long, is found when it does again; what was long ago is not looked at."""
    vod, survey = serve()
    vod.add_task("before")
    clock.advance(3600)
    assert survey.ended({"before", "meanwhile"}) == set()
    clock.advance(5)
    vod.add_task("meanwhile")
    vod.faults.script({ACTION: ["http_500"]})
    assert survey.ended({"before", "meanwhile"}) == set()
    clock.advance(3600)
    assert survey.ended({"before", "meanwhile"}) == {"meanwhile"}


def test_a_refusal_is_told_once(
    serve: Callable[..., tuple[Emulator, Survey]], clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the permission VOD is not asked again for a while; the log says so, and what it needs."""
    vod, survey = serve(unauthorized_actions=frozenset({ACTION}))
    caplog.set_level(logging.INFO, "airflow_vod")
    for _ in range(5):
        assert survey.ended({"T-1"}) is None
        clock.advance(10)
    assert vod.calls.count(ACTION) == 1
    [warning] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "each is asked about by itself: DescribeTasks: UnauthorizedOperation" in warning
    clock.advance(survey_module.REFUSED_FOR)
    survey.ended({"T-1"})
    assert vod.calls.count(ACTION) == 2


def test_a_list_without_end_is_given_up(
    serve: Callable[..., tuple[Emulator, Survey]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where more tasks end than it is worth to list, each is asked about by itself."""
    monkeypatch.setattr(survey_module, "MOST_PAGES", 2)
    vod, survey = serve()
    for number in range(201):
        vod.add_task(f"T-{number}")
    assert survey.ended({"T-1"}) is None
    assert vod.calls.count(ACTION) == 2
