"""People see events arrive, look for them and into them; whatever strangers sent stays text."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from airflow_vod.events.parse import read_event
from airflow_vod.inbox import InboxStore
from tests.acceptance.airflow import Airflow
from tests.ui.conftest import TOKEN, log_in

QUEUE = "1500012345"
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def splice(vod_task_id: str, code: int = 0, **more: Any) -> dict[str, Any]:
    """A ConcatComplete event."""
    file = {"ErrCode": code, "Message": "", "FileId": f"F-{vod_task_id}", "FileUrl": "http://example.com/f0.mp4"}
    return {
        "EventType": "ConcatComplete",
        "ConcatCompleteEvent": {"TaskId": vod_task_id, "FileInfoSet": [file], **more},
    }


def call_back(airflow: Airflow, event: dict[str, Any]) -> None:
    """Let VOD announce an event."""
    url = f"http://127.0.0.1:{airflow.port}/tencent-vod/callbacks/vod_default/{TOKEN}"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(event).encode(), method="POST")) as answer:
        assert answer.status == 200


def row(page: Page, text: str) -> Any:
    """The row of the list that shows a text."""
    return page.locator("#events tbody tr", has_text=text)


def test_an_event_is_seen_to_arrive(page: Page, airflow: Airflow) -> None:
    """A callback's event appears by itself, unread, with its outcome and source."""
    call_back(airflow, splice("Concat-arrives", code=4))
    arrived = row(page, "Concat-arrives")
    expect(arrived).to_be_visible(timeout=15_000)
    expect(arrived).to_contain_text("failed")
    expect(arrived).to_contain_text("callback")
    assert "unread" in (arrived.get_attribute("class") or "")
    expect(page.locator("#relays")).to_contain_text(QUEUE)
    page.locator("#over-time summary").click()
    expect(page.locator("#history .failed[height]:not([height='0'])").first).to_be_attached(timeout=15_000)


@pytest.mark.parametrize(
    ("queue", "says", "in_queue", "caught_up"),
    [
        ("silent", {}, r"–", r"–"),
        ("new", {"last_pull_at": None, "caught_up_at": None, "in_queue": None, "in_queue_at": None}, r"–", r"–"),
        (
            "calm",
            {"last_pull_at": -2, "caught_up_at": -2, "in_queue": 1, "in_queue_at": -2},
            r"1 event, as .+",
            r".+ ago",
        ),
        ("untold", {"last_pull_at": -2, "caught_up_at": -3}, r"–", r".+ ago"),
        (
            "late",
            {"last_pull_at": -2, "caught_up_at": -300, "in_queue": 42, "in_queue_at": -200},
            r"42 .+ 3 min ago",
            r"no, .+",
        ),
        (
            "never",
            {"last_pull_at": -2, "caught_up_at": None, "in_queue": 5, "in_queue_at": -20},
            r"5 events, .+ ago",
            r"–",
        ),
    ],
)
def test_how_far_behind(
    page: Page, store: InboxStore, queue: str, says: dict[str, float | None], in_queue: str, caught_up: str
) -> None:
    """Each queue tells how much VOD still has and since when the relay is behind, as far as anybody knows."""
    store.receive(queue, [read_event(splice(f"Concat-{queue}"))], "pull")
    now = time.time()
    info = {name: now + value if value is not None and value < 0 else value for name, value in says.items()}
    store.leases.acquire(queue, "relay-1", 600, info=info)
    card = page.locator(".card", has_text=f"Queue {queue}")
    for name, text in (("In VOD's queue", in_queue), ("Caught up", caught_up)):
        fact = card.locator(f'dt:text-is("{name}") + dd')
        expect(fact).to_have_text(re.compile(f"^{text}$"), timeout=60_000)
    expect(card).to_have_class(re.compile(r"\bwarn\b" if caught_up.startswith("no") else r"\bgood\b"))


