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
from airflow_vod.inbox import InboxStore, Waiter
from airflow_vod.relay.health import trouble_of
from tests.acceptance.airflow import Airflow
from tests.relays import SUB_APP_ID
from tests.ui.conftest import TOKEN, log_in
from tests.ui.outage import age, waiting

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


def test_an_outage_is_red(page: Page, store: InboxStore) -> None:
    """While VOD is away and tasks wait, the card is red and says what `relay status` says, with the cause and since when.

    The relay that wrote it has been killed: nobody holds the lease.
    """
    with waiting(store) as (vod, process):
        queue = f"{vod.host}:{vod.port}/{SUB_APP_ID}"
        vod.stop()
        deadline = time.monotonic() + 60
        while not ((lease := store.leases.read(queue)) and lease.info.get("failure")):
            assert time.monotonic() < deadline, "the relay has not noticed"
            time.sleep(0.2)
        process.kill()
    age(store, queue, 300)
    card = page.locator(".card", has_text=queue)
    expect(card).to_have_class(re.compile(r"\bbad\b"), timeout=60_000)
    lease = store.leases.read(queue)
    assert lease is not None
    says = card.locator(".says")
    words = trouble_of(lease, 300, time.time())
    assert words
    for part in re.sub(r"\d+ s", "|", words).split("|"):
        expect(says).to_contain_text(part)
    expect(says).to_contain_text("refused")
    card.locator("summary").click()
    expect(card.locator('dt:text-is("Trouble") + dd')).to_contain_text(
        re.compile(r"pulls have failed since \d min ago: .*refused")
    )
    expect(page.locator("#waiters tbody tr", has_text="wait[9]")).to_contain_text("5 min ago")
    store.waiters.remove(queue, [each.id for each in store.waiters.longest(queue)], None)
    expect(card).not_to_have_class(re.compile(r"\bbad\b"), timeout=30_000)


def test_a_link_opens_the_page_at_its_waiter(page: Page, store: InboxStore) -> None:
    """A task that still waits is shown as a waiter, with its times and a link to its task instance; and why there is no event."""
    until = time.time() + 3 * 3600
    waiter = Waiter.of(
        "splices/manual__2026-11-26T01:02:03+00:00/wait[3]", "Concat-awaited", ("ConcatComplete",), until
    )
    store.waiters.add(QUEUE, [waiter], "owner")
    address = page.url
    page.goto(f"{address}?search=Concat-awaited&search=Concat-also")
    row = page.locator("#waiters tbody tr")
    expect(row).to_have_count(1)
    for text in ("Concat-awaited", "in 3 h", "not asked yet", waiter.waiter):
        expect(row).to_contain_text(text)
    expect(page.locator("#empty")).to_contain_text("a task waits for it")
    path = "/dags/splices/runs/manual__2026-11-26T01%3A02%3A03%2B00%3A00/tasks/wait/mapped/3"
    assert row.locator("a").evaluate("link => link.href").endswith(path)
    store.waiters.mark_asked(QUEUE, [waiter.id], "VOD does not know task <b>Concat-awaited</b>")
    expect(row).to_contain_text("VOD does not know task <b>Concat-awaited</b>", timeout=20_000)
    row.locator("a").click()
    page.wait_for_url(f"**{path}")
    page.goto(f"{address}?search=Concat-nobody")
    expect(page.locator("#empty")).to_contain_text("Search is exact")
    store.waiters.remove(QUEUE, [waiter.id], None)


def test_a_list_of_ids_and_a_time(page: Page, store: InboxStore) -> None:
    """Several ids may be looked for at once, pasted or in the address; a time filter narrows the list."""
    store.receive(QUEUE, [read_event(splice(f"Concat-l{number}")) for number in range(3)], "pull")
    rows, address = page.locator("#events tbody tr"), page.url
    page.goto(f"{address}?search=Concat-l0&search=Concat-l2")
    expect(rows).to_have_count(2)
    page.locator("#search").fill("Concat-l0, Concat-l1 F-Concat-l2")
    expect(rows).to_have_count(3)
    page.locator("#until").fill("2020-01-01T00:00")
    expect(rows).to_have_count(0)
    page.locator("#until").fill("")
    page.locator("#since").fill("2020-01-01T00:00")
    expect(rows).to_have_count(3)


