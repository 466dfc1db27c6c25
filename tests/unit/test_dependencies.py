"""What pyproject.toml declares is what the package imports; which versions of it are enough, `tests/versions` tries."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.versions.table import ROWS, SKIPS

ROOT = Path(__file__).parents[2]
# Names under which a distribution is imported, where it is not its own.
IMPORTED_AS = {
    "apache-airflow": "airflow",
    "apache-airflow-providers-common-compat": "airflow",
    "tencentcloud-sdk-python-common": "tencentcloud",
    "tencentcloud-sdk-python-vod": "tencentcloud",
}
# It comes with pydantic in exactly the version that that needs; and pytest has loaded the plugin that imports pytest.
UNDECLARED = {"pydantic_core", "pytest"}


def imported() -> Iterator[str]:
    """The packages that the package and its example DAGs import, also within functions."""
    for folder in ("airflow_vod", "dags"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    yield from (alias.name.partition(".")[0] for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                    yield node.module.partition(".")[0]


def test_imports_are_declared() -> None:
    """Nothing is imported that is not declared, and nothing declared that is not imported."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = [re.split(r"[<>=!~ \[;]", line, maxsplit=1)[0] for line in declared]
    others = set(imported()) - set(sys.stdlib_module_names) - {"airflow_vod"} - UNDECLARED
    assert others == {IMPORTED_AS.get(name, name.replace("-", "_")) for name in names}


def test_every_dependency_has_a_lower_bound() -> None:
    """Each says the lowest version that is known to do, so that it can be tried."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert [line for line in declared if ">=" not in line] == []


def test_the_lowest_airflow_is_tried() -> None:
    """`make test-versions` installs the lowest version of Airflow that is declared, with the lowest of all the others."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    [lowest] = {row.airflow for row in ROWS if row.lowest}
    assert f"apache-airflow>={lowest}" in declared
    assert lowest == min(ROWS, key=lambda row: row.release).airflow


def test_the_page_about_versions_names_what_is_tried_and_what_is_skipped() -> None:
    """A row for each installation, and one for each reason to skip tests."""
    lines = (ROOT / "docs" / "versions.md").read_text().splitlines()
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines if line.startswith("|")]
    tried = [(f"{row.airflow}{', the lowest of all' if row.lowest else ''}", row.python) for row in ROWS]
    assert [row[:2] for row in rows if row[:2] in tried] == tried
    skipped = {(skip.before, skip.why) for skip in SKIPS}
    assert {(row[0], row[-1]) for row in rows if re.fullmatch(r"3\.\d", row[0]) and row[1].isdigit()} == skipped
