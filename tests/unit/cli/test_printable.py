"""What a terminal would obey is not printed."""

from __future__ import annotations

import pytest

from airflow_vod.cli.printable import printable


@pytest.mark.parametrize("evil", ["\x1b[2J", "\n", "\r", "\u202e", "\u2066", "\x9b", "\x07", "\ud800"])
def test_what_a_terminal_would_obey(evil: str) -> None:
    """Escape sequences, new lines and marks of direction become a sign that something was there."""
    assert printable(f"a{evil}b").startswith("a\ufffd")
    assert evil[0] not in printable(f"a{evil}b")


def test_letters_stay() -> None:
    """Whatever the script."""
    assert printable("视频 é 🎬 a b") == "视频 é 🎬 a b"
