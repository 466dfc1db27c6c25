"""An application that announces its events by callback has nothing to pull; a wait for it says so, or relies on callbacks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.exceptions import VodAuthenticationError, VodPushModeError, error_from_dict, error_to_dict
from airflow_vod.inbox import InboxStore
from airflow_vod.relay.pipeline import Pipeline, run_in_thread
from airflow_vod.relay.steps import Relay
from airflow_vod.tencent.client import VodClient
from tests.relays import SUB_APP_ID, client_of, drain, publish, until

TOKEN = "a-callback-token-of-a-test"


@pytest.fixture(params=["sqlite"])
def database(request: pytest.FixtureRequest) -> str:
    """Which database the inbox is in does not matter here."""
    return str(request.param)


@pytest.fixture
def vod_emulator_options() -> EmulatorOptions:
    """Pulls return soon."""
    return EmulatorOptions(hold=0.1)


@pytest.fixture
def client(vod_emulator: Emulator) -> Iterator[VodClient]:
    """A client without callbacks."""
    client = client_of(vod_emulator)
    yield client
    client.close()


def test_it_is_refused_with_the_remedy(client: VodClient, inbox: InboxStore, vod_emulator: Emulator) -> None:
    """Whoever waits learns how to change the mode, also across processes; the lease is free for others."""
    client.modify_event_config(Mode="PUSH")
    with pytest.raises(VodPushModeError, match="doctor --fix") as refusal:
        drain(Relay(client, inbox))
    assert vod_emulator.calls.count("PullEvents") == 0
    lease = inbox.leases.read(client.settings.queue)
    assert lease is not None
    assert lease.expired
    assert str(error_from_dict(error_to_dict(refusal.value))) == str(refusal.value)


def test_a_relay_ends_within_seconds(client: VodClient, inbox: InboxStore) -> None:
    """What waits for the relay of such an application learns that it waits for nothing."""
    client.modify_event_config(Mode="PUSH")
    ended: list[BaseException | None] = []
    thread = run_in_thread(Pipeline(Relay(client, inbox)), ended.append)
    thread.join(10)
    assert not thread.is_alive()
    assert isinstance(ended[0], VodPushModeError)


def test_with_callbacks_nothing_is_pulled(vod_emulator: Emulator, inbox: InboxStore) -> None:
    """Where callbacks are received, a relay lets the queue be, and takes it up again when the mode changes."""
    client = client_of(vod_emulator, callback_token=TOKEN)
    client.modify_event_config(Mode="PUSH")
    relay = Relay(client, inbox)
    assert drain(relay)
    assert vod_emulator.calls.count("PullEvents") == 0
    client.modify_event_config(Mode="PULL")
    publish(vod_emulator, 1)
    fresh = Relay(client, inbox)
    drain(fresh)
    assert fresh.summary.stored == 1
    client.close()


def test_a_mode_that_nobody_tells_disturbs_nothing(
    client: VodClient, inbox: InboxStore, vod_emulator: Emulator
) -> None:
    """Without the permission to ask for the mode, events are pulled all the same."""
    vod_emulator.faults.script({"DescribeEventConfig": ["error:UnauthorizedOperation:no"]})
    publish(vod_emulator, 3)
    relay = Relay(client, inbox)
    drain(relay)
    assert relay.summary.stored == 3


def test_without_permission_to_confirm_a_relay_ends(
    client: VodClient, inbox: InboxStore, vod_emulator: Emulator
) -> None:
    """Events that can never be confirmed would come again for days; whoever waits learns which permission is missing."""
    vod_emulator.faults.script({"ConfirmEvents": ["error:UnauthorizedOperation:no"] * 3})
    ended: list[BaseException | None] = []
    thread = run_in_thread(Pipeline(Relay(client, inbox)), ended.append)
    for number in range(3):
        publish(vod_emulator, 1, prefix=f"Concat-{number}")
        until(lambda number=number: vod_emulator.calls.count("ConfirmEvents") == number + 1)  # type: ignore[misc]
    thread.join(10)
    assert isinstance(ended[0], VodAuthenticationError)
    assert ended[0].action == "ConfirmEvents"
    assert len(inbox.newest(limit=10)) == 3
    assert vod_emulator.queue(SUB_APP_ID).hidden == 3
