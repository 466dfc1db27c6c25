"""The commands in Airflow's own command line, as `airflow` runs them."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from airflow.providers_manager import ProvidersManager

from airflow_vod.cli import definition
from airflow_vod.cli.main import _parser
from airflow_vod.get_provider_info import get_provider_info
from tests import airflow_home
from tests.airflow_fixtures import Vod

pytestmark = pytest.mark.skipif(
    not hasattr(ProvidersManager, "cli_command_functions"), reason="Airflow before 3.2 asks no provider for commands"
)
LOADED = """
import sys
import airflow.cli.cli_config
before = set(sys.modules)
from airflow_vod.cli.definition import get_cli_commands
get_cli_commands()
print("MODULES", *(set(sys.modules) - before))
"""


def airflow(*words: str) -> subprocess.CompletedProcess[str]:
    """Run Airflow's own command, with this process's connections and inbox."""
    environment = airflow_home.environment(airflow_home.HOME) | {
        name: value for name, value in os.environ.items() if name.startswith("AIRFLOW_")
    }
    command = [sys.executable, "-m", "airflow", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_airflow_runs_them(vod: Vod, airflow_db: None) -> None:
    """``airflow tencent-vod`` answers on standard output alone, and ends with the status and the one line of ``airflow-vod``."""
    status = ("relay", "status", "--json")
    with ThreadPoolExecutor(2) as together:
        answer = together.submit(airflow, definition.NAME, *status)
        unknown = together.submit(airflow, definition.NAME, "doctor", "--conn-id", "nowhere")
    own = subprocess.run(
        [sys.executable, "-m", "airflow_vod.cli.main", *status], capture_output=True, text=True, check=True
    )
    assert answer.result().returncode == 0, answer.result().stderr
    assert json.loads(answer.result().stdout).keys() == json.loads(own.stdout).keys()
    assert unknown.result().returncode == 1
    assert "nowhere" in unknown.result().stdout + unknown.result().stderr


def test_they_are_the_same() -> None:
    """Each command, with each argument and its help, is there as in ``airflow-vod``, and nothing else."""
    from airflow.cli.cli_parser import get_parser

    get_parser.cache_clear()
    [theirs] = [each for name, each in choices(get_parser()) if name == definition.NAME]
    assert dict(surface(theirs, theirs.prog)) == dict(surface(_parser(), "airflow-vod"))


def choices(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The subcommands of a parser."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def surface(parser: argparse.ArgumentParser, prog: str) -> Iterator[tuple[str, object]]:
    """What a parser takes and says, with all below it."""
    for name, child in choices(parser):
        said = child.format_help().replace(f"{prog} {name}", name) if not list(choices(child)) else None
        yield f"{prog} {name}".replace(prog, "", 1), (said and said.split(), child.get_default("run"))
        yield from ((f" {name}{path}", rest) for path, rest in surface(child, f"{prog} {name}"))


def test_airflow_starts_as_quickly() -> None:
    """Every call of ``airflow`` loads them: nothing comes with it but a few modules of ours and the standard library."""
    environment = airflow_home.environment(airflow_home.HOME)
    done = subprocess.run([sys.executable, "-c", LOADED], env=environment, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.rpartition("MODULES ")[2].split())
    ours = {name for name in loaded if name.partition(".")[0] == "airflow_vod"}
    assert "airflow_vod.cli.definition" in ours
    assert {name.partition(".")[0] for name in loaded - ours} <= sys.stdlib_module_names
    assert not [
        name for name in ours if name.split(".")[1:2] in (["tencent"], ["inbox"], ["relay"], ["web"], ["waiting"])
    ]
    assert "airflow_vod.emulator.server" not in ours


def test_the_provider_names_them() -> None:
    """Airflow is told where they are."""
    assert get_provider_info()["cli"] == [f"{definition.__name__}.{definition.get_cli_commands.__name__}"]
    assert definition.get_cli_commands in ProvidersManager().cli_command_functions


def test_a_failure_is_the_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that fails ends ``airflow`` with its status, and one that succeeds lets it end by itself."""
    with pytest.raises(SystemExit, match="7"):
        definition.run_in_airflow(argparse.Namespace(run=lambda arguments: 7))
    definition.run_in_airflow(argparse.Namespace(run=lambda arguments: 0))
