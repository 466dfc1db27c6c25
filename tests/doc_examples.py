"""Finds the examples in README and docs.

Invariant: every fenced block is one. A block that cannot be run says why, in a comment right before it:

    <!-- not run: needs a network -->
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in page.parts),
]

_FENCE = re.compile(
    r"^(?:[ ]*<!-- not run: (?P<why>[^>]+?) -->\n\s*)?^(?P<indent> *)```(?P<language>[^\n]*)\n(?P<text>.*?)^ *```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Example:
    """A fenced block.

    :param page: the file, relative to the project.
    :param line: of its fence.
    :param language: such as ``python``; empty for none.
    :param text: without the indentation of the fence.
    :param why_not: why it is not run; empty if it is.
    """

    page: str
    line: int
    language: str
    text: str
    why_not: str


def examples(page: Path) -> list[Example]:
    """Answer the examples of a page, in its order."""
    content = page.read_text()
    return [
        Example(
            str(page.relative_to(ROOT)),
            content[: found.start("language")].count("\n") + 1,
            found["language"].strip(),
            textwrap.dedent(found["text"]),
            found["why"] or "",
        )
        for found in _FENCE.finditer(content)
        if not found["language"].startswith("{")  # a directive of Sphinx
    ]


def of_language(*languages: str) -> dict[str, list[Example]]:
    """Answer the examples that are run, by page."""
    by_page = {
        str(page.relative_to(ROOT)): [
            each for each in examples(page) if each.language in languages and not each.why_not
        ]
        for page in PAGES
    }
    return {page: found for page, found in by_page.items() if found}
