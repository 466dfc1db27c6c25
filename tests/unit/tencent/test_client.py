"""The client against the emulator, over HTTP."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.exceptions import (
    VodApiError,
    VodAuthenticationError,
    VodInvalidRequestError,
    VodThrottledError,
    VodTransientError,
)
from airflow_vod.tencent.answers import response_of
from airflow_vod.tencent.client import VodClient, official_client
from airflow_vod.tencent.errors import api_error
from airflow_vod.tencent.settings import VodSettings

SUB_APP_ID = 1500012345
EVENT = {"EventType": "ConcatComplete", "ConcatCompleteEvent": {"TaskId": "Concat-1", "FileInfoSet": []}}


@pytest.fixture
def vod_emulator_options() -> EmulatorOptions:
    """Answer at once: nothing here waits for an event."""
    return EmulatorOptions(hold=0.05)


Connect = Callable[..., VodClient]


@pytest.fixture
def connect(vod_emulator: Emulator) -> Iterator[Connect]:
    """Make clients of the emulator and close them."""
    clients = []

    def make(**fields: object) -> VodClient:
        defaults = {
            "secret_id": vod_emulator.secret_id,
            "secret_key": vod_emulator.secret_key,
            "endpoint": vod_emulator.endpoint,
            "sub_app_id": SUB_APP_ID,
        }
        client = VodClient(VodSettings(**(defaults | fields)))  # type: ignore[arg-type]
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


def test_pull_and_confirm(vod_emulator: Emulator, connect: Connect) -> None:
    """What was published is pulled as it is, and gone once it is confirmed."""
    vod_emulator.publish(EVENT, sub_app_id=SUB_APP_ID)
    client = connect()
    [event] = client.pull_events()
    assert event["ConcatCompleteEvent"] == EVENT["ConcatCompleteEvent"]
    client.confirm_events([event["EventHandle"]])
    assert vod_emulator.queue(SUB_APP_ID).confirmed == 1


@pytest.mark.parametrize("empty", ["resource_not_found", "null", "list"])
def test_an_empty_queue_is_an_empty_list(empty: str) -> None:
    """Each way in which VOD may say that nothing is there reads as an empty list."""
    with Emulator(options=EmulatorOptions(hold=0.01, empty=empty)) as vod:  # type: ignore[arg-type]
        client = VodClient(VodSettings(vod.secret_id, vod.secret_key, endpoint=vod.endpoint))
        assert client.pull_events() == []
        client.close()


def test_confirm_sends_chunks_of_sixteen_and_tries_all(vod_emulator: Emulator, connect: Connect) -> None:
    """A refused chunk is reported, after the chunks behind it were confirmed."""
    for number in range(40):
        vod_emulator.publish({**EVENT, "Number": number}, sub_app_id=SUB_APP_ID)
    client = connect()
    handles = [event["EventHandle"] for _ in range(3) for event in client.pull_events()]
    with pytest.raises(VodInvalidRequestError):
        client.confirm_events(["no handle", *handles])
    assert vod_emulator.queue(SUB_APP_ID).confirmed == 40
    assert vod_emulator.calls.count("ConfirmEvents") == 3


def test_every_described_action(vod_emulator: Emulator, connect: Connect) -> None:
    """The typed methods reach their actions and read their answers."""
    client = connect()
    assert client.describe_events_state() == 0
    assert client.describe_event_config()["Mode"] == "PULL"
    client.modify_event_config(NotificationUrl="https://example.com/callback")
    assert client.describe_event_config()["NotificationUrl"] == "https://example.com/callback"
    vod_task_id = client.call("EditMedia", {"InputType": "File", "FileInfos": [{"FileId": "1"}]})["TaskId"]
    assert client.describe_task_detail(vod_task_id)["Status"] == "PROCESSING"


def test_official_client_is_made_from_the_same_settings(vod_emulator: Emulator, connect: Connect) -> None:
    """The SDK's generated client works with the settings of a connection."""
    from tencentcloud.vod.v20180717 import models

    request = models.DescribeEventConfigRequest()
    request.SubAppId = SUB_APP_ID
    assert official_client(connect().settings).DescribeEventConfig(request).Mode == "PULL"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("error:AuthFailure.SignatureFailure:no", VodAuthenticationError),
        ("error:UnauthorizedOperation:no", VodAuthenticationError),
        ("error:RequestLimitExceeded.UinLimitExceeded:slow", VodThrottledError),
        ("error:InternalError.DBError:oops", VodTransientError),
        ("error:InvalidParameterValue.SubAppId:what", VodInvalidRequestError),
        ("error:FailedOperation.InvalidVodUser:who", VodInvalidRequestError),
        ("http_500", VodTransientError),
        ("http_502_html", VodTransientError),
        ("html_200", VodTransientError),
        ("truncate", VodTransientError),
        ("garbage_json", VodTransientError),
        ("drop_request", VodTransientError),
        ("drop_response", VodTransientError),
        ("error:Unheard.Of:what", VodApiError),
    ],
)
def test_each_failure_has_its_kind(vod_emulator: Emulator, connect: Connect, fault: str, kind: type) -> None:
    """Whatever goes wrong becomes one of our errors, of the kind that says whether waiting helps."""
    vod_emulator.faults.script({"PullEvents": [fault]})
    with pytest.raises(VodApiError) as raised:
        connect().pull_events()
    assert type(raised.value) is kind
    assert raised.value.action == "PullEvents"
    assert vod_emulator.faults.pending == {}


