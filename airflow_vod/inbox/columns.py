"""Types of columns, for the tables and for the migrations that make them.

Invariant: text is kept as it came, in any alphabet, and compares byte by byte: case, accents and trailing blanks count.

The migrations use these types too, so a change here changes what they make: a new type belongs in a new class and a new
migration.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Float, String, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles

ID_LENGTH = 255
KEY_LENGTH = 64
WORD_LENGTH = 64  # of a status


class ExactString(String):
    """Text of limited length."""


class ExactText(Text):
    """Text of any length."""


@compiles(ExactString, "mysql", "mariadb")
@compiles(ExactText, "mysql", "mariadb")
def _byte_by_byte(text: String, compiler: Any, **_: Any) -> str:
    """Name character set and collation, because the default of a server or database may be any.

    Most collations, utf8mb4_bin too, ignore trailing blanks. MySQL and MariaDB name those differently that do not.
    """
    collation = "utf8mb4_nopad_bin" if compiler.dialect.is_mariadb else "utf8mb4_0900_bin"
    name = "MEDIUMTEXT" if text.length is None else f"VARCHAR({text.length})"
    return f"{name} CHARACTER SET utf8mb4 COLLATE {collation}"


IdText = ExactString(ID_LENGTH)
LongText = ExactText()
_double = mysql.DOUBLE(asdecimal=False)
# Unix time in double precision (`Double` exists only since SQLAlchemy 2).
Seconds = Float(53).with_variant(_double, "mysql").with_variant(_double, "mariadb")
