"""The migrations of the inbox's tables, for Alembic.

Invariants: an upgrade runs on the connection, and in the transaction, that it is given; no ``alembic.ini`` is read. One that
fails, or is cut off, can be run again.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


def config(connection: Connection | None = None) -> Config:
    """Make Alembic's configuration.

    :param connection: where to upgrade; None to read the history only.
    """
    made = Config()
    # Alembic interpolates %.
    made.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    made.attributes["connection"] = connection
    return made


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Upgrade the tables.

    :param connection: with a transaction begun; the caller commits.
    :param revision: the version to upgrade to.
    """
    command.upgrade(config(connection), revision)


def knows(revision: str) -> bool:
    """Say whether a version is one of these migrations."""
    try:
        return ScriptDirectory.from_config(config()).get_revision(revision) is not None
    except CommandError:
        return False
