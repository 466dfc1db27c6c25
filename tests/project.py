"""The files of this project, in a checkout as in an unpacked source distribution."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def project_files() -> set[str]:
    """List what belongs to the project, also what is not committed yet, by path below its root."""
    if not (ROOT / ".git").exists():
        return {str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file() and not _made(path)}
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return {name for name in listed if name and (ROOT / name).exists()}


def _made(path: Path) -> bool:
    inside = path.relative_to(ROOT)
    return inside.name == "PKG-INFO" or "__pycache__" in inside.parts or inside.parts[0] in _MADE


_MADE = {".venv", "build", "dist", ".ruff_cache", ".mypy_cache", ".hypothesis", ".pytest_cache"}


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this checkout.

    :param folder: an empty one to build it in.
    :return: the wheel.
    """
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    [wheel] = folder.iterdir()
    return wheel


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a source distribution.

    :return: the folder of the project.
    """
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    [project] = folder.iterdir()
    return project
