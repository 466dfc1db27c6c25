"""The benchmarks, each in its smallest form: speed is not tested, but that it is measured is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import FIGURES
from benchmarks.readings import Reading, Target

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The JSON of each figure; some run at once, for their values mean nothing here."""
    folder = tmp_path_factory.mktemp("benchmarks")
    (folder / "temporary").mkdir()

    def run(name: str) -> dict[str, Any]:
        path = folder / f"{name}.json"
        command = [sys.executable, "-m", "benchmarks", "--least", "--only", name, "--json", str(path)]
        if name == "modes":
            command += ["--before", str(ROOT)]  # there is no earlier version here, and this one will do
        environment = os.environ | {"TMPDIR": str(folder / "temporary"), "AIRFLOW__CORE__EXECUTOR": "NoSuchExecutor"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        content: dict[str, Any] = json.loads(path.read_text())
        return content | {"stdout": done.stdout}

    with ThreadPoolExecutor(4) as pool:
        results = dict(zip(FIGURES, pool.map(run, FIGURES), strict=True))
    return results | {"left": {"behind": sorted(each.name for each in (folder / "temporary").iterdir())}}


@pytest.mark.parametrize("name", FIGURES)
def test_figure(runs: dict[str, dict[str, Any]], name: str) -> None:
    """A figure has readings with value, unit, baseline and target, and the table shows each."""
    figure = runs[name]["figures"][name]
    assert figure["error"] is None
    assert figure["readings"]
    for reading in figure["readings"]:
        assert set(reading) == {"case", "value", "unit", "baseline", "against", "target", "met"}
        assert reading["value"] >= 0 or "memory" in reading["case"] or "own" in reading["case"]
        assert (reading["met"] is None) == (reading["target"] is None)
        assert (reading["baseline"] is None) == (reading["against"] == "")
    assert any(reading["baseline"] is not None for reading in figure["readings"])
    assert FIGURES[name] in runs[name]["stdout"]


def test_nothing_is_left_behind(runs: dict[str, dict[str, Any]]) -> None:
    """After a run there is no temporary folder of it."""
    assert [name for name in runs["left"]["behind"] if name.startswith("vod-")] == []


def test_missed_figure_is_no_failure() -> None:
    """A target that is missed is shown as missed, and a limit itself still keeps the target."""
    assert Reading("", 5.0, "ms", target=Target(4.9)).met is False
    assert Reading("", 5.0, "ms", target=Target(5.0)).met is True
    assert Reading("", 5.0, "/s", target=Target(5.1, at_least=True)).met is False
    assert Reading("", 5.0, "/s").met is None


def test_broken_figure_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A figure that breaks ends the command with 1, and its error stands in the JSON."""
    from benchmarks import __main__ as command
    from benchmarks.figures import inbox

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(inbox, "NEWS", 1001)  # more than a poll reads
    path = tmp_path / "bench.json"
    assert command.main(["--least", "--only", "inbox", "--json", str(path)]) == 1
    assert "the newest events are not there" in json.loads(path.read_text())["figures"]["inbox"]["error"]
