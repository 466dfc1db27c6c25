"""What README and docs name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(p for p in sorted(DOCS.rglob("*.md")) if "_build" not in p.parts),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link leads to a file, and every anchor to a heading of it."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(), flags=re.MULTILINE)
            slugs = [re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings]
            assert anchor in slugs, target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tests_and_modules_that_are_named_exist(page: Path) -> None:
    """Every path below the project in backticks is one."""
    for path in re.findall(r"`((?:tests|airflow_vod|dags|benchmarks|docs)/[\w./-]*)`", page.read_text()):
        assert (ROOT / path).exists(), path


def test_every_page_is_reached_from_readme() -> None:
    """README links to the index, and that to each page, in its text as in its tree."""
    assert "](docs/index.md)" in (ROOT / "README.md").read_text()
    text = (DOCS / "index.md").read_text()
    names = [str(page.relative_to(DOCS).with_suffix("")) for page in PAGES if DOCS in page.parents]
    assert [name for name in names if name != "index" and f"]({name}.md)" not in text] == []
    assert [name for name in names if name != "index" and f"\n{name}\n" not in text] == []


def test_readme_is_short_and_shows_a_dag_early() -> None:
    """README has at most 130 lines, and a DAG begins by line 25."""
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 130
    assert any(line.startswith("with DAG(") for line in lines[:25])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_in_the_docs_compiles(page: Path) -> None:
    """Every Python block is Python."""
    for number, block in enumerate(
        re.findall(r"^( *)```python\n(.*?)^ *```", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    ):
        compile(re.sub(rf"^{block[0]}", "", block[1], flags=re.MULTILINE), f"{page.name}:{number}", "exec")
