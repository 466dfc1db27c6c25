"""What commands print for people.

Invariant: text that came from VOD, from strangers or from the inbox stays on its line and moves no cursor: whatever is not
printable in it, line breaks and marks that turn the direction of writing included, is shown as an escape.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from airflow_vod.exceptions import printable

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def age(seconds: float) -> str:
    """Write a time span in its two largest units, as ``3 d 4 h``, ``12 min 5 s`` or ``7 s``.

    :param seconds: how long; less than none counts as none.
    """
    left = max(0, round(seconds))
    for position, (size, unit) in enumerate(_UNITS):
        if left >= size:
            smaller, name = _UNITS[position + 1] if position + 1 < len(_UNITS) else (1, "s")
            rest = left % size // smaller
            return f"{left // size} {unit}" + (f" {rest} {name}" if rest else "")
    return f"{left} s"


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Lay out rows in columns as wide as their widest cell.

    :param headers: one for each column.
    :param rows: cells; their text is made `printable`.
    :return: lines.
    """
    lines = [headers, *([printable(str(cell)) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
