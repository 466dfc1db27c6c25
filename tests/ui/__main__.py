"""Make the pictures of the README: ``python -m tests.ui`` (after ``make test-ui``, which installs what that needs)."""

from __future__ import annotations

import tempfile
from pathlib import Path

from airflow_vod.inbox import InboxStore
from tests.acceptance.processes import ROOT
from tests.ui.conftest import chromium, log_in, serve
from tests.ui.samples import fill

SIZE = {"width": 1280, "height": 900}


def main() -> None:
    """Show a day of events in a new Airflow, and take pictures of it."""
    with tempfile.TemporaryDirectory() as folder:
        inbox_url = f"sqlite:///{folder}/vod_inbox.db"
        InboxStore.open(inbox_url).close()
        with serve(Path(folder), inbox_url) as airflow, chromium() as browser:
            root = f"http://127.0.0.1:{airflow.port}"
            context = browser.new_context(viewport=SIZE)
            page = log_in(context, airflow, "admin")
            fill(lambda clock: InboxStore.open(inbox_url, clock=clock))
            page.goto(f"{root}/plugin/vod-events")
            frame = page.frame_locator("iframe[title='VOD events']")
            frame.locator("tbody tr").first.wait_for(timeout=60_000)
            page.wait_for_timeout(1000)  # for what moves
            page.screenshot(path=ROOT / "docs" / "vod-events.png")
            page.evaluate("localStorage.setItem('theme', 'dark')")
            page.goto(f"{root}/tencent-vod/events")
            page.locator("tbody button", has_text="ConcatComplete").first.click()
            page.locator("dialog #body:not(:empty)").wait_for(timeout=60_000)
            page.screenshot(path=ROOT / "docs" / "vod-event-dark.png")


if __name__ == "__main__":
    main()
