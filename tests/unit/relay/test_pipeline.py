"""A relay at full speed, against the emulator over HTTP and a real inbox that fails when it is told to."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest

from airflow_vod import metrics
from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.exceptions import InboxError, VodAuthenticationError
from airflow_vod.inbox import InboxStore
from airflow_vod.relay import leadership
from airflow_vod.relay import pipeline as pipeline_module
from airflow_vod.relay import steps as relay_module
from airflow_vod.relay.pace import EMPTY_INTERVAL
from airflow_vod.tencent import client as client_module
from airflow_vod.tencent import pacing
from airflow_vod.tencent.client import VodClient
from airflow_vod.tencent.pacing import API_LIMIT, Pacer
from tests.relays import SUB_APP_ID, client_of, publish, until
from tests.unit.relay.running import HOLD, Run, drained, free, runner


@pytest.fixture
def vod_emulator_options() -> EmulatorOptions:
    """Shorter holds than VOD's, and a strict limit."""
    return EmulatorOptions(hold=HOLD, rate_window="sliding")


# What it does


def test_everything_is_stored_once_and_confirmed(vod_emulator: Emulator, run: Run) -> None:
    """A backlog of hundreds of events ends in the inbox, each once, and leaves the queue."""
    ids = publish(vod_emulator, 700)
    running = run()
    until(drained(vod_emulator, 700), 60)
    stored = running.store.newest(running.relay.queue, limit=1000)
    assert sorted(event.vod_task_id for event in stored) == sorted(ids)
    running.stop()
    summary = running.relay.summary
    assert (summary.stored, summary.confirmed, summary.duplicates) == (700, 700, 0)
    assert running.errors == [None]
    assert free(running)


def test_depth_grows_with_the_backlog_and_shrinks_to_one_long_poll(vod_emulator: Emulator, run_sqlite: Run) -> None:
    """While batches are full, pulls overlap; once the queue is empty, one poll waits, and then the next."""
    running = run_sqlite()
    until(lambda: vod_emulator.queue(SUB_APP_ID).waiting == 1)
    publish(vod_emulator, 16 * 40)
    deepest = 0
    while not drained(vod_emulator, 640)():
        deepest = max(deepest, len(running.pipeline._pulls))
        time.sleep(0.001)
    assert deepest >= 8
    until(lambda: vod_emulator.queue(SUB_APP_ID).waiting == 1 and running.pipeline._pace.depth == 1, 30)
    before = vod_emulator.calls.count("PullEvents")
    most = 0
    end = time.monotonic() + 3 * HOLD
    while time.monotonic() < end:
        most = max(most, vod_emulator.queue(SUB_APP_ID).waiting)
        time.sleep(0.01)
    assert most == 1
    assert vod_emulator.calls.count("PullEvents") - before <= 4


@pytest.mark.parametrize("vod_emulator_options", [EmulatorOptions(hold=0)])
def test_a_queue_that_is_empty_at_once_is_not_asked_all_the_time(vod_emulator: Emulator, run_sqlite: Run) -> None:
    """A VOD that does not hold its answer back is asked a few times a second, and an event is still taken soon."""
    run_sqlite()
    until(lambda: vod_emulator.calls.count("PullEvents") >= 2)
    began, before = time.monotonic(), vod_emulator.calls.count("PullEvents")
    time.sleep(4 * EMPTY_INTERVAL)
    calls = vod_emulator.calls.count("PullEvents") - before
    assert calls <= (time.monotonic() - began) / EMPTY_INTERVAL + 1
    publish(vod_emulator, 40)
    until(drained(vod_emulator, 40))