def test_an_error_under_another_content_type_is_an_error(vod_emulator: Emulator, connect: Connect) -> None:
    """`application/json; charset=utf-8` makes the SDK read an error as a success; we do not."""
    vod_emulator.faults.script({"DescribeEventsState": ["charset"]})
    assert connect().describe_events_state() == 0
    bad = connect(secret_key="wrong")
    vod_emulator.faults.script({"DescribeEventsState": ["charset"]})
    with pytest.raises(VodAuthenticationError):
        bad.describe_events_state()


def test_a_pull_is_never_repeated(vod_emulator: Emulator, connect: Connect) -> None:
    """A pull whose answer was lost has hidden its events; a second one would hide the next sixteen."""
    vod_emulator.faults.script({"PullEvents": ["drop_response"]})
    vod_emulator.publish(EVENT, sub_app_id=SUB_APP_ID)
    with pytest.raises(VodTransientError):
        connect().pull_events()
    assert vod_emulator.calls.count("PullEvents") == 1


@pytest.mark.parametrize("fault", ["internal_error", "throttled", "http_500", "drop_response", "drop_request"])
def test_reading_is_repeated(vod_emulator: Emulator, connect: Connect, fault: str) -> None:
    """A call that changes nothing is tried again where that may help, and its later success counts."""
    vod_emulator.faults.script({"DescribeEventsState": [fault, fault]})
    assert connect().describe_events_state() == 0
    assert vod_emulator.faults.pending == {}


@pytest.mark.parametrize(("fault", "calls"), [("throttled", 2), ("internal_error", 1), ("drop_response", 1)])
def test_a_change_is_repeated_only_if_it_was_not_made(
    vod_emulator: Emulator, connect: Connect, fault: str, calls: int
) -> None:
    """EditMedia after a lost answer would start a second task; after a throttled request it would not."""
    vod_emulator.faults.script({"EditMedia": [fault]})
    client = connect()
    parameters = {"InputType": "File", "FileInfos": [{"FileId": "1"}]}
    if calls == 1:
        with pytest.raises(VodTransientError):
            client.call("EditMedia", parameters)
    else:
        client.call("EditMedia", parameters)
    assert vod_emulator.calls.count("EditMedia") == calls


def test_a_wrong_key_and_a_wrong_clock_are_told_apart(connect: Connect) -> None:
    """The error of a bad key speaks of the key, that of a wrong clock of the clock."""
    with pytest.raises(VodAuthenticationError, match="SecretKey"):
        connect(secret_key="wrong").describe_event_config()
    with pytest.raises(VodAuthenticationError, match="SecretId"):
        connect(secret_id="AKIDnobody").describe_event_config()
    with Emulator(options=EmulatorOptions(clock_offset=600)) as vod:
        client = connect(endpoint=vod.endpoint, secret_id=vod.secret_id, secret_key=vod.secret_key)
        with pytest.raises(VodAuthenticationError, match="clock"):
            client.describe_event_config()


