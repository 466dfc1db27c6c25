"""The application: routes, permissions, security headers, and no secrets in logs."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event, update

from airflow_vod.exceptions import InboxUnavailableError
from airflow_vod.get_provider_info import get_provider_info
from airflow_vod.inbox import InboxStore, Waiter
from airflow_vod.inbox.tables import vod_waiter
from airflow_vod.plugins import vod
from airflow_vod.relay.health import trouble_of
from airflow_vod.tencent.settings import VodSettings
from airflow_vod.web import access, api, page
from airflow_vod.web.app import create_app
from airflow_vod.web.connections import Connections
from tests.samples import concat_event, procedure_event, unparsed_event

OURS = {"X-Requested-With": "vod-events"}
TOKEN = "a-token-that-no-log-shows"


@pytest.fixture
def database() -> str:
    """One database is enough: the store has its own tests."""
    return "sqlite"


@pytest.fixture
def app(inbox: InboxStore) -> FastAPI:
    """The application over an inbox with four events."""
    events = [concat_event("a"), concat_event("b", file_id="F"), procedure_event("c", "PROCESSING"), unparsed_event()]
    inbox.receive("host:1/7", events, "pull")
    connections = Connections({"c": VodSettings(sub_app_id=1, callback_token=TOKEN)}.get)
    return create_app(connections=connections, inbox=lambda: inbox)


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client with all permissions."""
    app.dependency_overrides = {access.require_read: lambda: None, access.require_edit: lambda: None}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://airflow") as http:
        yield http


def positions(answer: httpx.Response) -> list[int]:
    """The positions of the events in an answer."""
    assert answer.status_code == 200, answer.text
    return [event["position"] for event in answer.json()["events"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [4, 3, 2, 1]),
        ("queue=host:1/7&event_type=ConcatComplete", [2, 1]),
        ("outcome=succeeded", [2, 1]),
        ("outcome=failed", []),
        ("search=a", [1]),
        ("search=F", [2]),
        ("search=%20a%20", [1]),
        ("search=%00", []),
        ("unparsed=true", [4]),
        ("unread=true", [4, 3, 2, 1]),
        ("unread=false", []),
        ("queue=other", []),
        ("search=a&search=b", [2, 1]),
        ("search=a,%20F%0a c", [3, 2, 1]),
        ("search=%20", [4, 3, 2, 1]),
        ("since=99999999999", []),
        ("until=99999999999", [4, 3, 2, 1]),
        ("since=0&until=1", []),
    ],
)
async def test_filters(http: httpx.AsyncClient, query: str, expected: list[int]) -> None:
    """Each filter narrows the list, newest first."""
    assert positions(await http.get(f"/api/events?{query}")) == expected


async def test_pages_by_key(http: httpx.AsyncClient, inbox: InboxStore) -> None:
    """The next page continues where the last one ended, even when newer events arrive in between."""
    first = await http.get("/api/events?limit=3")
    inbox.receive("host:1/7", [concat_event("late")], "pull")
    second = await http.get("/api/events", params={"limit": 3, "before": first.json()["next"]})
    assert positions(first) + positions(second) == [4, 3, 2, 1]
    assert second.json()["next"] is None


