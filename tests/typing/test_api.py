"""The types of the public API as somebody sees them who has installed the wheel."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.project import ROOT, build_wheel

API = Path(__file__).with_name("api.py")
PYRIGHT = {
    "include": ["api.py"],
    "pythonVersion": "3.11",
    "typeCheckingMode": "strict",
    "enableTypeIgnoreComments": False,  # those are mypy's
    "reportUnnecessaryTypeIgnoreComment": "error",
}


@dataclass(frozen=True)
class Users:
    """The project of a user, in a virtual environment where the wheel is installed."""

    folder: Path
    python: Path
    installed: Path

    def check(self, checker: str, *arguments: str) -> str:
        """Run a type checker on `api.py`; return what it says, the last line of which is its verdict."""
        done = subprocess.run(
            [sys.executable, "-m", checker, *arguments], cwd=self.folder, capture_output=True, text=True, check=False
        )
        return (done.stdout + done.stderr).strip()

    def mypy(self) -> str:
        """Run mypy; its cache is kept, because it reads all that Airflow imports."""
        cache = ROOT / ".mypy_cache" / "of-a-user"
        return self.check("mypy", "--strict", f"--python-executable={self.python}", f"--cache-dir={cache}", API.name)

    def pyright(self) -> str:
        """Run pyright, in the form of basedpyright, which brings all that it needs."""
        return self.check("basedpyright", f"--pythonpath={self.python}", "--project=pyrightconfig.json")


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Users:
    """A user who has the wheel, Airflow, and none of this checkout."""
    folder = tmp_path_factory.mktemp("users")
    venv.create(folder / "venv")
    [site] = folder.glob("venv/lib/python*/site-packages")
    zipfile.ZipFile(build_wheel(tmp_path_factory.mktemp("dist"))).extractall(site)
    (site / "what_this_environment_has.pth").write_text(sysconfig.get_path("purelib"))
    shutil.copy(API, folder)
    (folder / "pyrightconfig.json").write_text(json.dumps(PYRIGHT))
    return Users(folder, folder / "venv" / "bin" / "python", site / "airflow_vod")


def test_mypy_sees_every_type(users: Users) -> None:
    """``mypy --strict`` finds the types of the public API right, and finds every mistake that is marked as one."""
    assert users.mypy() == "Success: no issues found in 1 source file"


def test_pyright_sees_every_type(users: Users) -> None:
    """So does pyright, as strict as it can be."""
    assert users.pyright().splitlines()[-1] == "0 errors, 0 warnings, 0 notes"


def test_without_the_marker_there_are_no_types(users: Users) -> None:
    """It is ``py.typed`` that makes the wheel's types count, so this test sees the wheel and not the checkout."""
    marker = users.installed / "py.typed"
    marker.rename(marker.with_suffix(".off"))
    try:
        answer = users.mypy()
    finally:
        marker.with_suffix(".off").rename(marker)
    assert "missing library stubs or py.typed marker" in answer
    assert 'Expression is of type "Any", not "str"' in answer
