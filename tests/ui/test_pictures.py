"""The pictures of the documentation, taken of the page as it is: ``make screenshots`` puts them where the documents show them."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from airflow_vod.inbox import InboxStore
from tests.acceptance.airflow import Airflow
from tests.doc_examples import PAGES, ROOT
from tests.ui.conftest import log_in, serve
from tests.ui.outage import waiting
from tests.ui.samples import QUEUE, fill

SIZE = {"width": 1280, "height": 900}
DOCS = os.environ.get("VOD_TEST_PICTURES", "")
OUTAGE = 300.0 if DOCS else 0.0  # seconds
DAY = {"light": "vod-events.png", "dark": "vod-events-dark.png"}
EVENT, AWAY = "vod-event-dark.png", "images/outage.png"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pictures go."""
    folder = Path(DOCS) if DOCS else tmp_path_factory.mktemp("pictures")
    (folder / "images").mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InboxStore]:
    """An inbox with a day of events."""
    url = f"sqlite:///{tmp_path_factory.mktemp('day') / 'vod_inbox.db'}"
    fill(lambda clock: InboxStore.open(url, clock=clock))
    store = InboxStore.open(url)
    yield store
    store.close()


@pytest.fixture(scope="module")
def server(store: InboxStore, tmp_path_factory: pytest.TempPathFactory, airflow_db: None) -> Iterator[Airflow]:
    """An API server of these pictures' own: their day of events would be in the way of other tests."""
    with serve(tmp_path_factory.mktemp("home"), store.url) as airflow:
        yield airflow


@pytest.fixture(scope="module")
def page(browser: Browser, server: Airflow) -> Iterator[Page]:
    """A browser's page in which an administrator is logged in."""
    context = browser.new_context(viewport=SIZE)
    yield log_in(context, server, "admin")
    context.close()


@pytest.mark.parametrize("theme", DAY)
def test_a_day_inside_airflow(page: Page, server: Airflow, folder: Path, theme: str) -> None:
    """The page in Airflow's frame, with who pulls, what waits, and the events of a day."""
    _choose(page, server, theme)
    page.goto(f"http://127.0.0.1:{server.port}/plugin/vod-events")
    frame = page.frame_locator("iframe[title='VOD events']")
    expect(frame.locator("html")).to_have_attribute("data-theme", theme, timeout=60_000)
    expect(frame.locator("#events tbody tr")).to_have_count(50, timeout=60_000)
    expect(frame.locator(".card")).to_have_count(1)
    expect(frame.locator("#waiters tbody tr")).to_have_count(1)
    page.wait_for_timeout(1000)  # for what moves
    page.screenshot(path=folder / DAY[theme])


def test_one_event(page: Page, server: Airflow, folder: Path) -> None:
    """An event with its content, in the dark theme."""
    _choose(page, server, "dark")
    page.goto(f"http://127.0.0.1:{server.port}/tencent-vod/events")
    page.locator("#events tbody button", has_text="ConcatComplete").first.click(timeout=60_000)
    page.locator("dialog #body:not(:empty)").wait_for(timeout=60_000)
    page.screenshot(path=folder / EVENT)


def test_an_outage(page: Page, server: Airflow, folder: Path, store: InboxStore) -> None:
    """Ten tasks wait, and VOD is away: for five minutes where the picture is for the documents."""
    _choose(page, server, "light")
    with waiting(store) as (vod, _):
        vod.stop()
        time.sleep(OUTAGE)
        # The relay of the day's queue is not a real one.
        store.waiters.remove(QUEUE, [each.id for each in store.waiters.longest(QUEUE)], None)
        page.goto(f"http://127.0.0.1:{server.port}/tencent-vod/events")
        page.locator(".card.bad", has_text=f"{vod.port}/").locator("summary").click(timeout=60_000)
        page.locator("#waiters tbody tr", has_text="wait[9]").wait_for(timeout=60_000)
        page.locator("h1").click()  # nothing has the focus
        page.screenshot(path=folder / AWAY)


def _choose(page: Page, server: Airflow, theme: str) -> None:
    """Choose a theme as Airflow's menu does, which keeps it in the browser."""
    page.goto(f"http://127.0.0.1:{server.port}/tencent-vod/events")
    page.evaluate("theme => localStorage.setItem('theme', theme)", theme)


def test_these_are_what_the_documents_show() -> None:
    """README and docs show each of them, and no picture that is taken nowhere."""
    shown = {
        (page.parent / name).relative_to(ROOT / "docs").as_posix()
        for page in PAGES
        for name in re.findall(r"\]\(([^)]+\.png)\)", page.read_text())
    }
    assert shown == {*DAY.values(), EVENT, AWAY}