@pytest.mark.parametrize(
    "query",
    [
        *(
            "before=x",
            "before=[1]",
            "before=[1,2,1e999]",
            'before=[1,"q",1e300]',
            'before=[1,"q",1.5]',
            'before=[NaN,"q",1]',
        ),
        *('before=[1,"%5Cud800",1]', 'before=[1,"",1]', 'before=[1,"q",-1]', 'before=[1,"q",9223372036854775808]'),
        *('before=["1","q",1]', 'before=[true,"q",1]', "before=" + "[" * 5000, "limit=0", "limit=1000", "outcome=odd"),
        *("unread=maybe", "since=nan", "since=-1", "until=inf", "until=1e300", "&".join(["search=x"] * 201)),
    ],
)
async def test_what_cannot_be_asked(http: httpx.AsyncClient, query: str) -> None:
    """Invalid values are refused with their field's name."""
    answer = await http.get(f"/api/events?{query}")
    assert answer.status_code == 400, answer.text
    assert query.partition("=")[0] in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        r'{"queue": "\ud800", "position": 1}',
        r'{"queue": 1, "position": "\ud800"}',
        r'{"\ud800": 1}',
        r'"\ud800"',
        "[",
        r'{"queue": "q", "position": 1e300}',
    ],
)
async def test_what_cannot_be_written_as_text(http: httpx.AsyncClient, body: str) -> None:
    """Lone surrogates and numbers without measure are refused, not a failure of the server."""
    answer = await http.post("/api/replay", content=body, headers=OURS | {"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    for path in ("events?search=%ED%A0%80&queue=%ED%A0%80", "waiters?search=%ED%A0%80", "history?queue=%ED%A0%80"):
        assert (await http.get(f"/api/{path}")).status_code in {200, 404}


async def test_one_event(http: httpx.AsyncClient) -> None:
    """An event's body is a string, so that browsers do not round its numbers."""
    event = (await http.get("/api/event", params={"queue": "host:1/7", "position": 2})).json()
    assert json.loads(event["body"])["ConcatCompleteEvent"]["TaskId"] == "b"
    for queue, position in (("host:1/7", 9), ("other", 1), ("\x00", 1)):
        assert (await http.get("/api/event", params={"queue": queue, "position": position})).status_code == 404


async def test_export(http: httpx.AsyncClient) -> None:
    """The export has one line per event that matches the filters, as a download."""
    answer = await http.get("/api/export?event_type=ConcatComplete")
    assert [json.loads(line)["vod_task_id"] for line in answer.text.splitlines()] == ["b", "a"]
    assert "attachment" in answer.headers["content-disposition"]
    assert len((await http.get("/api/export?limit=3")).text.splitlines()) == 3


async def test_health_and_history(http: httpx.AsyncClient, inbox: InboxStore) -> None:
    """Queues show holder, counts and what the last holder said, also when its lease has expired; history shows arrivals."""
    says = {"last_pull_at": 9.0, "caught_up_at": 1.0, "in_queue": 12, "in_queue_at": 8.0}
    inbox.leases.acquire("host:1/7", "relay-1", 60, info=says)
    inbox.receive("idle", [concat_event("x")], "callback")
    inbox.leases.acquire("idle", "gone", 0.0, info=says)
    health = {each["queue"]: each for each in (await http.get("/api/queues")).json()["queues"]}
    here = health["host:1/7"]
    assert (here["holder"], here["unread"], here["unparsed"], here["trouble"]) == ("relay-1", 4, 1, None)
    assert says.items() <= here["relay"].items()
    assert health["idle"]["holder"] is None
    assert says.items() <= health["idle"]["relay"].items()
    history = (await http.get("/api/history", params={"queue": "idle"})).json()["slices"]
    assert sum(each["events"] for each in history) == 1
    assert (await http.get("/api/history", params={"queue": "\x00"})).status_code == 404


@pytest.mark.parametrize("held", [True, False])
async def test_trouble_is_told_in_the_words_of_relay_status(
    http: httpx.AsyncClient, inbox: InboxStore, held: bool
) -> None:
    """Where somebody waits and pulls fail, a queue says so, whether anybody holds its lease, and though it never had an event."""
    now = time.time()
    says = {"last_pull_at": now - 600, "failing_since_at": now - 590, "failure": "connection refused"}
    inbox.leases.acquire("new", "relay-1", 60, info=says)
    if not held:
        inbox.leases.release("new", "relay-1")
    inbox.waiters.add("new", [Waiter.of("dag/run/wait", "Concat-1", (), now + 900)], "owner")
    with inbox._database.write() as connection:
        connection.execute(update(vod_waiter).values(since=now - 300))
    [state] = [each for each in (await http.get("/api/queues")).json()["queues"] if each["queue"] == "new"]
    said = trouble_of(inbox.leases.read("new"), time.time() - (now - 300), time.time())
    assert re.sub(r"\d+ s", "… s", state["trouble"]) == re.sub(r"\d+ s", "… s", said)
    assert "connection refused" in state["trouble"]
    assert state["relay"]["failing_since_at"] == says["failing_since_at"]


async def test_who_waits(http: httpx.AsyncClient, inbox: InboxStore) -> None:
    """Waiters are listed with name, times and what they wait for, and found by VOD task id, type and queue."""
    until = time.time() + 900
    waiters = [
        Waiter.of("dag/run/one", "Concat-1", ("ConcatComplete",), until),
        Waiter.of("dag/run/two", "Concat-2", (), until),
        Waiter.of("dag/run/any", None, ("NewFileUpload",), until),
    ]
    inbox.waiters.add("host:1/7", waiters, "owner")
    inbox.waiters.mark_asked("host:1/7", [waiters[0].id])

    async def names(query: str) -> list[str]:
        return sorted(each["waiter"] for each in (await http.get(f"/api/waiters?{query}")).json()["waiters"])

    assert await names("") == ["dag/run/any", "dag/run/one", "dag/run/two"]
    assert await names("search=Concat-1") == ["dag/run/one"]
    assert await names("search=Concat-1&search=Concat-2") == ["dag/run/one", "dag/run/two"]
    assert await names("search=%00") == await names("search=other") == await names("queue=other") == []
    assert await names("event_type=NewFileUpload") == ["dag/run/any", "dag/run/two"]
    [one] = (await http.get("/api/waiters?search=Concat-1")).json()["waiters"]
    assert (one["deadline"], one["queue"], one["vod_task_id"]) == (pytest.approx(until), "host:1/7", "Concat-1")
    assert one["asked_at"] >= one["since"]


async def test_the_list_reads_no_bodies(http: httpx.AsyncClient, inbox: InboxStore) -> None:
    """Listing events selects no body, whatever it is filtered by."""
    statements: list[str] = []
    event.listen(inbox._database.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    for query in ("", "search=a", "outcome=failed", "since=1&until=99999999999"):
        await http.get(f"/api/events?{query}")
    listed = [statement for statement in statements if "FROM vod_event" in statement]
    assert listed
    assert not [statement for statement in listed if "body" in statement]


async def test_a_hanging_inbox_does_not_hold_up_airflow(app: FastAPI) -> None:
    """While the inbox hangs and many pages are open, Airflow's own routes answer at once, and the page says 503 in time."""
    leave = threading.Event()

    class Hanging:
        def __getattr__(self, name: str) -> Any:
            leave.wait(30)
            raise InboxUnavailableError("down")

    app = create_app(connections=Connections({}.get), inbox=Hanging)  # type: ignore[arg-type,return-value]
    app.dependency_overrides = {access.require_read: lambda: None}
    airflow = FastAPI()
    airflow.mount("/tencent-vod", app)

    @airflow.get("/api/v2/dags")
    def dags() -> dict[str, Any]:  # Airflow's own routes are synchronous, too
        return {}

    transport = httpx.ASGITransport(airflow, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://airflow", timeout=60) as http:
        paths = ["events", "queues", "waiters", "history", "export", "event?queue=q&position=1"] * 14
        asked = [asyncio.create_task(http.get(f"/tencent-vod/api/{path}")) for path in paths]
        await asyncio.sleep(0.5)
        for _ in range(5):
            began = time.monotonic()
            assert (await http.get("/api/v2/dags")).status_code == 200
            assert time.monotonic() - began < 10  # the inbox hangs for 30
        done, _ = await asyncio.wait(asked, timeout=api.PATIENCE + 3)
        busy = [each.result() for each in done]
        assert len(busy) >= len(asked) - api.THREADS - 14  # those in threads, and who shares the result of one
        assert {answer.status_code for answer in busy} == {503}
        assert all("busy" in answer.json()["detail"] for answer in busy)
        leave.set()
        await asyncio.gather(*asked)


async def test_replay(http: httpx.AsyncClient, inbox: InboxStore) -> None:
    """An event can be replayed; an unknown one is 404."""
    body = {"queue": "host:1/7", "position": 1}
    assert (await http.post("/api/replay", json=body, headers=OURS)).json()["position"] == 5
    assert inbox.get("host:1/7", 5) is not None
    assert (await http.post("/api/replay", json=body, headers=OURS)).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Requested-With": "XMLHttpRequest"},
        OURS | {"Origin": "https://evil.example"},
        OURS | {"Origin": "null"},
        OURS | {"Sec-Fetch-Site": "cross-site"},
        OURS | {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_other_sites_change_nothing(http: httpx.AsyncClient, inbox: InboxStore, headers: dict[str, str]) -> None:
    """A replay without the header or from another origin is refused."""
    answer = await http.post("/api/replay", json={"queue": "host:1/7", "position": 1}, headers=headers)
    assert answer.status_code == 403
    assert inbox.position("host:1/7") == 4


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://airflow"}, {"Sec-Fetch-Site": "same-origin", "Origin": "https://proxy"}]
)
async def test_this_site_does(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """A replay from our own page is accepted, also behind a proxy."""
    body = {"queue": "host:1/7", "position": 1}
    assert (await http.post("/api/replay", json=body, headers=OURS | headers)).status_code == 200


async def test_every_answer_is_guarded(http: httpx.AsyncClient) -> None:
    """All answers have the security headers; data is not cached by browsers."""
    for path in ("/events", "/static/events.js", "/static/events.css", "/static/theme.js", "/api/events", "/nothing"):
        answer = await http.get(path)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await http.get("/api/events")).headers["cache-control"] == "no-store"
    for path in ("/static/..%2Fapp.py", "/static/nothing.js", "/docs", "/openapi.json"):
        assert (await http.get(path)).status_code == 404


def test_the_page_asks_nobody_else() -> None:
    """The page refers to no other host and has no inline script or style."""
    static = Path(page.__file__).parent / "static"
    for file in static.iterdir():
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text
        assert "https://" not in text
        assert "innerHTML" not in text
        assert "style=" not in text
        assert "onclick" not in text


@pytest.mark.parametrize(
    "path",
    [
        "c/a-secret",
        "c/a-secret/more",
        "c?token=a-secret",
        "unknown/a-secret",
        "c/%0aa-secret",
        "c/x%0aa-secret%0a",
        "c%0a/%0da-secret",
        "c%2fa-secret",
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_no_secret_is_left_for_a_log(app: FastAPI, path: str, method: str) -> None:
    """When an answer is sent, the scope that access logs read contains no secret, whatever the answer is."""
    seen: list[str] = []

    async def logging_app(scope: Any, receive: Any, send: Any) -> None:
        async def log(message: Any) -> None:
            if message["type"] == "http.response.start":
                seen.append(f"{scope['path']} {scope['raw_path']} {scope['query_string']}")
            await send(message)

        await app(scope, receive, log)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(logging_app), base_url="http://airflow") as http:
        await http.request(method, f"/callbacks/{path}")
    assert "a-secret" not in seen[0]
    assert "***" in seen[0]


class Manager:
    """An auth manager that grants some methods."""

    def __init__(self, *granted: str) -> None:
        self._granted = granted

    def is_authorized_connection(self, *, method: str, details: Any, user: Any) -> bool:
        """Whether the method is granted."""
        return method in self._granted


@pytest.mark.parametrize(
    ("granted", "statuses"), [((), (403, 403)), (("GET",), (200, 403)), (("GET", "PUT"), (200, 200))]
)
async def test_permissions(
    app: FastAPI, granted: tuple[str, ...], statuses: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Viewing requires the permission to read connections, replaying the permission to edit them."""
    from airflow.api_fastapi.core_api.security import get_user

    monkeypatch.setattr(access, "get_auth_manager", lambda: Manager(*granted))
    app.dependency_overrides = {get_user: lambda: SimpleNamespace()}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://airflow") as http:
        seen = await http.get("/api/events")
        replayed = await http.post("/api/replay", json={"queue": "host:1/7", "position": 1}, headers=OURS)
    assert (seen.status_code, replayed.status_code) == statuses


async def test_without_login(app: FastAPI) -> None:
    """Without login, every route of the page is 401."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://airflow") as http:
        for path in (
            "events",
            "static/events.js",
            "api/events",
            "api/event",
            "api/export",
            "api/queues",
            "api/waiters",
            "api/history",
        ):
            assert (await http.get(f"/{path}")).status_code == 401
        assert (await http.post("/api/replay", json={}, headers=OURS)).status_code == 401


async def test_the_logo_needs_no_login(app: FastAPI) -> None:
    """Provider and menu name the logo where it is served, also to users who may not see the page, and it runs nothing."""
    [integration] = get_provider_info()["integrations"]
    [view] = vod.TencentVodPlugin.external_views
    assert integration["logo"] == f"{vod.URL_PREFIX}/logo.svg"
    assert view["icon"] == vod.base_path() + integration["logo"]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://airflow") as http:
        answer = await http.get(integration["logo"].removeprefix(vod.URL_PREFIX))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
    picture = ET.fromstring(answer.text)
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert picture.get("viewBox") == "0 0 64 64"
    assert {each.tag.rpartition("}")[2] for each in picture.iter()} == {"svg", "rect", "path"}


def test_the_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin adds one application and one menu entry, below Airflow's base path."""
    plugin = vod.TencentVodPlugin()
    [mounted] = plugin.fastapi_apps
    assert mounted["url_prefix"] == "/tencent-vod"
    [view] = plugin.external_views
    assert view["href"].endswith("/tencent-vod/events")
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://example.com/airflow/")
    assert vod.base_path() == "/airflow"


async def test_the_inbox_is_opened_when_the_server_starts(inbox: InboxStore) -> None:
    """The inbox is opened during startup; a failure does not prevent the start."""
    opened = threading.Event()

    def open_it() -> InboxStore:
        opened.set()
        raise OSError("not there")

    app = create_app(inbox=open_it)
    async with app.router.lifespan_context(app):
        assert await asyncio.to_thread(opened.wait, 20)