def test_search_and_filters(page: Page, store: InboxStore) -> None:
    """The list narrows to a VOD task id, a file id, an outcome, what is unread or cannot be read; Clear shows all again."""
    store.receive(
        QUEUE, [read_event(splice("Concat-s1")), read_event(splice("Concat-s2", 4)), read_event("garbage")], "pull"
    )
    rows = page.locator("#events tbody tr")
    page.locator("#search").fill("Concat-s1")
    expect(rows).to_have_count(1)
    page.locator("#search").fill("F-Concat-s2")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("Concat-s2")
    page.locator("#search").fill("no such task")
    expect(rows).to_have_count(0)
    expect(page.locator("#empty")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(row(page, "Concat-s1")).to_be_visible()
    page.locator("#outcome").select_option("failed")
    expect(row(page, "Concat-s1")).to_have_count(0)
    expect(row(page, "Concat-s2")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    page.get_by_label("Not readable").check()
    expect(rows).to_have_count(1)


def test_a_link_opens_the_page_at_its_event(page: Page, store: InboxStore) -> None:
    """What to look for may stand in the address, quoted; it fills the fields, runs nothing, and Clear shows all again."""
    hostile = HOSTILE + "&event_type=x#"
    store.receive(QUEUE, [read_event(splice("Concat-linked")), read_event(splice(hostile))], "pull")
    rows, address = page.locator("#events tbody tr"), page.url
    for vod_task_id in ("Concat-linked", hostile):
        page.goto(f"{address}?{urlencode({'search': vod_task_id, 'event_type': 'ConcatComplete', HOSTILE: HOSTILE})}")
        expect(rows).to_have_count(1)
        expect(rows.first).to_contain_text(vod_task_id)
        expect(page.locator("#search")).to_have_value(vod_task_id)
        expect(page.locator("#event_type")).to_have_value("ConcatComplete")
    assert page.title() == "VOD events"
    page.get_by_role("button", name="Clear").click()
    expect(row(page, "Concat-linked")).to_be_visible()


def test_an_event_opens_by_keyboard_and_is_replayed(page: Page, store: InboxStore) -> None:
    """Slash goes to the search, Tab and Enter open an event, Escape closes it; replay makes it the newest, unread."""
    [received] = store.receive(QUEUE, [read_event(splice("Concat-replay"))], "pull")
    store.mark_read(QUEUE, [received.position], "dag/run/wait")
    page.keyboard.press("/")
    page.keyboard.type("Concat-replay")
    expect(page.locator("#events tbody tr")).to_have_count(1)
    page.locator("#events tbody button").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    expect(dialog.locator("#body")).to_contain_text('"TaskId": "Concat-replay"')
    expect(dialog).to_contain_text("dag/run/wait")
    dialog.get_by_role("button", name="Replay").click()
    expect(dialog.locator("#detail-status")).to_contain_text("Replayed")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    [event] = store.newest(vod_task_id="Concat-replay")
    assert event.position > received.position
    assert event.read_by is None


def test_hostile_content_is_harmless(page: Page, store: InboxStore) -> None:
    """Markup in ids, types, readers and bodies is shown as text and runs nothing."""
    event = read_event(splice(HOSTILE, SessionContext=HOSTILE))
    odd = read_event({"EventType": HOSTILE, "Odd": {"TaskId": "Concat-odd", "x": HOSTILE}})
    received = store.receive(QUEUE, [event, odd, read_event(HOSTILE)], "callback")
    store.mark_read(QUEUE, [received[0].position], HOSTILE)
    page.reload()
    for text in (HOSTILE, "Concat-odd"):
        page.locator("#search").fill(text)
        expect(page.locator("#events tbody tr")).to_have_count(1)
        page.locator("#events tbody button").click()
        expect(page.locator("#body")).to_contain_text("onerror")
        page.locator("#close").click()
    assert page.title() == "VOD events"
    assert page.locator("tbody img, tbody script, #detail img, #detail script").count() == 0


def test_scripts_of_others_do_not_run(page: Page, airflow: Airflow) -> None:
    """Even markup that got into the page could run no script, and load nothing from elsewhere."""
    answer = page.request.get(page.url)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.locator("#status:not(:empty)").wait_for()
    assert {url.split("/tencent-vod/")[0] for url in asked} == {f"http://127.0.0.1:{airflow.port}"}


def test_pages_and_export(page: Page, store: InboxStore) -> None:
    """Older events are a page away; the export is a file with all of them."""
    store.receive(QUEUE, [read_event(splice(f"Concat-many-{number:03}")) for number in range(120)], "pull")
    page.reload()
    rows = page.locator("#events tbody tr")
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="Older").click()
    expect(row(page, "Concat-many-050")).to_be_visible()
    page.get_by_role("button", name="Newest").click()
    expect(row(page, "Concat-many-119")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Export").click()
    lines = download.value.path().read_text().splitlines()
    assert len(lines) == len(store.newest(limit=1000))
    assert json.loads(lines[0])["vod_task_id"] == "Concat-many-119"


def test_in_airflows_navigation(context: BrowserContext, airflow: Airflow) -> None:
    """The page is in the menu, and works inside Airflow's frame."""
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{airflow.port}/")
    page.get_by_role("button", name="Browse").click()
    page.get_by_role("menuitem", name="VOD events").click()
    frame = page.frame_locator("iframe[title='VOD events']")
    expect(frame.get_by_role("heading", name="VOD events")).to_be_visible(timeout=20_000)
    expect(frame.locator("#status")).not_to_be_empty(timeout=20_000)
    page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_airflows_theme_is_followed(page: Page, theme: str) -> None:
    """What was chosen in Airflow wins over the system's setting."""
    page.evaluate("theme => localStorage.setItem('theme', theme)", theme)
    page.emulate_media(color_scheme="light" if theme == "dark" else "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", theme)
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 21, 27)"
    page.evaluate("localStorage.removeItem('theme')")
    assert dark is (theme == "dark")


def test_who_may_not(browser: Browser, airflow: Airflow) -> None:
    """Without login, or without the permission to read connections, nothing is shown."""
    url = f"http://127.0.0.1:{airflow.port}/tencent-vod"
    with browser.new_context() as stranger:
        for path in ("events", "static/events.js", "api/events", "api/export", "api/queues", "api/history"):
            assert stranger.request.get(f"{url}/{path}").status == 401
    with browser.new_context() as viewer:
        log_in(viewer, airflow, "viewer")
        assert viewer.request.get(f"{url}/api/events").status == 403


def test_other_sites_change_nothing(context: BrowserContext, airflow: Airflow, store: InboxStore) -> None:
    """A replay needs the header that other sites cannot send, and no other origin."""
    [received] = store.receive(QUEUE, [read_event(splice("Concat-csrf"))], "pull")
    url = f"http://127.0.0.1:{airflow.port}/tencent-vod/api/replay"
    body, ours = {"queue": QUEUE, "position": received.position}, {"X-Requested-With": "vod-events"}

    def post(headers: dict[str, str]) -> int:
        return context.request.post(url, data=body, headers=headers).status

    assert post({}) == 403
    assert post(ours | {"Origin": "https://evil.example"}) == 403
    assert post(ours | {"Sec-Fetch-Site": "cross-site"}) == 403
    assert store.get(QUEUE, received.position) is not None
    assert post(ours) == 200