def test_nobody_listens(connect: Connect) -> None:
    """An endpoint where nobody listens is a transient error that names the remedy."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(VodTransientError, match="Check the endpoint") as raised:
        connect(endpoint=f"http://127.0.0.1:{port}").pull_events()
    assert raised.value.code == "ConnectFailed"


def test_tls_is_verified(vod_emulator: Emulator, connect: Connect) -> None:
    """A server that cannot prove who it is gets no request."""
    client = connect(endpoint=vod_emulator.endpoint.replace("http://", "https://"))
    with pytest.raises(VodTransientError) as raised:
        client.pull_events()
    assert raised.value.code == "TlsFailed"


def test_no_credentials_at_all(connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """Without a key and without anything in the default chain, the error says what to give."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    # The chain ends at the metadata service of the machine, which is not here: its answer is a refusal at once.
    monkeypatch.setattr("tencentcloud.common.credential.CVMRoleCredential.get_credential", lambda self: None)
    with pytest.raises(VodAuthenticationError, match="TENCENTCLOUD_SECRET_ID"):
        connect(secret_id=None, secret_key=None).describe_event_config()


def test_default_chain_is_used(vod_emulator: Emulator, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key in the settings, the environment's is used."""
    monkeypatch.setenv("TENCENTCLOUD_SECRET_ID", vod_emulator.secret_id)
    monkeypatch.setenv("TENCENTCLOUD_SECRET_KEY", vod_emulator.secret_key)
    assert connect(secret_id=None, secret_key=None).describe_event_config()["Mode"] == "PULL"


def test_actions_of_many_threads_are_not_mixed_up(vod_emulator: Emulator, connect: Connect) -> None:
    """One client serves many threads at once."""
    client = connect()
    wrong: list[object] = []

    def work() -> None:
        for _ in range(5):
            if "Mode" not in client.describe_event_config():
                wrong.append("config")
            if client.call("DescribeEventsState").get("CountOfEventsToPull") != 0:
                wrong.append("state")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert vod_emulator.calls.count("DescribeEventConfig") == 20


def test_debug_logging_shows_no_secret(
    vod_emulator: Emulator, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """Even at DEBUG, no log line of any library holds the key, the token or the signature."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("tencentcloud_sdk_common").setLevel(logging.DEBUG)
    vod_emulator.faults.script({"DescribeEventsState": ["http_500", "error:AuthFailure.SignatureFailure:no"]})
    client = connect(token="a-session-token")
    with pytest.raises(VodApiError) as raised:
        client.describe_events_state()
    for text in (caplog.text, str(raised.value), repr(raised.value), json.dumps(raised.value.args)):
        for secret in (vod_emulator.secret_key, "a-session-token", "Signature="):
            assert secret not in text


def test_proxy_password_is_not_in_errors(connect: Connect) -> None:
    """A proxy that cannot be reached is named without its password."""
    with pytest.raises(VodTransientError) as raised:
        connect(proxy="http://user:pr0xy-pass@127.0.0.1:9").pull_events()
    assert "pr0xy-pass" not in f"{raised.value} {raised.value!r} {raised.value.__cause__!r}"


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("FailedOperation", "invalid vod user", VodInvalidRequestError),
        ("FailedOperation", "try later", VodTransientError),
        ("FailedOperation.Whatever", "x", VodTransientError),
        ("AuthFailure", "x", VodAuthenticationError),
        ("LimitExceeded", "x", VodThrottledError),
        ("", "x", VodApiError),
    ],
)
def test_codes_map_to_kinds(code: str, message: str, kind: type) -> None:
    """The longest known prefix of a code decides; an unknown code ends no wait."""
    assert type(api_error("PullEvents", code, message)) is kind


@pytest.mark.parametrize("odd", [b'"\xe4\xb8"', b'"a\tb"', b"1" * 5000], ids=["half a character", "tab", "huge"])
def test_one_odd_event_does_not_keep_the_others_out(odd: bytes) -> None:
    """What strict JSON refuses in one event of a pull is read leniently, and all the others as they are."""
    answer = b'{"Response":{"EventSet":[{"EventType":"A"},{"EventType":"B","Odd":' + odd + b'}],"RequestId":"r"}}'
    events = response_of("PullEvents", answer)["EventSet"]
    assert [event["EventType"] for event in events] == ["A", "B"]


@pytest.mark.parametrize("parameter", [object(), {1, 2}, b"bytes"])
def test_parameters_that_are_no_json(connect: Connect, vod_emulator: Emulator, parameter: object) -> None:
    """What cannot be written as JSON is a typed error and not sent."""
    with pytest.raises(VodInvalidRequestError, match="BadParameters"):
        connect().call("EditMedia", {"InputType": parameter})
    assert vod_emulator.calls.counters == {}
