"""A real API server with two workers receives callbacks: each event once, under load, and none that proves nothing."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import text

from airflow_vod.cli.demo import SUB_APP_ID, sample_events
from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.inbox import InboxStore
from airflow_vod.web.signature import sign
from tests.acceptance import flood
from tests.acceptance.airflow import Airflow, api_server
from tests.acceptance.processes import ROOT, Process

SIGN_KEY, TOKEN = "4bTq8ZsVxW2c7Lm0", "a-token-that-no-log-shows"
APPS = {"vod_signed": 1500000001, "vod_token": 1500000002, "vod_open": 1500000003}
DAG = ROOT / "dags" / "example_vod_wait.py"
EVENTS, CLIENTS = 5000, 32
_ADD_CONNECTION = text(
    "INSERT INTO connection (conn_id, conn_type, extra, is_encrypted, is_extra_encrypted) "
    "VALUES ('vod_signed', 'tencent_vod', :extra, false, false)"
)


def connection(conn_id: str, **secrets: str) -> str:
    """An Airflow connection."""
    return json.dumps({"conn_type": "tencent_vod", "extra": {"sub_app_id": APPS[conn_id], **secrets}})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InboxStore]:
    """The inbox: SQLite, which is the default, and slower than the others at this."""
    store = InboxStore.open(f"sqlite:///{tmp_path_factory.mktemp('inbox') / 'vod_inbox.db'}")
    yield store
    store.close()


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """VOD, for the connection ``vod_default``."""
    with Emulator(options=EmulatorOptions(hold=0.2, event_switches="ON")) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def airflow(
    store: InboxStore, emulator: Emulator, tmp_path_factory: pytest.TempPathFactory, airflow_db: None
) -> Iterator[Airflow]:
    """An API server with two workers; one connection is in Airflow's database, the others in its environment."""
    default = json.loads(emulator.airflow_connection(SUB_APP_ID))
    default["extra"]["callback_secret"] = SIGN_KEY
    settings = flood.SETTINGS | {
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAG.parent),
        "AIRFLOW_CONN_VOD_DEFAULT": json.dumps(default),
        "AIRFLOW_CONN_VOD_TOKEN": connection("vod_token", callback_token=TOKEN),
        "AIRFLOW_CONN_VOD_OPEN": connection("vod_open"),
        "AIRFLOW_CONN_OTHER_TYPE": json.dumps({"conn_type": "http", "extra": {"callback_token": TOKEN}}),
    }
    with api_server(tmp_path_factory.mktemp("home"), store.url, settings) as airflow:
        with airflow.engine.begin() as metadata:
            metadata.execute(
                _ADD_CONNECTION,
                {"extra": json.dumps({"sub_app_id": APPS["vod_signed"], "callback_secret": SIGN_KEY})},
            )
        yield airflow


def splice(number: int | str) -> dict[str, Any]:
    """A ConcatComplete event."""
    file = {"ErrCode": 0, "Message": "", "FileId": f"5285890{number}", "FileUrl": "http://example.com/f0.mp4"}
    return {"EventType": "ConcatComplete", "ConcatCompleteEvent": {"TaskId": f"Concat-{number}", "FileInfoSet": [file]}}


def signature(seconds: float = 600) -> dict[str, Any]:
    """Sign as VOD does."""
    expires = int(time.time() + seconds)
    return {"Sign": sign(SIGN_KEY, str(expires)), "T": expires}


