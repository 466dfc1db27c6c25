"""One run of the benchmarks.

Invariant: figures share nothing but this: how long they may take, where databases come from, and Airflow's environment.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.databases import Databases

T = TypeVar("T")

CONNECTION = "AIRFLOW_CONN_VOD_DEFAULT"
INBOX = "AIRFLOW__TENCENT_VOD__INBOX_SQL_ALCHEMY_CONN"


@dataclass(frozen=True, slots=True)
class Bench:
    """What a figure is given.

    :param databases: for the inbox.
    :param quick: whether to take the short form: fewer cases, shorter times, rougher values.
    :param least: whether to take the shortest form in which everything still happens once; the values mean nothing.
    :param before: folder with an earlier version of the package, to measure beside this one; None for none.
    """

    databases: Databases
    quick: bool = False
    least: bool = False
    before: Path | None = None

    def pick(self, full: T, quick: T, least: T) -> T:
        """:return: what goes with the form that was chosen."""
        return least if self.least else quick if self.quick else full


@contextmanager
def airflow_home() -> Iterator[None]:
    """Give this process and its children an Airflow of their own, and nothing of what is set for another."""
    before, home = dict(os.environ), tempfile.mkdtemp(prefix="vod-bench-airflow-")
    foreign = ("AIRFLOW", "_AIRFLOW", "TENCENTCLOUD", "PYTHONDONTWRITEBYTECODE")
    try:
        for name in [name for name in os.environ if name.startswith(foreign)]:
            del os.environ[name]
        os.environ |= {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        }
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(home, ignore_errors=True)
