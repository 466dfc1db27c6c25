"""One engine: transactions, the clock, and errors translated to those of this package.

Invariant: no error raised here contains a password.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote, quote_plus

import sqlalchemy
from sqlalchemy import bindparam, create_engine
from sqlalchemy import exc as sql
from sqlalchemy.engine import URL, Connection, make_url

from airflow_vod.exceptions import InboxError, InboxUnavailableError
from airflow_vod.inbox.columns import Seconds
from airflow_vod.inbox.dialects import Dialect, dialect_of
from airflow_vod.inbox.forks import survive_fork

if TYPE_CHECKING:
    from sqlalchemy.sql.elements import ColumnElement

OPTION = "[tencent_vod] inbox_sql_alchemy_conn"
MASK = "***"
_IS_1_4 = sqlalchemy.__version__.startswith("1.4.")


class Database:
    """The database of an inbox.

    :param url: SQLAlchemy URL.
    :param clock: returns Unix seconds, for tests; None for the database's own clock.
    :raises InboxError: the URL cannot be used.
    """

    def __init__(self, url: str, clock: Callable[[], float] | None = None) -> None:
        self._url = parse(url)
        self._secrets = _secrets(self._url)
        self.dialect: Dialect = dialect_of(self._url)
        own_clock = self.dialect.own_clock if clock is None else None
        self._clock = None if own_clock is not None else clock or time.time
        #: Unix seconds, for use in statements; pass `times()` when executing them.
        self.now: ColumnElement[float] = bindparam("now", type_=Seconds) if own_clock is None else own_clock
        try:
            self.engine = create_engine(self._url, hide_parameters=True, future=True, **self.dialect.engine_options())
            self.dialect.prepare(self.engine)
        except (sql.SQLAlchemyError, ImportError, OSError, TypeError) as error:
            raise self._unusable(error) from None
        # SQLAlchemy translates what a statement raises, but not what a change of isolation does.
        self._driver_error: type[Exception] = getattr(self.engine.dialect, "dbapi").Error  # noqa: B009 - a module
        self._reads = self.engine.execution_options(**self.dialect.read_options)
        survive_fork(self)

    @property
    def url(self) -> str:
        """The URL, without password."""
        query = {
            name: MASK if _is_secret(name) or value == self._url.password else value
            for name, value in self._url.query.items()
        }
        return self._url.set(query=query).render_as_string(hide_password=True)

    def times(self) -> dict[str, float]:
        """:return: the parameters that a statement with `now` in it needs."""
        return {} if self._clock is None else {"now": self._clock()}

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Connect for statements that only read; each sees everything committed before it.

        :raises InboxUnavailableError: the database does not answer now.
        :raises InboxError: the database refuses.
        """
        try:
            with self._reads.connect() as connection:
                yield connection
        except (sql.SQLAlchemyError, self._driver_error) as error:
            self._raise(error)

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Connect for one transaction, which is committed at the end, or rolled back if an exception is raised.

        :raises InboxUnavailableError: the database does not answer now; if the COMMIT was lost, its result is unknown.
        :raises InboxError: the database refuses.
        """
        try:
            with self.engine.begin() as connection:
                self.dialect.begin(connection)
                yield connection
        except (sql.SQLAlchemyError, self._driver_error) as error:
            self._raise(error)

    def close(self) -> None:
        """Close all connections that are not in use."""
        self.engine.dispose()

    def _raise(self, error: Exception) -> NoReturn:
        cause = error.orig if isinstance(error, sql.DBAPIError) and error.orig is not None else error
        # PostgreSQL appends the row that it refuses, so the text is truncated.
        text = self._masked(" ".join(str(cause).split()) or type(cause).__name__)[:500]
        # The driver's message may quote the password; then the traceback must not show it either.
        chained = None if self._reveals_secret(error) else error
        if self._is_transient(error, cause):
            raise InboxUnavailableError(
                f"The database of the inbox ({self.url}) cannot be used now: {text}. "
                f"This may pass; if it does not, check that {OPTION} is right and that the database is up and writable."
            ) from chained
        raise InboxError(
            f"The database of the inbox ({self.url}) refused: {text}. Check that {OPTION} is right "
            "and that its user may create, read and write tables there."
        ) from chained

    def _is_transient(self, error: Exception, cause: BaseException) -> bool:
        if isinstance(error, sql.TimeoutError):  # all connections of the pool are in use
            return True
        if isinstance(error, sql.SQLAlchemyError) and not isinstance(error, sql.DBAPIError):
            return False
        return getattr(error, "connection_invalidated", False) or self.dialect.is_transient(cause)

    def _unusable(self, error: Exception) -> InboxError:
        if isinstance(error, sql.NoSuchModuleError) and _IS_1_4 and (older := self.dialect.driver_of_1_4):
            package, scheme = older
            return InboxError(
                f"The driver for the inbox ({self.url}) is not known to SQLAlchemy 1.4, which this version of Airflow has. "
                f"Install another with `pip install {package}`, and begin {OPTION} with {scheme}://."
            )
        if isinstance(error, ImportError) and (driver := self.dialect.driver):
            extra, scheme = driver
            return InboxError(
                f"The driver for the inbox ({self.url}) is missing: {error}. Install one with "
                f"`pip install 'airflow-provider-tencent-vod[{extra}]'`, and begin {OPTION} with {scheme}://."
            )
        return InboxError(
            f"The database of the inbox ({self.url}) cannot be used: {self._masked(str(error))}. "
            f"Check {OPTION}, that the driver it names is installed, and that the folder of a file can be written to."
        )

    def _masked(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text

    def _reveals_secret(self, error: BaseException | None) -> bool:
        while error is not None:
            if self._masked(str(error)) != str(error):
                return True
            error = error.__cause__ or error.__context__
        return False

    def before_fork(self) -> None:
        """Close idle connections, where a child would rely on the parent's file locks."""
        if self.dialect.closes_at_fork:
            self.engine.dispose()

    def after_fork(self) -> Any:
        """Make a new pool in the child of a fork.

        :return: the parent's pool.
        """
        parents = self.engine.pool
        self.engine.dispose(close=False)
        return parents


def parse(url: str) -> URL:
    """Parse the URL of an inbox.

    :param url: SQLAlchemy URL.
    :raises InboxError: it is none; the message does not quote it.
    """
    try:
        parsed = make_url(url)
    except (sql.ArgumentError, ValueError, TypeError):
        # Without the cause, which may quote the URL and with it the password.
        raise InboxError(
            f"{OPTION} is not a SQLAlchemy URL, such as sqlite:////var/lib/airflow/vod_inbox.db "
            "or postgresql+psycopg://user:password@host/database, with special characters as %XX: @ as %40, : as %3A."
        ) from None
    # A password ends at its first raw @; what is left of it would be taken for host, database or query, and shown.
    if parsed.username is not None and url.count("@") > 1:
        raise InboxError(
            f"{OPTION} has an @ too many. Write special characters as %XX, in the password @ as %40 and / as %2F. The URL is "
            "not shown, because it may hold a password."
        )
    return parsed


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in ("pass", "pwd", "secret", "token"))


def _secrets(url: URL) -> list[str]:
    values = [url.password, *(value for name, value in url.query.items() if _is_secret(name))]
    plain = [str(value) for value in values if value]
    forms = {form for value in plain for form in (value, quote(value), quote(value, safe=""), quote_plus(value))}
    return sorted(forms, key=len, reverse=True)
