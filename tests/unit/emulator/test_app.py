"""The HTTP interface: what is sent over the wire."""

from __future__ import annotations

import json
import time
from http.client import HTTPException, RemoteDisconnected
from typing import Any

import pytest

from airflow_vod.emulator import Emulator, EmulatorOptions, ManualClock

from .helpers import EVENT, Wire, read


def test_the_content_type_is_exactly_json(vod: Emulator):
    """Successes and errors have the only content type in which the official SDK finds errors."""
    wire = Wire(vod)
    for action in ("DescribeEventsState", "NoSuchAction"):
        reply = wire.call(action)
        assert (reply.status, reply.content_type) == (200, "application/json")
    assert reply.response["Error"]["Code"] == "InvalidAction"


def test_a_held_pull_is_answered_when_an_event_comes(vod: Emulator):
    """A held pull is answered as soon as an event is published."""
    connection = Wire(vod).open("PullEvents")
    vod.wait_until(lambda: vod.queue().waiting == 1)
    vod.publish(EVENT)
    (event,) = read(connection).response["EventSet"]
    assert event.pop("EventHandle")
    assert event == EVENT


def test_a_held_pull_ends_with_its_hold(vod: Emulator):
    """Advancing the clock by the hold ends a held pull."""
    connection = Wire(vod).open("PullEvents")
    vod.wait_until(lambda: vod.queue().waiting == 1)
    vod.clock.advance(5)
    assert read(connection).response["Error"] == {"Code": "ResourceNotFound", "Message": "no event"}


def test_a_running_clock_ends_the_hold_by_itself():
    """With the machine's time, holds end and events are redelivered on their own."""
    with Emulator(options=EmulatorOptions(hold=0.05, visibility=0.02)) as vod:
        wire = Wire(vod)
        assert wire.call("PullEvents").response["Error"]["Code"] == "ResourceNotFound"
        vod.publish(EVENT)
        first = wire.call("PullEvents").response["EventSet"][0]["EventHandle"]
        second = wire.call("PullEvents").response["EventSet"][0]["EventHandle"]
        assert first != second


@pytest.mark.parametrize(("option", "hidden"), [("takes", 1), ("leaves", 0)])
def test_a_client_that_leaves_during_the_hold(option: Any, hidden: int):
    """A disconnect is noticed; whether the held pull still takes events is an option."""
    with Emulator(clock=ManualClock(), options=EmulatorOptions(abandoned_pull=option)) as vod:
        connection = Wire(vod).open("PullEvents")
        vod.wait_until(lambda: vod.queue().waiting == 1)
        connection.close()
        if option == "leaves":
            vod.wait_until(lambda: vod.queue().waiting == 0)
        vod.publish(EVENT)
        assert vod.queue().hidden == hidden


@pytest.mark.parametrize("fault", ["drop_request", "drop_response"])
def test_a_dropped_connection_says_nothing(vod: Emulator, fault: str):
    """The connection is closed without a status line; the call has taken effect."""
    wire = Wire(vod)
    vod.publish(EVENT)
    vod.faults.script({"PullEvents": fault})
    with pytest.raises(RemoteDisconnected):
        wire.call("PullEvents")
    assert vod.queue().hidden == (fault == "drop_response")
    assert [line.fault for line in vod.faults.ledger] == [fault]
    assert "Error" not in wire.call("DescribeEventsState").response


def test_a_truncated_answer_ends_in_the_middle(vod: Emulator):
    """The announced length is that of the whole body, of which half is sent."""
    vod.publish(EVENT)
    vod.faults.script({"PullEvents": "truncate"})
    with pytest.raises(HTTPException) as caught:
        Wire(vod).call("PullEvents")
    partial = caught.value.partial
    assert partial.startswith(b'{"Response"')
    assert len(partial) - caught.value.expected in (-1, 0, 1)


@pytest.mark.parametrize(
    ("fault", "status", "content_type", "start"),
    [
        ("http_500", 500, "application/json", b"{"),
        ("http_502_html", 502, "text/html", b"<html>"),
        ("html_200", 200, "text/html", b"<html>"),
        ("charset", 200, "application/json; charset=utf-8", b'{"Response"'),
        ("garbage_json", 200, "application/json", b"{"),
    ],
)
def test_other_faults_on_the_wire(vod: Emulator, fault: str, status: int, content_type: str, start: bytes):
    """Status, content type and body are those of the fault."""
    vod.faults.script({"DescribeEventsState": fault})
    reply = Wire(vod).call("DescribeEventsState")
    assert (reply.status, reply.content_type) == (status, content_type)
    assert reply.body.startswith(start)
    if fault == "garbage_json":
        with pytest.raises(json.JSONDecodeError):
            json.loads(reply.body)


@pytest.mark.parametrize("slow", ["fault", "rtt"])
def test_delays_follow_the_clock(slow: str):
    """A slow call takes effect at once and is answered later; half a round trip passes before and half after a call."""
    options = EmulatorOptions(rtt=4.0 if slow == "rtt" else 0.0)
    with Emulator(clock=ManualClock(), options=options) as vod:
        vod.publish(EVENT)
        if slow == "fault":
            vod.faults.script({"PullEvents": "slow:4"})
        connection = Wire(vod).open("PullEvents")
        if slow == "rtt":
            vod.wait_until(lambda: vod.api.next_due() is not None)
            assert vod.queue().hidden == 0
            vod.clock.advance(2)
        vod.wait_until(lambda: vod.queue().hidden == 1)
        due = vod.clock.now() + (4 if slow == "fault" else 2)
        vod.wait_until(lambda: vod.api.next_due() == due)
        vod.clock.advance(4)
        assert len(read(connection).response["EventSet"]) == 1


def test_answers_are_not_delayed_by_the_network_stack(vod: Emulator):
    """On a reused connection small answers are not delayed by 40 ms (Nagle's algorithm)."""
    wire = Wire(vod)
    connection = wire.open("DescribeEventConfig")
    connection.getresponse().read()
    seconds = []
    for _ in range(15):
        start = time.perf_counter()
        wire.send(connection, "DescribeEventConfig")
        connection.getresponse().read()
        seconds.append(time.perf_counter() - start)
    connection.close()
    assert min(seconds[5:]) < 0.03


def test_a_body_that_is_too_large_is_refused(vod: Emulator):
    """A body of more than 10 MB is refused."""
    assert Wire(vod).call("PullEvents", ExtInfo="x" * (10 * 1024 * 1024)).status == 413


def test_nothing_else_is_served(vod: Emulator):
    """The API is served at one path only."""
    connection = Wire(vod).open("PullEvents")
    connection.close()
    status, _ = Wire(vod).control("GET", "queues")
    assert status == 200
    with pytest.raises(json.JSONDecodeError):
        Wire(vod).control("GET", "nothing")
