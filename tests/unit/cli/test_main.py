"""The command, as far as it is not a subcommand's own."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from airflow_vod import __version__, cli
from airflow_vod.cli import demo
from airflow_vod.exceptions import InboxError
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


@pytest.mark.parametrize(
    "words",
    [
        "emulator --port 70000",
        "emulator --port -1",
        "emulator --callback-url foo",
        "emulator --callback-url http://user:s3cret@host:99999",
        "emulator --sign-key s3cret/with/slashes",
        "emulator --hold nan",
        "emulator --hold -1",
        "emulator --rate-limit x",
        "events list --limit -3",
        "events list --limit 0",
        "events export --limit 1e3",
        "events list --outcome fine",
        "events list --vod-task-id a\0b",
        "events list --queue \udcff",
        "events replay q 0",
        "events replay q 99999999999999999999",
        "events replay q one",
        "doctor --sub-app-id -7",
        "doctor --base-url airflow.example.com",
        "doctor --mode PUSHED",
        "doctor --conn-id \x1b[2J",
        "relay run --sub-app-id 0",
        "relay status --sub-app-id x",
    ],
)
def test_wrong_values(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A value that cannot work ends in one line that names the argument, after how it is used, and in exit status 2."""
    with pytest.raises(SystemExit, match="2"):
        cli.main(words.split(" "))
    line = capsys.readouterr().err.rstrip("\n").split("\n")[-1]
    assert "error: argument " in line
    assert line.isprintable()
    assert "s3cret" not in line


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser, and those of all its subcommands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from commands(each)


def test_help_describes_every_argument() -> None:
    """No argument of any command, the emulator's included, is without a description."""
    every = [*commands(sys.modules[cli.main.__module__]._parser())]
    bare = [
        (parser.prog, action.dest)
        for parser in every
        for action in parser._actions
        if not action.help and not isinstance(action, argparse._SubParsersAction)
    ]
    assert bare == []
    assert len(every) > 8  # they were found


def test_what_goes_wrong_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An error ends in one line without control characters and exit status 1, and an interrupt in 130, without traceback."""

    def fail(error: BaseException) -> None:
        raise error

    monkeypatch.setattr(demo, "main", lambda: fail(InboxError("a\nforged line \x1b[2J")))
    assert cli.main(["demo"]) == 1
    assert capsys.readouterr().err == "airflow-vod: a\\nforged line \\x1b[2J [inbox-error]\n"
    monkeypatch.setattr(demo, "main", lambda: fail(KeyboardInterrupt()))
    assert cli.main(["demo"]) == 130
    assert capsys.readouterr().err == ""


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
        "try: cli.main(['emulator', '--host', '256.0.0.1', '--port', '0'])\nfinally: print('MODULES', *sys.modules)"
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
