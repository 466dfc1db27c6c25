"""A real API server with two users, an inbox that nobody else has, and Debian's Chromium."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from airflow_vod.inbox import InboxStore
from tests.acceptance.airflow import Airflow, api_server

USERS = {"admin": "admin-password", "viewer": "viewer-password"}
TOKEN = "a-token-that-no-log-shows"


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InboxStore]:
    """The inbox that the page shows."""
    store = InboxStore.open(f"sqlite:///{tmp_path_factory.mktemp('inbox') / 'vod_inbox.db'}")
    yield store
    store.close()


@pytest.fixture(scope="session")
def airflow(store: InboxStore, tmp_path_factory: pytest.TempPathFactory, airflow_db: None) -> Iterator[Airflow]:
    """An API server that asks for a login."""
    with serve(tmp_path_factory.mktemp("home"), store.url) as airflow:
        yield airflow


def serve(home: Path, inbox_url: str) -> AbstractContextManager[Airflow]:
    """Run an API server that asks for a login.

    :param home: an empty folder.
    """
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps(USERS))
    connection = {"conn_type": "tencent_vod", "extra": {"sub_app_id": 1500012345, "callback_token": TOKEN}}
    settings = {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{name}" for name in USERS),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW_CONN_VOD_DEFAULT": json.dumps(connection),
    }
    return api_server(home, inbox_url, settings)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all."""
    with chromium() as browser:
        yield browser


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Debian's Chromium, or the one that ``CHROMIUM`` names."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert path, "There is no chromium: `apt-get install chromium`, or set CHROMIUM to one."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def log_in(context: BrowserContext, airflow: Airflow, user: str) -> Page:
    """Log in to Airflow as people do."""
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{airflow.port}/auth/login")
    page.get_by_label("Username").or_(page.locator("input[name=username]")).first.fill(user)
    page.locator("input[type=password]").fill(USERS[user])
    page.locator("button[type=submit]").click()
    page.wait_for_url(lambda url: "/auth/login" not in url, timeout=30_000)
    return page


@pytest.fixture(scope="session")
def context(browser: Browser, airflow: Airflow) -> Iterator[BrowserContext]:
    """A browser in which an administrator is logged in."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    log_in(context, airflow, "admin").close()
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, airflow: Airflow) -> Iterator[Page]:
    """The page "VOD events" by itself; whatever its console says must be nothing."""
    page = context.new_page()
    complaints: list[str] = []
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"http://127.0.0.1:{airflow.port}/tencent-vod/events")
    page.locator("#status:not(:empty)").wait_for()
    yield page
    page.close()
    assert complaints == []