def test_filters_and_the_open_event_are_in_the_address(page: Page, store: InboxStore) -> None:
    """Whoever gets the address sees the same: filters, times and the open event; closing and Clear take them out."""
    [received] = store.receive(QUEUE, [read_event(splice("Concat-shared", 4))], "pull")
    page.locator("#search").fill("Concat-shared")
    page.locator("#outcome").select_option("failed")
    page.locator("#queue").select_option(QUEUE)
    page.locator("#since").fill("2020-01-01T12:30")
    page.locator("#unread").check()
    expect(page.locator("#events tbody tr")).to_have_count(1)
    page.locator("#events tbody button").click()
    expect(page.locator("#detail")).to_be_visible()
    expect(page).to_have_url(re.compile(rf"event={received.position}"))
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.locator("#detail #body")).to_contain_text("Concat-shared")
    other.locator("#close").click()
    expect(other.locator("#events tbody tr")).to_have_count(1)
    values = {"#search": "Concat-shared", "#outcome": "failed", "#queue": QUEUE, "#since": "2020-01-01T12:30"}
    for field, value in values.items():
        expect(other.locator(field)).to_have_value(value)
    expect(other.locator("#unread")).to_be_checked()
    expect(other).not_to_have_url(re.compile(rf"event={received.position}"))
    other.get_by_role("button", name="Clear").click()
    expect(row(other, "Concat-shared")).to_be_visible()
    expect(other).to_have_url(re.compile(r"^[^?]*$"))
    other.close()


def test_the_error_is_in_the_list(page: Page, store: InboxStore) -> None:
    """What could not be read says why, in its row."""
    store.receive(QUEUE, [read_event({"EventType": "ConcatComplete", "n": "why-not"})], "pull")
    [event] = [each for each in store.newest(QUEUE, unparsed=True) if "why-not" in each.text]
    assert event.error
    expect(page.locator("#events tbody tr .why", has_text=event.error[:40]).first).to_be_visible(timeout=15_000)


def test_requests_never_overlap(page: Page, airflow: Airflow) -> None:
    """However slow the server and however busy the user, the page has one request at a time."""
    now, most = [0], [0]

    def slow(route: Any) -> None:
        now[0] += 1
        most[0] = max(most[0], now[0])
        page.wait_for_timeout(150)
        now[0] -= 1
        route.continue_()

    page.route("**/api/**", slow)
    for text in ("a", "b", "c"):
        page.locator("#search").fill(text)
        page.wait_for_timeout(400)
    page.locator("#over-time summary").click()
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#history-text")).not_to_be_empty(timeout=20_000)
    page.unroute("**/api/**")
    assert most[0] == 1


def test_the_first_screen_is_for_the_events(page: Page, store: InboxStore) -> None:
    """Relays take a line each, and the chart is closed; the list begins on the first screen. Back leads to Airflow."""
    box = page.locator("#events").bounding_box()
    assert box is not None
    assert box["y"] < 800
    expect(page.locator("#history")).to_be_hidden()
    assert page.locator("#back").evaluate("link => new URL(link.href).pathname") == "/"


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


def test_in_airflows_navigation(context: BrowserContext, airflow: Airflow, store: InboxStore) -> None:
    """The page is in the menu, and works inside Airflow's frame: filters are in the address, links lead out of the frame."""
    [received] = store.receive(QUEUE, [read_event(splice("Concat-framed"))], "pull")
    store.mark_read(QUEUE, [received.position], "splices/run-1/wait")
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{airflow.port}/")
    page.get_by_role("button", name="Browse").click()
    page.get_by_role("menuitem", name="VOD events").click()
    frame = page.frame_locator("iframe[title='VOD events']")
    expect(frame.get_by_role("heading", name="VOD events")).to_be_visible(timeout=20_000)
    expect(frame.locator("#status")).not_to_be_empty(timeout=20_000)
    expect(frame.locator("#back")).to_be_hidden()
    frame.locator("#search").fill("Concat-framed")
    page.wait_for_url(re.compile(r"/plugin/vod-events(/.*)?\?search=Concat-framed$"))
    page.reload()
    frame = page.frame_locator("iframe[title='VOD events']")
    expect(frame.locator("#search")).to_have_value("Concat-framed", timeout=20_000)
    expect(frame.locator("#events tbody tr")).to_have_count(1)
    frame.locator("#events tbody a").click()
    page.wait_for_url("**/dags/splices/runs/run-1/tasks/wait")
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
        for path in (
            "events",
            "static/events.js",
            "api/events",
            "api/export",
            "api/queues",
            "api/waiters",
            "api/history",
        ):
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