def post(airflow: Airflow, path: str, body: Any, headers: dict[str, str] | None = None) -> int:
    """Post a callback and answer the status."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection = http.client.HTTPConnection("127.0.0.1", airflow.port, timeout=10)
    with contextlib.closing(connection):
        # A body that is too large is answered before it is read to its end.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request("POST", f"/tencent-vod/callbacks/{path}", data, headers or {})
        answer = connection.getresponse()
        assert answer.read() in (b"", b'{"detail":"Not Found"}')
        return answer.status


def test_signed_by_body_query_and_headers(airflow: Airflow, store: InboxStore) -> None:
    """A signature counts wherever it stands; the event is in the inbox of its application when 200 is answered."""
    signed = signature()
    in_headers = {name: str(value) for name, value in signed.items()}
    assert post(airflow, "vod_signed", splice("body") | signed) == 200
    assert post(airflow, f"vod_signed?{urlencode(signed)}", splice("query")) == 200
    assert post(airflow, "vod_signed", splice("headers"), in_headers) == 200
    queue = str(APPS["vod_signed"])
    assert {event.vod_task_id for event in store.newest(queue)} == {"Concat-body", "Concat-query", "Concat-headers"}
    assert {event.source for event in store.newest(queue)} == {"callback"}
    assert all("Sign" not in event.text for event in store.newest(queue))
    assert post(airflow, "vod_signed", splice("body") | signature()) == 200  # again: a duplicate
    assert len(store.newest(queue)) == 3


def test_a_token_in_path_or_query(airflow: Airflow, store: InboxStore) -> None:
    """A token counts in the path and in the query; no log shows it, not even of a refused request."""
    assert post(airflow, f"vod_token/{TOKEN}", splice("path")) == 200
    assert post(airflow, f"vod_token?token={TOKEN}", splice("query")) == 200
    assert post(airflow, f"vod_token/{TOKEN}/more", splice("x")) == 404
    assert len(store.newest(str(APPS["vod_token"]))) == 2
    airflow.wait(lambda: "/callbacks/vod_token" in airflow.processes["api-server"].output, 10)
    assert TOKEN not in airflow.processes["api-server"].output


def test_what_proves_nothing_is_refused(airflow: Airflow, store: InboxStore) -> None:
    """Unsigned, expired, tampered, without configured secret, of another type, unknown: all the same 403."""
    before = len(store.newest(limit=1000))
    signed, late = signature(), signature(-1)
    refused = [
        ("vod_signed", splice("x")),
        ("vod_signed", splice("x") | late),
        ("vod_signed", splice("x") | signed | {"T": signed["T"] + 1}),
        ("vod_signed", splice("x") | signed | {"Sign": "0" * 32}),
        (f"vod_signed?{urlencode(late)}", splice("x")),
        (f"vod_signed/{TOKEN}", splice("x")),
        ("vod_token", splice("x")),
        ("vod_token/wrong-token-altogether", splice("x")),
        ("vod_token", splice("x") | signed),
        ("vod_open", splice("x")),
        ("vod_open/", splice("x")),
        (f"vod_open?{urlencode(signed)}", splice("x")),
        (f"other_type/{TOKEN}", splice("x")),
        ("no_such_connection", splice("x")),
    ]
    found = {path: post(airflow, path, body) for path, body in refused}
    assert found == {path: 404 if path.endswith("/") else 403 for path, _ in refused}
    assert len(store.newest(limit=1000)) == before


def test_garbage_is_kept_and_refused(airflow: Airflow, store: InboxStore) -> None:
    """What proves itself and is no event is answered with 400 and kept; what is too large, with 413 and not kept."""
    path = f"vod_token/{TOKEN}"
    assert post(airflow, path, b"\xff not JSON") == 400
    assert post(airflow, path, b"x" * (1024 * 1024 + 1)) == 413
    [kept] = store.newest(str(APPS["vod_token"]), unparsed=True)
    assert "not JSON" in kept.body


def test_the_example_dag_by_callback(airflow: Airflow, emulator: Emulator, store: InboxStore) -> None:
    """The doctor sets PUSH mode; then the example DAG, unchanged, gets the vendor's sample event by signed callback."""
    base = f"http://127.0.0.1:{airflow.port}"
    words = [sys.executable, "-m", "airflow_vod.cli.main", "doctor", "--fix", "--base-url", base]
    done = subprocess.run(words, env=airflow.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    queue = f"{emulator.host}:{emulator.port}/{SUB_APP_ID}"
    command = [sys.executable, "-m", "airflow", "dags", "test", "example_vod_wait"]
    with Process(command, airflow.environment) as dag_run:
        airflow.wait(lambda: bool(store.waiters.longest(queue)), 90)
        for event in sample_events():
            emulator.publish(event, SUB_APP_ID)
        assert dag_run.wait(90) == 0, dag_run.output
        urls = [line for line in dag_run.output.splitlines() if "Publishing http://" in line]
    assert len(urls) == 2, dag_run.output
    assert all(callback.accepted for callback in emulator.callbacks)
    assert {event.source for event in store.newest(queue, limit=1000)} == {"callback"}
    assert (emulator.queue(SUB_APP_ID).published, emulator.queue(SUB_APP_ID).pushed) == (0, len(sample_events()))


class Times:
    """How long each callback took, until its status was there."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._began = time.monotonic()

    def __str__(self) -> str:
        ordered, took = sorted(self.seconds), time.monotonic() - self._began
        p50, p99 = (ordered[len(ordered) * percent // 100] for percent in (50, 99))
        # The clients use the same processors as the server, and so does whoever else is there: hence the load.
        return (
            f"{len(ordered) / took:.0f}/s, p50 {p50:.3f} s, p99 {p99:.3f} s, max {ordered[-1]:.3f} s; "
            f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
        )


async def call_back(port: int, numbers: Iterator[int], times: Times) -> None:
    """Post one event after the other on one connection, as cheaply as can be: it is the server that is measured."""
    head = f"POST /tencent-vod/callbacks/vod_token/{TOKEN} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: "
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in numbers:
        body = json.dumps(splice(number))
        began = time.monotonic()
        writer.write(f"{head}{len(body)}\r\n\r\n{body}".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        times.seconds.append(time.monotonic() - began)
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        assert b"content-length: 0\r\n" in answer.lower(), answer
    writer.close()
    await writer.wait_closed()


async def test_under_load_each_event_once(airflow: Airflow, store: InboxStore) -> None:
    """Thousands of callbacks from many clients at once: every one is answered with 200 and stored once."""
    queue = str(APPS["vod_token"])
    start, numbers, times = store.position(queue), iter(range(EVENTS)), Times()
    async with asyncio.timeout(300), asyncio.TaskGroup() as clients:
        for _ in range(CLIENTS):
            clients.create_task(call_back(airflow.port, numbers, times))
    print(times)
    stored = [header.vod_task_id for header in store.headers_after(queue, start, 2 * EVENTS)]
    assert sorted(stored) == sorted(f"Concat-{number}" for number in range(EVENTS))


def test_genuine_callbacks_get_through_a_flood(airflow: Airflow, store: InboxStore) -> None:
    """While strangers flood both workers, every genuine callback gets 200 and is stored; `make flood` tells how fast."""
    outcome = flood.measure(airflow.port, 8)
    print(outcome)
    assert set(outcome.statuses) == {200}
    stored = sum(store.counts(str(app)).events for app in flood.APPS.values())
    assert stored == outcome.statuses[200]
    lines = [line for line in airflow.processes["api-server"].output.splitlines() if "which cannot be read" in line]
    assert len(lines) <= 2 * 10  # two workers