def test_the_rate_limit_is_kept_by_two_relays_of_one_account(
    vod_emulator: Emulator, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two queues with a backlog are drained at once; no call goes without leave, and that is never given too often."""
    given: dict[str, list[float]] = {"PullEvents": [], "ConfirmEvents": []}

    class Logged(Pacer):
        def __init__(self, log: list[float]) -> None:
            super().__init__()
            self.log = log

        def take(self) -> float:
            if not (pause := super().take()):
                self.log.append(time.monotonic())
            return pause

    account = client_of(vod_emulator).settings.account
    for action, log in given.items():
        monkeypatch.setitem(pacing._pacers, (account, action), Logged(log))
    number = 16 * 60
    for sub_app_id in (1, 2):
        for each in range(number):
            vod_emulator.publish({"EventType": "Test", "TestEvent": {"TaskId": f"T-{each}"}}, sub_app_id)
    vod_emulator.faults.script({"ConfirmEvents": ["internal_error"] * 5})
    running = [run(client_of(vod_emulator, sub_app_id=sub_app_id)) for sub_app_id in (1, 2)]
    until(lambda: sum(vod_emulator.queue(each).confirmed for each in (1, 2)) == 2 * number, 30)
    for each in running:
        each.stop()
    for action, times in given.items():
        assert vod_emulator.calls.count(action) <= len(times)
        assert max(sum(start <= other < start + 1 for other in times) for start in times) <= API_LIMIT


# Calls that fail


@pytest.mark.parametrize(
    "fault",
    ["drop_response", "truncate", "drop_request", "garbage_json", "http_502_html", "internal_error", "throttled"],
)
def test_a_pull_that_fails_costs_nothing_but_time(vod_emulator: Emulator, run_sqlite: Run, fault: str) -> None:
    """The others go on, and what the lost answer held comes back."""
    vod_emulator.faults.script({"PullEvents": [fault]})
    publish(vod_emulator, 100)
    running = run_sqlite()
    lost = 16 if fault in ("drop_response", "truncate", "garbage_json") else 0
    until(lambda: vod_emulator.queue(SUB_APP_ID).confirmed == 100 - lost, 20)
    until(lambda: running.relay.summary.pull_failures == 1)
    assert vod_emulator.queue(SUB_APP_ID).hidden == lost


def test_a_pull_without_answer_holds_up_no_other(vod_emulator: Emulator, run_sqlite: Run) -> None:
    """While one answer is stuck for long, the pulls beside it go on, and its events are relayed when it comes."""
    running = run_sqlite()
    vod_emulator.faults.script({"PullEvents": ["slow:0", "slow:0", "slow:8"]})
    publish(vod_emulator, 300)
    until(lambda: vod_emulator.queue(SUB_APP_ID).confirmed == 300 - 16, 7)
    until(drained(vod_emulator, 300), 30)
    assert running.relay.summary.duplicates == 0


def test_pulls_that_fail_side_by_side_are_one_failure(tmp_path: Any) -> None:
    """A burst of refusals neither ends the relay nor multiplies the pause after it."""
    store = InboxStore.open(f"sqlite:///{tmp_path / 'inbox.db'}")
    with Emulator(options=EmulatorOptions(hold=HOLD, rtt=0.3)) as vod, runner(vod, store) as run:
        publish(vod, 16 * 80)
        running = run()
        until(lambda: len(running.pipeline._pulls) >= 16)
        vod.faults.script({"PullEvents": ["auth_failure"] * 10})
        until(drained(vod, 16 * 80), 60)
        assert vod.faults.fired()["PullEvents", "auth_failure"] == 10
        assert running.errors == []
        assert running.relay.summary.pull_failures == 10
    store.close()


def test_throttling_makes_it_slower_and_it_recovers(vod_emulator: Emulator, run_sqlite: Run) -> None:
    """Each refusal for being too fast is followed by a pause that grows, and by full speed when it is over."""
    vod_emulator.faults.script({"PullEvents": ["throttled"] * 3})
    publish(vod_emulator, 64)
    run_sqlite()
    until(drained(vod_emulator, 64), 60)
    times = [call.arrived_at for call in vod_emulator.calls if call.action == "PullEvents"][:4]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert pauses[0] >= 0.12
    assert pauses[1] >= 0.24
    assert pauses[2] >= 0.45


def test_an_outage_of_the_api_is_waited_out(vod_emulator: Emulator, run_sqlite: Run) -> None:
    """While nothing answers, tries become rare; afterwards everything is relayed."""
    running = run_sqlite()
    until(lambda: vod_emulator.queue(SUB_APP_ID).waiting == 1)
    vod_emulator.stop()
    until(lambda: running.relay.summary.pull_failures >= 1)
    time.sleep(2.0)
    assert running.relay.summary.pull_failures <= 8
    publish(vod_emulator, 20)
    vod_emulator.start()
    until(drained(vod_emulator, 20), 60)
    assert running.errors == []


def test_who_cannot_reach_vod_lets_another_try(
    vod_emulator: Emulator, run_sqlite: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After lasting trouble a relay gives its lease up for a while, and one with a better network relays everything."""
    monkeypatch.setattr(leadership, "YIELD_AFTER", 0.3)
    cut_off = run_sqlite(client_of(vod_emulator, proxy="http://127.0.0.1:1"))
    until(lambda: cut_off.relay.summary.pull_failures, 30)
    publish(vod_emulator, 20)
    other = run_sqlite()
    until(lambda: other.relay.summary.confirmed == 20, 60)
    assert cut_off.errors == []


def test_after_an_outage_who_takes_over_pulls_on(
    vod_emulator: Emulator, run_sqlite: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relay that could not pull before it stood by does not count that time when it leads again."""
    monkeypatch.setattr(leadership, "YIELD_AFTER", 0.3)
    monkeypatch.setattr(leadership, "YIELD_FOR", 0.3)
    running = run_sqlite()
    until(lambda: vod_emulator.queue(SUB_APP_ID).waiting == 1)
    vod_emulator.stop()
    until(lambda: free(running))
    running.store.leases.acquire(running.relay.queue, "another", 7.0)
    vod_emulator.start()
    monkeypatch.setattr(leadership, "YIELD_AFTER", 5.0)
    time.sleep(6.0)
    released: list[str] = []
    release = running.relay.release_lease
    monkeypatch.setattr(running.relay, "release_lease", lambda: released.append("given up") or release())
    publish(vod_emulator, 20)
    until(drained(vod_emulator, 20))
    assert released == []


def test_who_leads_knows_what_others_have_seen(vod_emulator: Emulator, run_sqlite: Run) -> None:
    """When a queue was last pulled outlives who pulled it; what fails now is told as well, until it works again."""
    first = run_sqlite()
    until(lambda: first.relay.summary.pulls)
    first.stop()
    before = first.store.leases.read(first.relay.queue).info
    vod_emulator.stop()
    second = run_sqlite()

    def info() -> Mapping[str, Any]:
        return second.store.leases.read(second.relay.queue).info

    until(lambda: info()["failing_since_at"])
    assert (info()["last_pull_at"], info()["caught_up_at"]) == (before["last_pull_at"], before["caught_up_at"])
    assert info()["failure"]
    vod_emulator.start()
    until(lambda: info()["last_pull_at"] > before["last_pull_at"])
    assert info()["failing_since_at"] is None


def test_who_gets_no_answer_lets_another_try(
    vod_emulator: Emulator, run_sqlite: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So does one whose pulls hang instead of failing."""
    monkeypatch.setattr(leadership, "YIELD_AFTER", 0.3)
    monkeypatch.setattr(pipeline_module, "OVERDUE", HOLD + 0.3)
    monkeypatch.setattr(client_module, "_PULL_READ_TIMEOUT", 3 * HOLD)
    vod_emulator.faults.chaos(0, {"slow:5": 1.0}, ["PullEvents"])
    running = run_sqlite()
    until(lambda: running.store.leases.read(running.relay.queue), 30)
    until(lambda: free(running), 60)
    vod_emulator.faults.clear()


def test_it_tells_how_far_behind_it_is(
    vod_emulator: Emulator, run_sqlite: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease says when the queue was last emptied and how much VOD counts in it; both are sent as gauges."""
    monkeypatch.setattr(leadership, "LEASE_RENEWAL", 0.1)
    gauges: dict[str, float] = {}
    monkeypatch.setattr(metrics, "gauge", lambda name, value, **_: gauges.__setitem__(name, value))
    running = run_sqlite()

    def info() -> Mapping[str, Any]:
        lease = running.store.leases.read(running.relay.queue)
        return lease.info if lease else {}

    until(lambda: info().get("in_queue") is not None and info().get("caught_up_at"), 30)
    assert info()["in_queue"] == 0
    assert info()["in_queue_at"] == pytest.approx(info()["caught_up_at"], abs=60)
    assert gauges == {"queue.depth": 0, "queue.age": 0}


def test_who_is_behind_asks_how_far(vod_emulator: Emulator, run_sqlite: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a relay that has not emptied the queue for a while asks VOD how much is in it; no answer harms nothing."""
    monkeypatch.setattr(leadership, "LEASE_RENEWAL", 0.1)
    running = run_sqlite()
    until(lambda: running.relay.summary.pulls > 3, 30)
    assert vod_emulator.calls.count("DescribeEventsState") == 0
    vod_emulator.faults.script({"DescribeEventsState": ["unauthorized"]})
    vod_emulator.faults.chaos(0, {"http_500": 1.0}, ["PullEvents"])
    until(lambda: running.relay.summary.pull_failures, 30)
    publish(vod_emulator, 20)
    monkeypatch.setattr(relay_module, "DEPTH_EVERY", 0.2)
    running.relay._ask_depth_due = running.relay.clock()  # as if all that had gone on for a minute
    until(lambda: running.relay.health.in_queue == 20, 30)
    vod_emulator.faults.clear()
    until(drained(vod_emulator, 20), 30)
    assert running.errors == []


def test_refusals_in_a_row_end_it(vod_emulator: Emulator, run_sqlite: Run) -> None:
    """A bad key is tried three times, then the relay ends with the API's own error and without its lease."""
    running = run_sqlite(client_of(vod_emulator, secret_key="wrong"))
    running.thread.join(60)
    [error] = running.errors
    assert isinstance(error, VodAuthenticationError)
    assert vod_emulator.calls.count("PullEvents") == pipeline_module.PERMANENT_AFTER
    assert free(running)


def test_two_refusals_do_not_end_it(vod_emulator: Emulator, run_sqlite: Run) -> None:
    """The API's own slips are survived, also when they come again later."""
    vod_emulator.faults.script(
        {"PullEvents": ["auth_failure", "unauthorized", "slow:0", "auth_failure", "auth_failure"]}
    )
    publish(vod_emulator, 40)
    running = run_sqlite()
    until(drained(vod_emulator, 40), 60)
    assert running.errors == []


def test_a_bug_ends_it_after_what_is_open_is_brought_home(vod_emulator: Emulator, run_sqlite: Run) -> None:
    """An exception that nobody foresaw comes out of `run`; the events of other pulls are stored and confirmed before."""

    class Buggy(VodClient):
        pulls = 0

        def pull_events(self) -> list[Any]:
            self.pulls += 1
            if self.pulls == 3:
                raise ZeroDivisionError
            return super().pull_events()

    publish(vod_emulator, 200)
    running = run_sqlite(Buggy(client_of(vod_emulator).settings))
    running.thread.join(60)
    assert [type(error) for error in running.errors] == [ZeroDivisionError]
    summary = running.relay.summary
    assert summary.pulled == summary.stored == summary.confirmed >= 32
    assert free(running)


def test_confirms_that_fail_are_harmless(vod_emulator: Emulator, run_sqlite: Run) -> None:
    """The relay goes on; only the events of the failed confirm stay for their next delivery."""
    vod_emulator.faults.script({"ConfirmEvents": ["error:InvalidParameterValue:4000"]})
    publish(vod_emulator, 64)
    running = run_sqlite()
    until(lambda: running.relay.summary.stored == 64)
    until(lambda: vod_emulator.queue(SUB_APP_ID).confirmed == 48)
    until(lambda: running.relay.summary.confirm_failures == 16)


# An inbox that fails


def test_an_inbox_that_is_down_for_a_while(vod_emulator: Emulator, run: Run) -> None:
    """Nothing is confirmed and hardly anything pulled meanwhile; afterwards all is relayed, what was at hand first."""
    running = run()
    until(lambda: vod_emulator.queue(SUB_APP_ID).waiting == 1)
    running.store.go_down()
    publish(vod_emulator, 16 * 100)
    time.sleep(3.0)
    assert vod_emulator.queue(SUB_APP_ID).delivered <= 16 * 10
    assert vod_emulator.calls.count("ConfirmEvents") == 0
    running.store.come_back()
    until(drained(vod_emulator, 1600), 30)
    assert running.relay.summary.duplicates == 0
    assert running.errors == []


def test_a_slow_inbox_bounds_what_is_pulled(
    vod_emulator: Emulator, run_sqlite: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pulling pauses while events wait for their commit for too long, and all are confirmed in time."""
    monkeypatch.setattr(pipeline_module, "COMMIT_LAG", 0.5)
    monkeypatch.setattr(pipeline_module, "GROUP_LIMIT", 128)
    running = run_sqlite()
    running.store.seconds["receive"] = 0.2
    publish(vod_emulator, 2400)
    most = 0
    while not drained(vod_emulator, 2400)():
        most = max(most, vod_emulator.queue(SUB_APP_ID).hidden)
        time.sleep(0.01)
    assert most <= 16 * API_LIMIT * (0.5 + 2 * 0.2)
    summary = running.relay.summary
    until(lambda: summary.confirmed + summary.confirm_failures == 2400)
    assert (summary.stored, summary.confirmed, summary.let_go, summary.duplicates) == (2400, 2400, 0, 0)


def test_what_cannot_be_committed_in_time_is_let_go(
    vod_emulator: Emulator, run_sqlite: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its window an event is forgotten here: the queue delivers it again, and only that delivery can be confirmed."""
    monkeypatch.setattr(pipeline_module, "CONFIRM_WINDOW", 1.0)
    running = run_sqlite()
    until(lambda: vod_emulator.queue(SUB_APP_ID).waiting == 1)
    running.store.broken = {"receive"}
    publish(vod_emulator, 3)
    until(lambda: running.relay.summary.let_go == 3)
    running.store.come_back()
    vod_emulator.api.application(SUB_APP_ID).queue.expire_handles()
    until(drained(vod_emulator, 3))


def test_a_database_that_refuses_ends_it(run_sqlite: Run, vod_emulator: Emulator) -> None:
    """What waiting does not mend comes out of `run`."""
    running = run_sqlite()
    until(lambda: vod_emulator.queue(SUB_APP_ID).waiting == 1)

    def refuse(*_: object, **__: object) -> None:
        raise InboxError("no such table")

    running.store.leases.acquire = refuse  # type: ignore[attr-defined]
    running.thread.join(60)
    assert [str(error) for error in running.errors] == ["no such table [inbox-error]"]


def test_what_is_confirmed_too_late_is_not_sent(
    vod_emulator: Emulator, run_sqlite: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handle that the queue no longer takes costs no call; its event counts as not confirmed, and comes again."""
    monkeypatch.setattr(pipeline_module, "CONFIRM_WINDOW", 0.5)
    running = run_sqlite(passes_by=True)  # no pull starts beside a commit, so none is late before it is committed
    until(lambda: vod_emulator.queue(SUB_APP_ID).waiting == 1)
    running.store.seconds["receive"] = 1.0
    publish(vod_emulator, 3)
    until(lambda: running.relay.summary.confirm_failures == 3)
    assert running.relay.summary.stored == 3
    assert vod_emulator.calls.count("ConfirmEvents") == 0
    running.store.seconds = {}
    vod_emulator.api.application(SUB_APP_ID).queue.expire_handles()
    until(drained(vod_emulator, 3))


def test_who_leads_prunes_the_inbox(vod_emulator: Emulator, run_sqlite: Run) -> None:
    """Events older than the retention go soon after a relay has begun to lead; who stands by removes nothing."""

    class Soon(random.Random):
        def random(self) -> float:
            return 0.0

    running = run_sqlite(retention=3600.0, rng=Soon())
    until(lambda: "prune" in running.store.calls)
    second = run_sqlite(retention=3600.0, rng=Soon())
    until(lambda: "leases.acquire" in second.store.calls)
    assert "prune" not in second.store.calls
    assert running.store.calls.count("prune") == 1


# The lease


def test_two_relays_of_one_queue(
    vod_emulator: Emulator, run: Run, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One pulls; when it stops, the other goes on without waiting for the lease to end, and nothing is lost or stored twice."""
    monkeypatch.setattr(relay_module, "LEASE_TTL", 3600.0)
    caplog.set_level("INFO")
    first = run()
    until(lambda: vod_emulator.queue(SUB_APP_ID).waiting == 1)
    second = run()
    until(lambda: "This process stands by" in caplog.text)
    publish(vod_emulator, 50, "A")
    until(drained(vod_emulator, 50))
    assert second.relay.summary.pulls == 0
    first.stop()
    publish(vod_emulator, 50, "B")
    until(drained(vod_emulator, 100))
    assert (first.relay.summary.stored, second.relay.summary.stored) == (50, 50)


def test_it_stops_pulling_before_a_lease_runs_out_that_it_cannot_renew(
    vod_emulator: Emulator, run_sqlite: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the database gone, the last pull starts before another process could take over."""
    monkeypatch.setattr(relay_module, "LEASE_TTL", 3.0)
    running = run_sqlite()
    until(lambda: vod_emulator.queue(SUB_APP_ID).waiting == 1)
    running.store.broken = {"leases.acquire"}
    lost_at = time.time() + 3.0  # at the latest
    time.sleep(4.0)
    last = [call for call in vod_emulator.calls if call.action == "PullEvents"][-1]
    assert last.arrived_at < lost_at
    assert vod_emulator.queue(SUB_APP_ID).waiting == 0
    running.store.come_back()
    until(lambda: vod_emulator.queue(SUB_APP_ID).waiting == 1)


def test_a_pull_that_stood_in_line_for_too_long_is_not_made(vod_emulator: Emulator, run_sqlite: Run) -> None:
    """The lease is looked at last: whoever sleeps between the decision and the call must not pull any more."""
    running = run_sqlite()
    until(lambda: vod_emulator.queue(SUB_APP_ID).waiting == 1)
    asleep, awake = threading.Event(), threading.Event()
    pacer = running.relay.pull_pacer

    class Sleepy:
        def wait(self) -> None:
            asleep.set()
            awake.wait(10)
            pacer.wait()

    running.relay.pull_pacer = Sleepy()  # type: ignore[assignment]
    assert asleep.wait(5)
    pulls = vod_emulator.calls.count("PullEvents")
    running.store.broken = {"leases.acquire"}
    running.relay._lease_until = running.relay.clock()
    awake.set()
    time.sleep(0.5)
    assert vod_emulator.calls.count("PullEvents") == pulls
    assert vod_emulator.queue(SUB_APP_ID).waiting == 0


# The end


@pytest.mark.parametrize("moment", [0.0, 0.02, 0.1, 0.3])
def test_stop_loses_nothing(vod_emulator: Emulator, run: Run, moment: float) -> None:
    """At whatever moment: no new pull, open ones finish, all that was pulled is stored and confirmed, the lease is free."""
    publish(vod_emulator, 1600)
    running = run()
    time.sleep(moment)
    running.stop()
    stopped_at = vod_emulator.clock.now()
    counts = vod_emulator.queue(SUB_APP_ID)
    summary = running.relay.summary
    assert counts.hidden == 0
    assert counts.confirmed == summary.confirmed == summary.stored == counts.delivered
    assert len(running.store.newest(running.relay.queue, limit=2000)) == counts.confirmed
    assert free(running)
    time.sleep(0.1)
    assert all(call.arrived_at < stopped_at for call in vod_emulator.calls)


def test_stop_waits_for_the_long_poll(vod_emulator: Emulator, run_sqlite: Run) -> None:
    """An event that comes while the last poll is open is stored and confirmed before the end."""
    running = run_sqlite()
    until(lambda: vod_emulator.queue(SUB_APP_ID).waiting == 1)
    running.pipeline.stop()
    publish(vod_emulator, 1)
    running.thread.join(60)
    assert vod_emulator.queue(SUB_APP_ID).confirmed == 1
    assert running.relay.summary.stored == 1


def test_stop_does_not_wait_for_an_inbox_that_is_down(vod_emulator: Emulator, run_sqlite: Run) -> None:
    """What is at hand then is let go, for the queue delivers it again."""
    running = run_sqlite()
    until(lambda: vod_emulator.queue(SUB_APP_ID).waiting == 1)
    running.store.go_down()
    publish(vod_emulator, 30)
    until(lambda: running.relay.summary.pulled > 0)
    running.stop()
    assert running.relay.summary.let_go == running.relay.summary.pulled
    assert vod_emulator.calls.count("ConfirmEvents") == 0


def test_stop_does_not_wait_for_an_answer_that_is_overdue(
    vod_emulator: Emulator, run_sqlite: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pull whose answer was lost is given up a second after its hold."""
    monkeypatch.setattr(pipeline_module, "OVERDUE", HOLD + 0.5)
    running = run_sqlite()
    vod_emulator.faults.script({"PullEvents": ["slow:20"] * 2})
    until(lambda: vod_emulator.faults.fired()["PullEvents", "slow:20"] > 0)
    assert running.stop() < 10
    assert free(running)


def test_stop_without_the_lease_is_immediate(vod_emulator: Emulator, run: Run) -> None:
    """Who only stands by has nothing to bring home."""
    run()
    until(lambda: vod_emulator.queue(SUB_APP_ID).waiting == 1)
    second = run()
    until(lambda: "leases.acquire" in second.store.calls)
    assert second.stop() < 10


def test_nothing_is_left_behind(vod_emulator: Emulator, run_sqlite: Run) -> None:
    """All threads end with it."""
    before = threading.active_count()
    publish(vod_emulator, 300)
    running = run_sqlite()
    until(drained(vod_emulator, 300))
    running.stop()
    assert threading.active_count() <= before


@pytest.mark.parametrize("state", ["idle", "standing by", "inbox down", "api down"])
def test_it_is_quiet(vod_emulator: Emulator, run_sqlite: Run, state: str) -> None:
    """Whatever it waits for, waiting costs next to nothing."""
    running = run_sqlite()
    until(lambda: vod_emulator.queue(SUB_APP_ID).waiting == 1)
    if state == "standing by":
        running = run_sqlite()
    elif state == "inbox down":
        publish(vod_emulator, 1)
        running.store.go_down()
    elif state == "api down":
        vod_emulator.stop()
    turns = 0
    keep_lease = running.pipeline._keep_lease

    def counted() -> float:
        nonlocal turns
        turns += 1
        return keep_lease()

    running.pipeline._keep_lease = counted  # type: ignore[method-assign]
    time.sleep(0.5)
    turns, began = 0, time.process_time()
    time.sleep(1.5)
    assert turns <= 25
    assert time.process_time() - began < 0.6
    if state == "api down":
        vod_emulator.start()
