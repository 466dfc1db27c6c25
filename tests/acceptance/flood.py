"""Genuine callbacks amid a flood of strangers: ``python -m tests.acceptance.flood [SECONDS]``, or ``make flood``.

A real API server with two workers and a secrets backend that takes 0.1 s for each name. 400 connections send callbacks for names
that they make up, and 64 send 1 MiB of JSON, half of them for a connection that exists. Invariant: strangers run in a process of
their own, each connection sending its next callback as soon as the last one is answered; so none is slower than it can be.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from airflow_vod.inbox import InboxStore
from airflow_vod.web.signature import sign
from tests.acceptance.airflow import api_server
from tests.acceptance.processes import ROOT

SMALL, LARGE = 400, 64  # connections
CLIENTS = 9  # genuine ones, a third for each way to prove oneself
INTERVAL = 0.25  # seconds between two callbacks of a genuine client
SIGN_KEY, TOKEN = "4bTq8ZsVxW2cR5yK7mNp", "a-token-that-no-log-shows"
APPS = {"flood_token": 1500000011, "flood_signed": 1500000012}


@dataclass(slots=True)
class Outcome:
    """What became of the genuine callbacks.

    :param seconds: how long each took.
    :param statuses: how often each status was answered.
    """

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def percentile(self, percent: int) -> float:
        """:return: seconds."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]

    def __str__(self) -> str:
        return (
            f"{len(self.seconds)} genuine callbacks, statuses {dict(self.statuses)}, p50 {self.percentile(50):.3f} s, "
            f"p99 {self.percentile(99):.3f} s, max {max(self.seconds):.3f} s; "
            f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
        )


def _connection(conn_id: str, **proofs: str) -> str:
    return json.dumps({"conn_type": "tencent_vod", "extra": {"sub_app_id": APPS[conn_id], **proofs}})


SETTINGS = {
    "AIRFLOW__API__WORKERS": "2",
    "AIRFLOW__SECRETS__BACKEND": "tests.acceptance.slow_secrets.SlowSecrets",
    "AIRFLOW_CONN_FLOOD_TOKEN": _connection("flood_token", callback_token=TOKEN),
    "AIRFLOW_CONN_FLOOD_SIGNED": _connection("flood_signed", callback_secret=SIGN_KEY),
}
"""The environment of an API server that is to be flooded."""


def measure(port: int, seconds: float) -> Outcome:
    """Send genuine callbacks while strangers flood the server.

    :param port: of the API server.
    :param seconds: how long.
    """
    words = [sys.executable, "-m", "tests.acceptance.flood", "strangers", str(port), str(seconds + 5)]
    with subprocess.Popen(words, cwd=ROOT) as strangers:
        try:
            time.sleep(5)  # so that all of them are there
            return asyncio.run(_genuine(port, seconds))
        finally:
            strangers.wait(60)


async def _genuine(port: int, seconds: float) -> Outcome:
    outcome, numbers, until = Outcome(), itertools.count(), time.monotonic() + seconds

    async def client(request: Callable[[int], bytes]) -> None:
        connection = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(secrets.randbelow(250) / 1000)
        while time.monotonic() < until:
            began = time.monotonic()
            outcome.statuses[await _send(connection, request(next(numbers)))] += 1
            outcome.seconds.append(time.monotonic() - began)
            await asyncio.sleep(max(0.0, INTERVAL - (time.monotonic() - began)))
        connection[1].close()

    async with asyncio.TaskGroup() as clients:
        for number in range(CLIENTS):
            clients.create_task(client((_token_in_path, _signed_in_query, _signed_in_body)[number % 3]))
    return outcome


def _event(number: int) -> dict[str, Any]:
    file = {"ErrCode": 0, "Message": "", "FileId": f"5285890{number}", "FileUrl": "http://example.com/f0.mp4"}
    return {"EventType": "ConcatComplete", "ConcatCompleteEvent": {"TaskId": f"Concat-{number}", "FileInfoSet": [file]}}


def _signature() -> dict[str, Any]:
    expires = int(time.time() + 600)
    return {"Sign": sign(SIGN_KEY, str(expires)), "T": expires}


def _token_in_path(number: int) -> bytes:
    return _post(f"flood_token/{TOKEN}", _event(number))


def _signed_in_query(number: int) -> bytes:
    return _post(f"flood_signed?{urlencode(_signature())}", _event(number))


def _signed_in_body(number: int) -> bytes:
    return _post("flood_signed", _event(number) | _signature())


def _post(path: str, content: Any) -> bytes:
    body = json.dumps(content).encode()
    head = f"POST /tencent-vod/callbacks/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _send(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: bytes) -> int:
    """:return: the status, once the answer, which has no body, is there."""
    reader, writer = connection
    writer.write(request)
    await writer.drain()
    return int((await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1])


async def strangers(port: int, seconds: float) -> None:
    """Flood the server.

    :param port: of the API server.
    :param seconds: how long.
    """
    large = json.dumps({"x": [{"a": number} for number in range(80_000)]})[: 1024 * 1024 - 2] + "]}"
    answered: Counter[int] = Counter()

    def small_one() -> bytes:
        return _post(secrets.token_hex(8), {})

    def large_one() -> bytes:
        name = secrets.choice((secrets.token_hex(8), "flood_signed"))
        head = f"POST /tencent-vod/callbacks/{name} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(large)}\r\n\r\n"
        return head.encode() + large.encode()

    async def one(request: Callable[[], bytes]) -> None:
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                connection = await asyncio.open_connection("127.0.0.1", port)
                while True:
                    answered[await _send(connection, request())] += 1
            await asyncio.sleep(0.01)

    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            for number in range(SMALL + LARGE):
                group.create_task(one(small_one if number < SMALL else large_one))
    print(f"strangers: {sum(answered.values()) / seconds:.0f} callbacks/s, statuses {dict(answered)}", flush=True)


def main(seconds: float) -> None:
    """Measure once and print what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        store = InboxStore.open(f"sqlite:///{folder}/vod_inbox.db")
        with api_server(Path(folder), store.url, SETTINGS) as airflow:
            server = airflow.processes["api-server"]
            airflow.wait(lambda: server.output.count("Application startup complete") == 2, 120)  # both workers
            print(measure(airflow.port, seconds))
        store.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["strangers"]:
        asyncio.run(strangers(int(sys.argv[2]), float(sys.argv[3])))
    else:
        main(float(sys.argv[1]) if sys.argv[1:] else 30.0)
