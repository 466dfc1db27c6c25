"""The command, as far as it is not a subcommand's own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from airflow_vod import __version__, cli
from airflow_vod.cli import demo
from tests import airflow_home
from tests.airflow_fixtures import Vod


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """``--version`` prints the package's."""
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize("words", [[], ["no-such"], ["demo", "--no-such"], ["emulator", "--no-such"]])
def test_what_it_does_not_know(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command, or with one that is not there, it says how it is used and fails."""
    with pytest.raises(SystemExit, match="2"):
        cli.main(words)
    assert "usage: airflow-vod" in capsys.readouterr().err


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """``--help`` names every command."""
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--help"])
    out = capsys.readouterr().out
    assert [command for command in ("demo", "emulator", "relay") if command not in out] == []


def test_its_status_is_that_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command returns is what the process exits with."""
    monkeypatch.setattr(demo, "main", lambda: 7)
    assert cli.main(["demo"]) == 7


def test_the_emulator_needs_no_airflow() -> None:
    """``airflow-vod emulator`` starts without importing Airflow, the SDK or a database."""
    code = (
        "import sys\nfrom airflow_vod import cli\n"
        "try: cli.main(['emulator', '--help'])\nexcept SystemExit: print('MODULES', *sys.modules)"
    )
    environment = airflow_home.environment(airflow_home.HOME)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.rpartition("MODULES ")[2].split())
    assert "airflow_vod.emulator.server" in loaded
    assert loaded.isdisjoint({"airflow", "sqlalchemy", "tencentcloud"})


def test_answers_are_not_mixed_with_logs(vod: Vod) -> None:
    """Standard output holds the answer alone, for `jq`; what Airflow logs goes to standard error."""
    command = [sys.executable, "-m", "airflow_vod.cli.main", "relay", "status", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["queue"] == vod.queue
    assert done.stderr  # so there was something to mix
