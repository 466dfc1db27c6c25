"""An inbox whose calls take virtual time and fail now and then; behind it is one real SQLite.

Invariant: a transaction is committed whole or not at all, also where its caller is told that it failed.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator

from sqlalchemy import select, text
from sqlalchemy.engine import Connection

from airflow_vod.exceptions import InboxUnavailableError
from airflow_vod.inbox.database import Database
from airflow_vod.inbox.listeners import PollingListener
from airflow_vod.inbox.news import News
from airflow_vod.inbox.schema import ensure_schema
from airflow_vod.inbox.store import InboxStore
from airflow_vod.inbox.tables import metadata, vod_event
from tests.simulation.cloud import Weather
from tests.simulation.world import Process, World


class Server:
    """The database, empty at the beginning of each world. Making its tables takes long, so worlds use it in turn."""

    def __init__(self) -> None:
        self.world: World | None = None
        self.skew = 0.0  # seconds; somebody has set its clock
        self._held = set[str]()
        self.database = Database("sqlite://", clock=self.now)
        ensure_schema(self.database)
        self.store = InboxStore(self.database)

    def now(self) -> float:
        """Unix seconds by its clock."""
        return self.skew + (self.world.time() if self.world else 0.0)

    def begin(self, world: World) -> None:
        """Empty it for a new world."""
        self.world, self.skew = world, 0.0
        self._held.clear()
        with self.database.write() as connection:
            for table in metadata.sorted_tables:
                connection.execute(table.delete())

    def vod_task_ids(self) -> list[str]:
        """What is in it, in the order of its positions."""
        with self.database.read() as connection:
            return list(connection.execute(select(vod_event.c.vod_task_id).order_by(vod_event.c.position)).scalars())

    def holds(self, vod_task_id: str) -> bool:
        """Say whether an event was committed."""
        if vod_task_id in self._held:
            return True
        with self.database.read() as connection:
            found = text("SELECT 1 FROM vod_event WHERE vod_task_id = :id")
            held = connection.execute(found, {"id": vod_task_id}).first() is not None
        if held:
            self._held.add(vod_task_id)  # nothing is removed while a world runs
        return held


def store_of(server: Server, process: Process, weather: Weather) -> InboxStore:
    """Make the inbox of one process. Its statements are the server's: making them anew would take longer than a run."""
    database = FickleDatabase(server, process, weather)
    store = copy.copy(server.store)
    store._database = database
    for name, part in vars(server.store).items():
        if hasattr(part, "_database"):
            part = copy.copy(part)
            part._database = database
            setattr(store, name, part)
    store._news = News(lambda: PollingListener(store._positions))
    return store


class FickleDatabase(Database):
    """The database as one process reaches it.

    :param server: the database itself.
    :param process: whose it is.
    :param weather: how often it fails.
    """

    def __init__(self, server: Server, process: Process, weather: Weather) -> None:
        vars(self).update(vars(server.database))  # the same engine and statements' clock
        self._process = process
        self._world = process.world
        self._weather = weather

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """See `Database.read`."""
        self._travel()
        with super().read() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """See `Database.write`."""
        self._travel()
        with super().write() as connection:
            yield connection
        if self._world.rng.random() < self._weather.after_commit:
            self._world.note(f"{self._process.name} loses the answer to a COMMIT")
            self._travel()
            raise InboxUnavailableError("the connection broke at COMMIT")
        self._world.sleep(self._world.rng.uniform(0, 0.005))

    def _travel(self) -> None:
        if not self._process.alive:
            raise InboxUnavailableError("this process is dead")
        slow = self._world.rng.uniform(0, 8) if self._world.rng.random() < self._weather.slow else 0.0
        self._world.sleep(self._world.rng.uniform(0, 0.005) + slow)
        if self._world.rng.random() < self._weather.before_commit:
            raise InboxUnavailableError("the database does not answer")
