"""``make test-versions``: the wheel on every supported Airflow, installed as a user would; fails unless all checks passed.

Invariant: what cannot be had (a Python, an index that answers) is no failure, but is said: NOT RUN.

It runs in the project's own environment, whose tests are all that there are, and needs uv, which it installs where there is none.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.versions.installation import CHECKS, ROOT, WORK, Installation, NotRunError, python_of
from tests.versions.table import EDGE, ROWS, SKIPS, Row, counted


def main() -> int:
    """Check all rows, some at a time, and print what came of them."""
    parser = argparse.ArgumentParser(prog="make test-versions", description=__doc__)
    parser.add_argument(
        "--beside", type=int, default=3, help="installations at a time: their tests wait more than they compute"
    )
    parser.add_argument("--only", default="", help="rows that have this in their name, such as 3.1.8")
    parser.add_argument("--some", action="store_true", help="the few rows that stand for all, briefly")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no check after that")
    given = parser.parse_args()
    began_monotonic = time.monotonic()
    WORK.mkdir(parents=True, exist_ok=True)
    rows = [row for row in ROWS if given.only in str(row) and (row.some or not given.some)]
    missing = {row: f"This machine has no Python {row.python}" for row in rows if python_of(row.python) is None}
    try:
        uv = find_uv()
    except NotRunError as error:
        print(f"NOT RUN: all versions. {error}.")
        return 0
    wheel, names = build(), collect()
    if stale := [skip.tests for skip in SKIPS if not counted(skip, names)]:
        parser.error(f"there are no such tests to skip: {', '.join(stale)}")
    deadline_monotonic = began_monotonic + given.minutes * 60
    installed = [
        Installation(row, uv, wheel, names, deadline_monotonic, given.some) for row in rows if row not in missing
    ]
    with ThreadPoolExecutor(given.beside) as beside:
        list(beside.map(Installation.check_all, installed))
    missing |= {each.row: each.not_run for each in installed if each.not_run}
    report(installed, missing, names)
    print(f"{time.monotonic() - began_monotonic:.0f} s")
    return 1 if any(each.problems for each in installed) else 0


def find_uv() -> str:
    """Answer the program uv; where there is none, pip installs one into an environment of its own.

    :raises NotRunError: it cannot.
    """
    if found := shutil.which("uv"):
        return found
    program = WORK / "uv" / "bin" / "uv"
    if not program.exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", str(program.parents[1])], check=True)
            subprocess.run([str(program.with_name("pip")), "install", "--quiet", "uv>=0.9.17"], check=True)
        except subprocess.CalledProcessError as error:
            raise NotRunError(f"There is no uv here, and pip cannot install it: {error}") from None
    return str(program)


def build() -> Path:
    """Build the wheel of this checkout."""
    shutil.rmtree(WORK / "dist", ignore_errors=True)
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(WORK / "dist"), str(ROOT)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    [wheel] = (WORK / "dist").glob("*.whl")
    return wheel


def collect() -> list[str]:
    """Answer the names of the tests of the edge; the project's own environment has a new Airflow, so those are all."""
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-o", "addopts=", *EDGE]
    said = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [line for line in said.splitlines() if "::" in line]


def report(installed: Sequence[Installation], missing: Mapping[Row, str], names: Sequence[str]) -> None:
    """Print the table, and what is skipped and why."""
    print(f"\n| Airflow | Python | {' | '.join(CHECKS)} | seconds |\n|{'---|' * (len(CHECKS) + 3)}")
    for each in installed:
        airflow = f"{each.row.airflow}{', the lowest of all' if each.row.lowest else ''}"
        cells = [airflow, each.row.python, *(each.cells.get(name, "–") for name in CHECKS), f"{each.seconds:.0f}"]
        print(f"| {' | '.join(cells)} |")
    for row, why in missing.items():
        print(f"NOT RUN: {row}. {why}.")
    print("\n| before Airflow | tests skipped | because there |\n|---|---|---|")
    for before, why in dict.fromkeys((skip.before, skip.why) for skip in SKIPS):
        skipped = [skip for skip in SKIPS if (skip.before, skip.why) == (before, why)]
        print(f"| {before} | {sum(len(counted(skip, names)) for skip in skipped)} | {why} |")


if __name__ == "__main__":
    sys.exit(main())
