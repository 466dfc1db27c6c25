"""What is tried: versions, files of tests, and the tests that older versions cannot pass, with the reason.

Invariant: every test that is skipped on some version stands here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NEWEST = "2026-11-20"


@dataclass(frozen=True)
class Row:
    """One installation.

    :param airflow: version of Airflow.
    :param before: packages are of this day or older, as they were for the users of that version.
    :param python: version of Python.
    :param lowest: whether to take the lowest version that pyproject.toml admits of everything it names.
    :param some: whether it is one of the few that stand for all.
    :param retries: whether to see, in real processes, too, that a retry is not a clear; that takes minutes.
    """

    airflow: str
    before: str
    python: str = "3.11"
    lowest: bool = False
    some: bool = False
    retries: bool = False

    def __str__(self) -> str:
        return f"{self.airflow}, Python {self.python}{', lowest' if self.lowest else ''}"

    @property
    def release(self) -> tuple[int, ...]:
        """Its version, to be compared."""
        return tuple(map(int, self.airflow.split(".")))

    @property
    def drivers(self) -> tuple[str, ...]:
        """What talks to PostgreSQL. Airflow 3.0 has SQLAlchemy 1.4, which knows no psycopg 3, and takes asyncpg besides."""
        return ("psycopg2-binary", "asyncpg") if self.release < (3, 1) else ("psycopg[binary]",)


ROWS = (
    Row("3.0.6", "2025-09-01", lowest=True, some=True),
    Row("3.0.6", "2025-09-01", retries=True),
    Row("3.1.8", "2026-03-13", some=True),
    Row("3.2.2", "2026-06-15"),
    Row("3.3.2", NEWEST, retries=True),
    Row("3.3.2", NEWEST, "3.12"),
    Row("3.3.2", NEWEST, "3.13", some=True),
)
EXAMPLES = ("tests/integration/test_example_dags.py",)
RETRIES = ("tests/integration/test_submit.py", "tests/acceptance/test_submissions.py")
EDGE = (
    "tests/unit/hooks",
    "tests/unit/links",
    "tests/unit/operators",
    "tests/unit/queues",
    "tests/unit/sensors/test_base.py",
    "tests/unit/sensors/test_endings.py",
    "tests/unit/sensors/test_modes.py",
    "tests/unit/sensors/test_vod.py",
    "tests/unit/sensors/test_vod_event.py",
    "tests/unit/triggers",
    "tests/unit/test_get_provider_info.py",
    "tests/unit/test_imports.py",
)


@dataclass(frozen=True)
class Skip:
    """Tests that cannot pass on older versions.

    :param tests: how their names begin.
    :param before: the first version on which they run.
    :param why: what is not there.
    """

    tests: str
    before: str
    why: str

    def is_of(self, files: Sequence[str]) -> bool:
        """Say whether its tests are among those of files and folders."""
        return self.tests.startswith(tuple(files))

    def concerns(self, row: Row) -> bool:
        """Say whether a version is too old."""
        return row.release < tuple(map(int, self.before.split(".")))


_NO_STREAMS = "Airflow has no shared streams; `run` serves watchers"
_NO_ASET = "a trigger cannot push the result; a worker does"
_NO_START = "no sensor begins in the triggerer"
_NO_EXTRA = "of a connection whose Extra is no JSON object, Airflow says that it does not exist"
_NO_BUCKET = "Airflow's `memory://` paths have no bucket"
_INFO = "Airflow reads what each provider says of itself while it parses a DAG"
_PROXY = "Airflow shows the field `proxy`; `airflow-vod doctor` says so"
_NO_PAGE = "there is no page to link to"
SKIPS = (
    Skip("tests/unit/triggers/test_watcher_stream.py", "3.3", _NO_STREAMS),
    Skip("tests/unit/triggers/test_vod.py::test_success_ends_the_task", "3.3", _NO_ASET),
    Skip("tests/unit/triggers/test_vod.py::test_nothing_is_pushed_where_nothing_is_wanted", "3.3", _NO_ASET),
    *(
        Skip(
            f"tests/unit/sensors/test_vod.py::test_what_can_begin_in_the_triggerer[arguments{number}-True]",
            "3.3",
            _NO_START,
        )
        for number in range(4)
    ),
    *(
        Skip(f"tests/unit/hooks/test_vod.py::test_bad_connections[connection{number}-", "3.2", _NO_EXTRA)
        for number in (6, 7, 8, 9)
    ),
    Skip("tests/unit/links/test_lineage.py::test_copies", "3.2", _NO_BUCKET),
    Skip("tests/unit/test_imports.py::test_a_dag_file_loads_nothing_heavy", "3.2", _INFO),
    Skip("tests/unit/hooks/test_vod.py::test_airflow_hides_every_secret_field", "3.1", _PROXY),
    Skip("tests/unit/hooks/test_vod.py::test_a_secret_in_a_log_is_masked", "3.1", _PROXY),
    Skip("tests/unit/hooks/test_vod.py::test_what_airflow_shows_is_named", "3.1", _PROXY),
    Skip("tests/unit/links/test_vod.py", "3.1", _NO_PAGE),
    Skip("tests/unit/test_get_provider_info.py::test_every_link_is_declared", "3.1", _NO_PAGE),
)


def counted(skip: Skip, names: Sequence[str]) -> list[str]:
    """Answer the tests that a line of the table names."""
    return [name for name in names if name.startswith(skip.tests)]
