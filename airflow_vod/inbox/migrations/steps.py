"""The steps of which migrations consist.

Invariant: a migration that broke off between two of its steps is completed by running it again. Where a database commits each
change of a table by itself, as MySQL does, what was made before is left as it is; elsewhere all was rolled back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from alembic import op
from sqlalchemy import Column, inspect

if TYPE_CHECKING:
    from sqlalchemy.sql.schema import SchemaItem


def create_table(name: str, *items: SchemaItem) -> None:
    """Make a table, unless it was made by a run that broke off.

    A table that has that name and other columns is somebody else's; it is not touched, and the database's error says so.

    :param name: of the table.
    :param items: its columns and constraints.
    """
    columns = {item.name for item in items if isinstance(item, Column)}
    if not (_may_be_half_made() and _has_table(name) and _columns(name) == columns):
        op.create_table(name, *items)


def create_index(name: str, table: str, columns: Sequence[Any], **options: Any) -> None:
    """Make an index, unless it was made by a run that broke off.

    :param name: of the index.
    :param table: its table.
    :param columns: in order.
    :param options: as ``alembic.op.create_index`` takes them.
    """
    if not (_may_be_half_made() and name in {each["name"] for each in inspect(op.get_bind()).get_indexes(table)}):
        op.create_index(name, table, list(columns), **options)


def add_column(table: str, column: Column[Any]) -> None:
    """Add a column, unless it was added by a run that broke off.

    :param table: to which.
    :param column: which.
    """
    if not (_may_be_half_made() and column.name in _columns(table)):
        op.add_column(table, column)


def _may_be_half_made() -> bool:
    context = op.get_context()
    return not (context.impl.transactional_ddl or context.as_sql)


def _has_table(name: str) -> bool:
    return inspect(op.get_bind()).has_table(name)


def _columns(table: str) -> set[str]:
    return {str(each["name"]) for each in inspect(op.get_bind()).get_columns(table)}
