"""The receiver stores authenticated events once, before it answers, and rejects the rest without a hint."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_vod import metrics
from airflow_vod.events.parse import UnparsedEvent, read_event
from airflow_vod.exceptions import InboxUnavailableError
from airflow_vod.inbox import InboxStore
from airflow_vod.tencent.settings import VodSettings
from airflow_vod.web import bodies, callbacks, redaction
from airflow_vod.web.app import create_app
from airflow_vod.web.connections import Connections
from airflow_vod.web.intake import Intake
from airflow_vod.web.signature import sign
from tests.samples import concat_event, procedure_event

KEY, TOKEN = "4bTq8ZsVxW2c7Lm0", "a-token-that-no-log-shows"
SETTINGS = {
    "signed": VodSettings(sub_app_id=1, callback_secret=KEY),
    "token": VodSettings(sub_app_id=2, callback_token=TOKEN),
    "both": VodSettings(sub_app_id=3, callback_secret=KEY, callback_token=TOKEN),
    "open": VodSettings(sub_app_id=4),
}
NOW = 1_800_000_000
EVENT = dict(concat_event("Concat-1").raw)
SIGNED = {"Sign": sign(KEY, str(NOW + 600)), "T": NOW + 600}
LATE = {"Sign": sign(KEY, str(NOW - 1)), "T": NOW - 1}
TAMPERED = SIGNED | {"T": NOW + 601}

Post = Callable[..., Any]


class Broken:
    """An inbox that is unavailable or fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def receive(self, *_: object) -> None:
        """Fail."""
        raise self.error


def client(inbox: Callable[[], Any], now: float = NOW) -> httpx.AsyncClient:
    """The whole application, without a server."""
    app = create_app(
        connections=Connections(SETTINGS.get), intake=Intake(inbox, timeout=60), inbox=inbox, clock=lambda: now
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    return httpx.AsyncClient(transport=transport, base_url="http://airflow/callbacks")


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusals are sent at once, but where their time is tested."""
    monkeypatch.setattr(callbacks, "REFUSED_AFTER", 0.0)


@pytest.fixture
def database() -> str:
    """One database is enough: the store has its own tests."""
    return "sqlite"


@pytest.fixture
async def http(inbox: InboxStore) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application with an empty inbox."""
    async with client(lambda: inbox) as http:
        yield http


PLACES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "body": lambda signature: {"json": EVENT | signature},
    "query": lambda signature: {"json": EVENT, "params": signature},
    "headers": lambda signature: {"json": EVENT, "headers": {name: str(value) for name, value in signature.items()}},
}


@pytest.mark.parametrize("place", PLACES)
async def test_a_signature_counts_wherever_it_stands(http: httpx.AsyncClient, inbox: InboxStore, place: str) -> None:
    """After a 200 the event is in the inbox, marked as a callback, without the signature."""
    answer = await http.post("/signed", **PLACES[place](SIGNED))
    assert (answer.status_code, answer.content) == (200, b"")
    [event] = inbox.newest("1")
    assert (event.vod_task_id, event.source, event.body) == ("Concat-1", "callback", EVENT)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("signature", [LATE, TAMPERED, {}, {"Sign": SIGNED["Sign"]}, {"T": NOW + 600}])
async def test_a_bad_signature_counts_nowhere(
    http: httpx.AsyncClient, inbox: InboxStore, place: str, signature: dict[str, Any]
) -> None:
    """An expired, tampered, missing or incomplete signature is 403 in every place, and nothing is stored."""
    answer = await http.post("/signed", **PLACES[place](signature))
    assert (answer.status_code, answer.content) == (403, b"")
    assert inbox.newest() == []


@pytest.mark.parametrize("place", PLACES)
async def test_a_replayed_request_changes_nothing(inbox: InboxStore, place: str) -> None:
    """A replayed request is a duplicate until its signature expires, and rejected afterwards."""
    async with client(lambda: inbox) as http:
        for _ in range(2):
            assert (await http.post("/signed", **PLACES[place](SIGNED))).status_code == 200
    async with client(lambda: inbox, now=NOW + 601) as later:
        assert (await later.post("/signed", **PLACES[place](SIGNED))).status_code == 403
    assert len(inbox.newest()) == 1


async def test_a_token_in_path_or_query(http: httpx.AsyncClient, inbox: InboxStore) -> None:
    """The token is accepted in path or query; a wrong, partial or missing one is rejected."""
    assert (await http.post(f"/token/{TOKEN}", json=EVENT)).status_code == 200
    assert (await http.post(f"/token?token={TOKEN}", json=EVENT)).status_code == 200
    for path in (
        "/token",
        f"/token/{TOKEN[:-1]}",
        f"/token/{TOKEN}x",
        "/token?token=",
        "/token/%C3%A9",
        f"/open/{TOKEN}",
    ):
        assert (await http.post(path, json=EVENT | SIGNED)).status_code == 403
    assert len(inbox.newest()) == 1


