"""Text for a terminal.

Invariant: what VOD or strangers sent cannot move the cursor, turn the direction of writing, or begin a line of its own.
"""

from __future__ import annotations


def printable(line: str) -> str:
    """Replace what a terminal would obey instead of showing it.

    :param line: one line, of anything.
    """
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in line)
