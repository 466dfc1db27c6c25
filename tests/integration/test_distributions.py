"""The source distribution and the wheel: the same bytes every time, what is in them, and whether an index takes them."""

from __future__ import annotations

import email
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from airflow_vod import __version__
from airflow_vod.get_provider_info import get_provider_info
from tests.project import ROOT, project_files, unpack

DISTRIBUTION = get_provider_info()["package-name"]
STEM = f"{DISTRIBUTION.replace('-', '_')}-{__version__}"
EPOCH = 1_700_000_000
LICENCES = ("LICENSE", "NOTICE")
DATA = {"py.typed", "inbox/migrations/script.py.mako"} | {
    f"web/static/{name}" for name in ("events.css", "events.html", "events.js", "logo.svg", "theme.js")
}


@dataclass(frozen=True)
class Built:
    """What a build made."""

    sdist: Path
    wheel: Path


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Both distributions, the wheel made from the unpacked source distribution, as installers do."""
    return _build(tmp_path_factory.mktemp("once"), umask=0o022, zone="UTC")


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Both made anew: each from the checkout, in another folder, time zone and umask, from files with other times."""
    return _build(tmp_path_factory.mktemp("again") / "deeper", "--sdist", "--wheel", umask=0o077, zone="Asia/Shanghai")


def _build(folder: Path, *what: str, umask: int, zone: str) -> Built:
    checkout, dist = folder / "checkout", folder / "dist"
    for name in sorted(project_files()):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, checkout / name)
        (checkout / name).chmod(0o666 & ~umask)
        os.utime(checkout / name, (time.time(), time.time() - umask * 86400))
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", *what, "--outdir", str(dist), str(checkout)],
        env=os.environ | {"SOURCE_DATE_EPOCH": str(EPOCH), "TZ": zone},
        umask=umask,
        check=True,
        capture_output=True,
    )
    return Built(dist / f"{STEM}.tar.gz", dist / f"{STEM}-py3-none-any.whl")


def test_the_same_bytes(once: Built, again: Built) -> None:
    """Who builds this version again gets the same files, byte by byte, wherever and from whichever form of the source."""
    assert once.sdist.read_bytes() == again.sdist.read_bytes()
    assert once.wheel.read_bytes() == again.wheel.read_bytes()


def test_the_time_is_given(once: Built) -> None:
    """The files in both carry the time of SOURCE_DATE_EPOCH."""
    with tarfile.open(once.sdist) as tar:
        assert {member.mtime for member in tar} == {EPOCH}
    given = time.gmtime(EPOCH)[:5]
    assert {file.date_time[:5] for file in zipfile.ZipFile(once.wheel).infolist()} == {given}


def test_the_source_is_whole(once: Built) -> None:
    """The source distribution holds every file of the project, and nothing that somebody made while working."""
    with tarfile.open(once.sdist) as tar:
        names = {member.name.removeprefix(f"{STEM}/") for member in tar}
    assert names == project_files() | {"PKG-INFO"}


RUN = """
import sys
import airflow_vod, pytest, tests
print(*airflow_vod.__path__, *tests.__path__)
sys.exit(pytest.main(["-q", "-p", "no:xdist", *sys.argv[1:]]))
"""


def test_tests_run_from_the_source(once: Built, tmp_path: Path) -> None:
    """Whoever has the source distribution can run the tests in it, such as those that read the project's other files."""
    project = unpack(once.sdist, tmp_path)
    some = ["tests/unit/test_docs.py", "tests/unit/test_packaging.py", "tests/unit/events/test_parse.py"]
    done = subprocess.run(
        [sys.executable, "-c", RUN, *some],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    where, *_, summary = done.stdout.splitlines()
    assert where.split() == [str(project / "airflow_vod"), str(project / "tests")]
    assert " passed" in summary


def test_the_wheel_is_whole(once: Built) -> None:
    """The wheel holds every file of the package, the example DAGs and the licences, and nothing else."""
    names = set(zipfile.ZipFile(once.wheel).namelist())
    renamed = {name.replace("dags/", "airflow_vod/example_dags/", 1) for name in project_files() if name[:5] == "dags/"}
    package = {name for name in project_files() if name.startswith("airflow_vod/")} | renamed
    described = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", *(f"licenses/{name}" for name in LICENCES)}
    assert names == package | {f"{STEM}.dist-info/{name}" for name in described}
    assert {"airflow_vod/inbox/migrations/versions/0001_first.py", "airflow_vod/py.typed"} <= names


def test_licences(once: Built) -> None:
    """Both say which licence holds and bring its text; whatever is bundled beside Python code is known, and is our own."""
    archive = zipfile.ZipFile(once.wheel)
    metadata = email.message_from_bytes(archive.read(f"{STEM}.dist-info/METADATA"))
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == list(LICENCES)
    for name in LICENCES:
        assert archive.read(f"{STEM}.dist-info/licenses/{name}") == (ROOT / name).read_bytes()
    bundled = {name for name in archive.namelist() if name.startswith("airflow_vod/") and not name.endswith(".py")}
    assert bundled == {f"airflow_vod/{name}" for name in DATA}, "name what is new, and in NOTICE if others made it"


def test_an_index_takes_them(once: Built) -> None:
    """``twine check`` has nothing to say, not even a warning."""
    command = [sys.executable, "-m", "twine", "check", "--strict", str(once.sdist), str(once.wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 2