async def test_all_that_is_configured_is_asked_for(http: httpx.AsyncClient) -> None:
    """With both secrets configured, one of them is not enough."""
    assert (await http.post(f"/both/{TOKEN}", json=EVENT)).status_code == 403
    assert (await http.post("/both", json=EVENT | SIGNED)).status_code == 403
    assert (await http.post(f"/both/{TOKEN}", json=EVENT | SIGNED)).status_code == 200


async def test_refusals_are_told_to_who_operates_airflow(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says why a callback was rejected; many rejections do not flood it."""
    counted: list[str] = []
    monkeypatch.setattr(metrics, "count", lambda name, **tags: counted.append(tags["reason"]))
    reasons = {
        "/unknown": "the connection does not exist",
        "/open": "neither a SignKey nor a callback token",
        "/token/wrong": "its token is missing or wrong",
        "/signed": "it is not signed",
    }
    for path in reasons:
        await http.post(path, json=EVENT)
    await http.post("/signed", json=EVENT | TAMPERED)
    told = [record.getMessage() for record in caplog.records if "was rejected" in record.getMessage()]
    assert len(told) == len(counted) == 5
    for line, words in zip(told, [*reasons.values(), "its signature is wrong or has expired"], strict=True):
        assert words in line
    for _ in range(50):
        await http.post("/signed", json=EVENT)
    assert sum("was rejected" in record.getMessage() for record in caplog.records) < 20
    assert len(counted) == 55


async def test_refusals_look_alike(http: httpx.AsyncClient) -> None:
    """An unknown connection, an invalid id, a connection without a secret and a wrong signature get the same answer."""
    paths = ("/unknown", "/open", "/signed", "/token", "/%00", "/a%2Fb", "/" + "x" * 300)
    answers = [await http.post(path, json=EVENT | TAMPERED) for path in paths]
    assert {(answer.status_code, answer.content, tuple(sorted(answer.headers))) for answer in answers} == {
        (403, b"", tuple(sorted(answers[0].headers)))
    }


async def test_both_forms_are_received(http: httpx.AsyncClient, inbox: InboxStore) -> None:
    """Both formats of an event are the same event."""
    from airflow_vod.emulator.legacy import legacy_form

    for event in (concat_event("Concat-1"), procedure_event("task", "FINISH")):
        for body in (dict(event.raw), legacy_form(event.raw)):
            assert (await http.post("/signed", json=body | SIGNED)).status_code == 200
    assert len(inbox.newest()) == 2


async def test_garbage_is_kept(http: httpx.AsyncClient, inbox: InboxStore) -> None:
    """An authenticated body that is not an event is 400, and kept with the reason."""
    for body in (b"", b"not JSON", b"[1]", b"\xff\xfe", b'{"EventType": "x"}', b"[" * 100_000):
        assert (await http.post(f"/token/{TOKEN}", content=body)).status_code == 400
    kept = inbox.newest(unparsed=True)
    assert len(kept) == 6
    assert all(event.error for event in kept)
    assert max(len(event.text) for event in kept) <= 2 * redaction.UNPARSED_KEPT


async def test_garbage_is_bounded(inbox: InboxStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of such bodies kept per hour is limited; events are still received."""
    monkeypatch.setattr(callbacks, "UNPARSED_PER_HOUR", 3)
    async with client(lambda: inbox) as http:
        for number in range(5):
            assert (await http.post(f"/token/{TOKEN}", content=f"garbage {number}")).status_code == 400
        assert len(inbox.newest(unparsed=True)) == 3
        assert (await http.post(f"/token/{TOKEN}", json=EVENT)).status_code == 200


async def test_garbage_without_proof_is_not_kept(http: httpx.AsyncClient, inbox: InboxStore) -> None:
    """Unauthenticated bodies are not kept."""
    assert (await http.post("/signed", content=b"not JSON")).status_code == 403
    assert inbox.newest() == []


async def test_the_first_that_proves_itself_is_told_of(inbox: InboxStore) -> None:
    """The hook for the first callback runs once, for an authenticated one only."""
    told: list[int] = []
    app = create_app(
        connections=Connections(SETTINGS.get), inbox=lambda: inbox, on_first_callback=lambda: told.append(1)
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://airflow/callbacks") as http:
        assert (await http.post("/token/wrong", json=EVENT)).status_code == 403
        assert told == []
        for _ in range(2):
            assert (await http.post(f"/token/{TOKEN}", json=EVENT)).status_code == 200
    assert told == [1]


async def test_too_large(http: httpx.AsyncClient, inbox: InboxStore) -> None:
    """A body over the limit is refused, whether or not its length is declared; one at the limit is read."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b" " * 65536

    assert (await http.post(f"/token/{TOKEN}", content=b" " * (bodies.MAX_BODY + 1))).status_code == 413
    assert (await http.post(f"/token/{TOKEN}", content=pieces())).status_code == 413
    padded = json.dumps(EVENT).encode().ljust(bodies.MAX_BODY)
    assert (await http.post(f"/token/{TOKEN}", content=padded)).status_code == 200
    assert len(inbox.newest()) == 1


async def test_a_body_that_does_not_come(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that does not arrive in time is 408."""
    monkeypatch.setattr(bodies, "TIMEOUT", 0.05)

    async def never() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    assert (await http.post(f"/token/{TOKEN}", content=never())).status_code == 408


@pytest.mark.parametrize("error", [InboxUnavailableError("locked"), OSError("disk")])
async def test_inbox_down(error: Exception) -> None:
    """When the event cannot be stored, 503 asks the sender to retry."""
    async with client(lambda: Broken(error)) as http:
        answer = await http.post(f"/token/{TOKEN}", json=EVENT)
    assert (answer.status_code, answer.content) == (503, b"")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
async def test_only_post(http: httpx.AsyncClient, method: str) -> None:
    """Other methods are refused."""
    assert (await http.request(method, "/signed")).status_code == 405


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)
_events = st.fixed_dictionaries(
    {"EventType": st.sampled_from(["ConcatComplete", "ProcedureStateChanged", "New"]) | _json},
    optional={"ConcatCompleteEvent": _json, "eventType": _json, "data": _json, "Sign": _json, "T": _json},
)
_bodies = st.binary(max_size=200) | st.builds(lambda value: json.dumps(value).encode(), _json | _events)
_paths = st.text(max_size=20).map(lambda text: "/" + quote(text, safe=""))
_words = st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass").hex())


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    body=_bodies,
    path=st.sampled_from([f"/token/{TOKEN}", "/signed", "/open", "/unknown"]) | _paths,
    query=st.dictionaries(st.sampled_from(["token", "Sign", "T", "x"]), st.text(max_size=20)),
    headers=st.dictionaries(st.sampled_from(["Sign", "T", "Content-Type", "Content-Length-X"]), _words),
)
def test_nothing_makes_it_fail(inbox: InboxStore, body: bytes, path: str, query: Any, headers: Any) -> None:
    """Any request to any path gets one of the intended statuses, and raises no exception."""

    async def post() -> int:
        async with client(lambda: inbox) as http:
            return (await http.post(path, content=body, params=query, headers=headers)).status_code

    assert asyncio.run(post()) in {200, 400, 403, 404, 413}


