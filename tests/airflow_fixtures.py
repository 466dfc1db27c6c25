"""Fixtures around Airflow, for `conftest.py` to import."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import pytest

from airflow_vod.emulator import Emulator, EmulatorOptions
from tests import airflow_home
from tests.databases import PostgreSQLServer

if TYPE_CHECKING:
    from airflow_vod.inbox import InboxStore

SUB_APP_ID = 1500012345
INBOX_OPTION = "AIRFLOW__TENCENT_VOD__INBOX_SQL_ALCHEMY_CONN"


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """The database of this session's Airflow."""
    airflow_home.migrate(airflow_home.HOME)


@dataclass
class Vod:
    """An application of an emulator, the Airflow connection ``vod_default`` to it, and an inbox that nobody else has."""

    emulator: Emulator
    inbox_url: str
    store: InboxStore
    _set: Callable[[str, str], None] = field(repr=False)

    @property
    def queue(self) -> str:
        """Name of the application's queue in the inbox."""
        return f"{self.emulator.host}:{self.emulator.port}/{SUB_APP_ID}"

    def publish(self, event: dict[str, Any]) -> None:
        """Let an event happen."""
        self.emulator.publish(event, SUB_APP_ID)

    def publish_concat(self, vod_task_id: str, *files: str | dict[str, Any]) -> None:
        """Let a splice end; with two good files where none are given."""
        self.emulator.publish_concat(vod_task_id, files or urls_of(vod_task_id), SUB_APP_ID)

    def after_pulls(self, number: int = 1) -> None:
        """Wait until so many more pulls have been answered than now."""
        wanted = self.emulator.calls.count("PullEvents") + number
        self.emulator.wait_until(lambda: self.emulator.calls.count("PullEvents") >= wanted, 60)

    def connect(self, name: str = "vod_default", **changes: Any) -> None:
        """Set an Airflow connection; `changes` replace or, if None, remove its fields."""
        connection = json.loads(self.emulator.airflow_connection(SUB_APP_ID)) | changes
        text = json.dumps({key: value for key, value in connection.items() if value is not None})
        self._set(f"AIRFLOW_CONN_{name.upper()}", text)


def urls_of(vod_task_id: str) -> tuple[str, str]:
    """The URLs of the files that `Vod.publish_concat` gives a splice."""
    return f"http://example.com/{vod_task_id}.m3u8", f"http://example.com/{vod_task_id}.mp4"


@pytest.fixture
def vod_options() -> EmulatorOptions:
    """Options of `vod`. Pulls are held for less than VOD's 5 s, so that nothing waits for the end of one."""
    return EmulatorOptions(hold=0.2, event_switches="ON")


@pytest.fixture
def vod(vod_options: EmulatorOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vod]:
    """What a sensor needs to wait."""
    from airflow_vod.hooks.config import open_inbox
    from airflow_vod.waiting import watch as waiters

    url = f"sqlite:///{tmp_path / 'vod_inbox.db'}"
    monkeypatch.setenv(INBOX_OPTION, url)
    with Emulator(options=vod_options) as emulator:
        vod = Vod(emulator, url, open_inbox(url), monkeypatch.setenv)
        vod.connect()
        yield vod
        for watch in waiters.watches():
            watch.end()
            watch.join()
    vod.store.close()
    open_inbox.cache_clear()


@pytest.fixture(autouse=True)
def no_backstop(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is promised soon must not be saved by looks that come now and then; for the folders that import this."""
    from airflow_vod.waiting import feed, watch

    monkeypatch.setattr(watch, "LOOK_AGAIN", float("inf"))
    monkeypatch.setattr(feed, "_RENEWAL", 3600.0)


@pytest.fixture
def unsteady(postgresql: PostgreSQLServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Path, str]]:
    """An inbox in PostgreSQL that can be reached only while a link leads to the server's socket: (link, socket, URL)."""
    folder = Path(mkdtemp(prefix="vod-link-"))
    url = postgresql.inbox()
    address, _, socket = url.partition("?host=")
    link = folder / "pg"
    monkeypatch.setenv(INBOX_OPTION, f"{address}?host={link}")
    yield link, Path(socket), url
    shutil.rmtree(folder)


SENSOR_MARKS = [
    pytest.mark.usefixtures("airflow_db"),
    # Airflow's advice against it is about its scheduler, which takes no part here.
    pytest.mark.filterwarnings("ignore:Sensor .* is rescheduled every:UserWarning"),
]

MODES: dict[str, dict[str, Any]] = {
    "poke": {"poke_interval": 0.1},
    "reschedule": {"mode": "reschedule", "poke_interval": 0.1},
    "deferrable": {"deferrable": True},
}
