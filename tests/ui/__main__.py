"""Make the pictures of the documents: ``python -m tests.ui`` (after ``make test-ui``, which installs what that needs).

Takes more than five minutes, because the outage in the last picture lasts that long.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page

from airflow_vod.inbox import InboxStore
from tests.acceptance.processes import ROOT
from tests.ui.conftest import chromium, log_in, serve
from tests.ui.outage import waiting
from tests.ui.samples import QUEUE, fill

SIZE = {"width": 1280, "height": 900}
DOCS = ROOT / "docs"
OUTAGE = 300.0  # seconds


def main() -> None:
    """Show a day of events in a new Airflow, and then an outage, and take pictures of both."""
    with tempfile.TemporaryDirectory() as folder:
        inbox_url = f"sqlite:///{folder}/vod_inbox.db"
        store = InboxStore.open(inbox_url)
        with serve(Path(folder), inbox_url) as airflow, chromium() as browser:
            root = f"http://127.0.0.1:{airflow.port}"
            context = browser.new_context(viewport=SIZE)
            page = log_in(context, airflow, "admin")
            fill(lambda clock: InboxStore.open(inbox_url, clock=clock))
            show_day(page, root)
            show_outage(page, root, store)
        store.close()


def show_day(page: Page, root: str) -> None:
    """Take the page inside Airflow, and an event in the dark theme."""
    page.goto(f"{root}/plugin/vod-events")
    frame = page.frame_locator("iframe[title='VOD events']")
    frame.locator("#events tbody tr").first.wait_for(timeout=60_000)
    frame.locator(".card").first.wait_for(timeout=60_000)
    page.wait_for_timeout(1000)  # for what moves
    page.screenshot(path=DOCS / "vod-events.png")
    page.evaluate("localStorage.setItem('theme', 'dark')")
    page.goto(f"{root}/tencent-vod/events")
    page.locator("#events tbody button", has_text="ConcatComplete").first.click()
    page.locator("dialog #body:not(:empty)").wait_for(timeout=60_000)
    page.screenshot(path=DOCS / "vod-event-dark.png")
    page.evaluate("localStorage.removeItem('theme')")


def show_outage(page: Page, root: str, store: InboxStore) -> None:
    """Take the page while ten tasks wait and VOD has been away for five minutes."""
    with waiting(store) as (vod, _):
        vod.stop()
        time.sleep(OUTAGE)
        store.waiters.remove(
            QUEUE, [each.id for each in store.waiters.longest(QUEUE)], None
        )  # its relay is not a real one
        page.goto(f"{root}/tencent-vod/events")
        page.locator(".card.bad", has_text=f"{vod.port}/").locator("summary").click(timeout=60_000)
        page.locator("#waiters tbody tr", has_text="wait[9]").wait_for(timeout=60_000)
        page.locator("h1").click()  # nothing has the focus
        page.screenshot(path=DOCS / "images" / "outage.png")


if __name__ == "__main__":
    main()
