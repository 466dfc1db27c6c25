"""Where SQLite, PostgreSQL and MySQL differ. No other part of the inbox asks which database it talks to.

Invariant: whatever the database, a write sees everything that was committed before it acquired its lock, and ids compare
exactly.

SQLite, PostgreSQL and MariaDB are tested against the real thing. For MySQL the tests compile the statements but do not run
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from airflow_vod.exceptions import InboxError
from airflow_vod.inbox.dialects.base import Dialect
from airflow_vod.inbox.dialects.mysql import MySQL
from airflow_vod.inbox.dialects.postgresql import PostgreSQL
from airflow_vod.inbox.dialects.sqlite import SQLite

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

__all__ = ["Dialect", "dialect_of"]

_DIALECTS: Mapping[str, type[Dialect]] = {
    "sqlite": SQLite,
    "postgresql": PostgreSQL,
    "mysql": MySQL,
    "mariadb": MySQL,
}


def dialect_of(url: URL) -> Dialect:
    """Choose the dialect for a URL.

    :param url: where the inbox is.
    :raises InboxError: the inbox does not support this kind of database.
    """
    try:
        return _DIALECTS[url.get_backend_name()](url)
    except KeyError:
        raise InboxError(
            f"The inbox cannot be kept in {url.get_backend_name()!r}: "
            "point [tencent_vod] inbox_sql_alchemy_conn to SQLite, PostgreSQL or MySQL."
        ) from None