# What strangers cost


async def test_nothing_of_a_stranger_is_parsed(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body is parsed only after its sender has proven itself, be it by a signature in that very body."""
    parsed: list[bytes] = []
    monkeypatch.setattr(callbacks, "load", lambda body: parsed.append(body) or redaction.load(body))
    large = json.dumps(EVENT | {"x": "x" * 900_000}).encode()
    for path in ("/unknown", "/open", "/signed", "/token/wrong", "/both", f"/both/{TOKEN}"):
        for body in (large, json.dumps(EVENT | TAMPERED | {"x": [{"T": NOW + 700}] * 50}).encode()):
            assert (await http.post(path, content=body)).status_code == 403
    assert parsed == []
    assert (await http.post("/signed", json=EVENT | SIGNED)).status_code == 200
    assert len(parsed) == 1


async def test_a_signature_counts_only_at_the_top_of_a_body(http: httpx.AsyncClient, inbox: InboxStore) -> None:
    """A right signature somewhere inside a body is content, not a proof."""
    for body in ({"x": SIGNED}, [SIGNED], EVENT | {"UserData": json.dumps(SIGNED)}):
        assert (await http.post("/signed", json=body)).status_code == 403
    assert inbox.newest() == []


async def test_every_refusal_takes_the_same_time(inbox: InboxStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a connection exists cannot be told by a clock: cached or not, with a slow secrets backend, all wait alike."""
    monkeypatch.setattr(callbacks, "REFUSED_AFTER", 2.0)

    def slow(conn_id: str) -> VodSettings | None:
        time.sleep(0.5)
        return SETTINGS.get(conn_id)

    app = create_app(connections=Connections(slow), inbox=lambda: inbox, clock=lambda: NOW)
    took = []
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://airflow/callbacks") as http:
        for path in ("/unknown", "/signed", "/signed", "/token/wrong", "/open", "/" + "x" * 300):
            began = time.monotonic()
            assert (await http.post(path, json=EVENT | TAMPERED)).status_code == 403
            took.append(time.monotonic() - began)
        began = time.monotonic()
        assert (await http.post("/signed", json=EVENT | SIGNED)).status_code == 200
        assert time.monotonic() - began < 2
    assert min(took) >= 1.99
    assert max(took) - min(took) < 0.45


async def test_refusals_that_are_held_are_bounded(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a number of refusals that wait for their time, further ones are sent at once."""
    monkeypatch.setattr(callbacks, "REFUSED_AFTER", 30.0)
    monkeypatch.setattr(callbacks, "MAX_HELD", 3)
    held = [asyncio.create_task(http.post("/signed", json=EVENT)) for _ in range(3)]
    await asyncio.sleep(0.2)
    assert (await asyncio.wait_for(http.post("/signed", json=EVENT), 10)).status_code == 403
    assert not any(task.done() for task in held)
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)


async def test_a_body_that_is_broken_off(inbox: InboxStore, caplog: pytest.LogCaptureFixture) -> None:
    """A client that goes away in the middle of a body leaves no traceback in the log and no event in the inbox."""
    app = create_app(connections=Connections(SETTINGS.get), inbox=lambda: inbox, clock=lambda: NOW)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    for path in ("/callbacks/unknown", "/callbacks/signed", f"/callbacks/token/{TOKEN}"):
        messages = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])

        async def receive(messages: Any = messages) -> Any:
            return next(messages)

        scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
        await app(scope | {"headers": [], "app": app}, receive, send)
    assert [message["status"] for message in sent if message["type"] == "http.response.start"] == [400] * 3
    assert "Traceback" not in caplog.text
    assert inbox.newest() == []


async def test_unproven_bodies_are_read_a_few_at_a_time(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While strangers hold all places for large bodies, a small signed one and one with a token in its URL still get through."""
    monkeypatch.setattr(bodies, "TIMEOUT", 3.0)

    async def never() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    strangers = [asyncio.create_task(http.post("/signed", content=never())) for _ in range(4 * bodies.LARGE_AT_ONCE)]
    await asyncio.sleep(0.2)
    assert (await asyncio.wait_for(http.post("/signed", json=EVENT | SIGNED), 2)).status_code == 200
    assert (await asyncio.wait_for(http.post(f"/token/{TOKEN}", json=EVENT), 2)).status_code == 200
    assert {answer.status_code for answer in await asyncio.gather(*strangers)} == {408}


# What is kept

FILLER = "x" * (2 * redaction.UNPARSED_KEPT)


@pytest.mark.parametrize(
    "body",
    [
        EVENT | SIGNED | {"token": TOKEN, "key": KEY},
        SIGNED | {"token": TOKEN},
        SIGNED | {"x": FILLER},
        {"x": FILLER} | SIGNED,
        [SIGNED, {"a": {"sign": SIGNED["Sign"]}}],
        json.dumps(SIGNED),
        f"Sign={SIGNED['Sign']}&T={SIGNED['T']}&token={TOKEN} {FILLER}",
        f"not JSON {json.dumps(SIGNED)}",
    ],
)
async def test_no_proof_is_kept(http: httpx.AsyncClient, inbox: InboxStore, body: Any) -> None:
    """No signature, key or token that came in a body is stored, be the body an event, JSON or garbage, short or long."""
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    for path in (f"/token/{TOKEN}", f"/both/{TOKEN}?Sign={SIGNED['Sign']}&T={SIGNED['T']}"):
        assert (await http.post(path, content=content)).status_code in (200, 400)
    stored = inbox.newest()
    assert len(stored) == 2
    for event in stored:
        text = f"{event.text} {event.error}"
        known = (SIGNED["Sign"], TOKEN, KEY) if event.queue == "3" else (SIGNED["Sign"], TOKEN)
        assert not [secret for secret in known if str(secret) in text]


@pytest.mark.parametrize("end", [b"garbage", b"]", b"{}", b"\xff"])
async def test_the_beginning_of_a_body_is_no_event(http: httpx.AsyncClient, inbox: InboxStore, end: bytes) -> None:
    """What is no event as a whole is none in part: neither now, nor when what was kept of it is read again."""
    body = json.dumps(EVENT).encode().ljust(redaction.UNPARSED_KEPT + 100) + end
    assert (await http.post(f"/token/{TOKEN}", content=body)).status_code == 400
    [kept] = inbox.newest()
    assert (kept.finished, kept.vod_task_id) == (False, None)
    assert kept.error
    assert isinstance(read_event(kept.body), UnparsedEvent)
    assert "Concat-1" in kept.body
